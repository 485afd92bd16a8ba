"""What a classifier minimises and what else is measured."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.losses import cross_entropy
from jaxdl.metrics import Accuracy, Mean, Metric

# loss(outputs, labels): a value per example, (N,) or (N, …).
Loss = Callable[[jax.Array, jax.Array], jax.Array]
# measure(outputs, labels, weights): a metric of a batch.
Measure = Callable[[jax.Array, jax.Array, jax.Array], Metric]


class Objective(NamedTuple):
    """A loss and metrics.

    Attributes:
        loss: ``loss(outputs, labels)`` returns per-example values (N,), or (N, …), which are
            averaged over all axes but the first. Use an elementwise loss of :mod:`jaxdl.losses`,
            with ``functools.partial`` for its settings, or your own function.
        metrics: functions of outputs, labels and weights (N,) that return a mergeable metric, by
            name; for instance ``metrics.TopKAccuracy.from_batch``.

    Example:
        >>> import functools
        >>> from jaxdl import losses, metrics
        >>> objective = Objective(
        ...     functools.partial(losses.focal, gamma=1.0),
        ...     {"top_2": functools.partial(metrics.TopKAccuracy.from_batch, k=2)})
        >>> found = objective.measure(
        ...     jnp.array([[0.0, 1.0, 2.0]]), jnp.array([1]), jnp.array([1.0]))
        >>> sorted(found), float(found["top_2"].compute())
        (['loss', 'top_2'], 1.0)
    """

    loss: Loss = cross_entropy
    metrics: Mapping[str, Measure] = MappingProxyType({"accuracy": Accuracy.from_batch})

    def measure(
        self, outputs: jax.Array, labels: jax.Array, weights: jax.Array
    ) -> dict[str, Metric]:
        """A batch's metrics, with ``loss`` the weighted mean of the examples' losses.

        Outputs and labels are (N, …), weights (N,) and at least 0.

        Raises:
            ShapeError: the loss does not return one value per example.
            ConfigError: a metric is named ``loss``, or is not a metric.
        """
        losses = jnp.asarray(self.loss(outputs, labels))
        if losses.ndim == 0 or losses.shape[0] != weights.shape[0]:
            raise ShapeError(
                f"the loss gives {losses.shape} for {weights.shape[0]} examples: it must give one "
                "value per example (reduction='none'); the mean is taken here"
            )
        losses = losses.reshape(losses.shape[0], -1).mean(-1) if losses.ndim > 1 else losses
        found: dict[str, Metric] = {"loss": Mean.from_batch(losses, weights)}
        for name, measure in self.metrics.items():
            if name in found:
                raise ConfigError(f"a metric cannot be named {name!r}: that is the loss")
            found[name] = measure(outputs, labels, weights)
            if not isinstance(found[name], Metric):
                raise ConfigError(
                    f"metric {name!r} returns a {type(found[name]).__name__}: pass a function "
                    "that returns a mergeable metric, such as metrics.Accuracy.from_batch"
                )
        return found
