"""Means over an epoch that a restart does not change."""

from collections.abc import Mapping
from typing import Any

import numpy as np


class EpochMeans:
    """Means of the step metrics over an epoch, each step weighted by its examples.

    A step's metrics may hold ``weight``, its number of examples; without it all steps weigh the
    same. The sums are float64 and go into the checkpoint, so that an epoch continued after a
    restart has the same means as one that ran through.

    Example:
        >>> means = EpochMeans()
        >>> means.add({"loss": np.array([1.0, 4.0]), "weight": np.array([2.0, 1.0])})
        >>> means.compute()
        {'loss': 2.0}
    """

    def __init__(self, sums: Mapping[str, Any] | None = None) -> None:
        self.sums = {name: np.asarray(value, np.float64) for name, value in (sums or {}).items()}

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Adds metrics with a leading axis of steps."""
        steps = len(next(iter(metrics.values())))
        weight = np.asarray(metrics.get("weight", np.ones(steps)), np.float64)
        values = {name: np.asarray(value, np.float64) for name, value in metrics.items()}
        values["weight"] = np.ones_like(weight)
        for name, value in values.items():
            weights = weight.reshape(weight.shape + (1,) * (value.ndim - weight.ndim))
            # Step by step, so that the order of additions does not depend on the chunks.
            for i in range(steps):
                self.sums[name] = self.sums.get(name, 0.0) + value[i] * weights[i]

    def compute(self) -> dict[str, Any]:
        """The means so far, as floats or lists of floats."""
        total = self.sums["weight"]
        return {n: (s / total).tolist() for n, s in self.sums.items() if n != "weight"}

    def to_meta(self) -> dict[str, Any]:
        """The sums as plain values."""
        return {name: np.asarray(value).tolist() for name, value in self.sums.items()}
