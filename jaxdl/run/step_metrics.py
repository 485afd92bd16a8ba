"""Step metrics: values for the log, and float64 sums for the epoch's means."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.distributed.parallel import Shard, StepFunction
from jaxdl.errors import ConfigError
from jaxdl.metrics.accumulation import Mean, Metric

PyTree = Any
RESERVED = {"kind", "run", "epoch", "step", "seconds", "images_per_second", "warnings"}


class Measured(NamedTuple):
    """The metrics of a step, or of a chunk of steps (then with a leading axis).

    ``metrics`` are mergeable, ``values`` are their values. ``done`` is False for a step that was
    not done, because the network had stopped while others trained on.
    """

    values: dict[str, jax.Array]
    metrics: dict[str, Metric]
    done: jax.Array


def measured(step: StepFunction) -> StepFunction:
    """Wraps a step to return :class:`Measured` instead of a dictionary of metrics.

    The step returns scalars, or metrics whose fields add up, by name. Any other metric raises a
    ConfigError at trace time.
    """

    def wrapped(
        state: PyTree, inputs: PyTree, position: jax.Array, shard: Shard
    ) -> tuple[PyTree, Measured]:
        state, found = step(state, inputs, position, shard)
        if taken := RESERVED & set(found):
            raise ConfigError(f"a metric cannot be called {sorted(taken)}: the log uses that name")
        metrics = {name: _as_metric(name, metric) for name, metric in found.items()}
        values = {name: metric.compute() for name, metric in metrics.items()}
        return state, Measured(values, metrics, jnp.bool_(True))

    return wrapped


def _as_metric(name: str, value: Any) -> Metric:
    if isinstance(value, Metric):
        if type(value).merge is not Metric.merge:
            raise ConfigError(
                f"{name!r} is a {type(value).__name__}, whose fields do not add up; measure "
                "it in an evaluation, not in a training step"
            )
        return value
    return Mean(total=jnp.asarray(value), weight=jnp.ones_like(value, jnp.float32))


class EpochMetrics:
    """Merges the metrics of an epoch's steps.

    The sums are float64 and are saved in checkpoints, so an epoch resumed after a restart gives the
    same values as an uninterrupted one.

    Args:
        sums: what :meth:`to_meta` returned; None starts a new epoch.
        members: whether metrics have an axis for several networks that train together.

    Example:
        >>> metrics = EpochMetrics()
        >>> metrics.add({"loss": Mean(np.array([2.0, 4.0]), np.array([2.0, 1.0]))})
        >>> metrics.compute()
        {'loss': 2.0}
    """

    def __init__(self, sums: Mapping[str, Any] | None = None, members: bool = False) -> None:
        self.members = members
        self._sums = {
            n: [np.asarray(leaf, np.float64) for leaf in s] for n, s in (sums or {}).items()
        }
        self._kinds: dict[str, Any] = {}

    def add(self, metrics: Mapping[str, Metric]) -> None:
        """Merges metrics with a leading axis of steps."""
        for name, metric in metrics.items():
            leaves, self._kinds[name] = jax.tree.flatten(metric)
            sums = self._sums.setdefault(name, [np.zeros(np.shape(leaf)[1:]) for leaf in leaves])
            # Step by step, so that the order of additions is independent of chunk sizes.
            for i, leaf in enumerate(leaves):
                for row in np.asarray(leaf, np.float64):
                    sums[i] = sums[i] + row

    def compute(self) -> dict[str, Any]:
        """The current values as numbers or lists; None where the weight is 0."""
        return {name: self._compute(name) for name in self._sums}

    def _compute(self, name: str) -> Any:
        sums, kind = self._sums[name], self._kinds[name]
        with np.errstate(invalid="ignore", divide="ignore"):
            if not self.members:
                return _plain(jax.tree.unflatten(kind, sums).compute())
            each = zip(*sums, strict=True)
            return [_plain(jax.tree.unflatten(kind, list(one)).compute()) for one in each]

    def to_meta(self) -> dict[str, Any]:
        """The sums as JSON-serialisable values."""
        return {name: [leaf.tolist() for leaf in sums] for name, sums in self._sums.items()}


def _plain(value: Any) -> Any:
    value = np.asarray(value)
    return None if value.ndim == 0 and np.isnan(value) else value.tolist()
