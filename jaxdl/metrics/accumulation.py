"""The base of all metrics: a small pytree made from a batch, merged, and computed at the end."""

from typing import Self

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxdl.errors import ShapeError


@struct.dataclass
class Metric:
    """Base of metrics whose fields add up.

    Each batch gives a metric; metrics merge by adding their fields; ``compute`` divides only at the
    end, so a short last batch gets its proper weight. Being pytrees, metrics pass through jit, can
    be carried by ``lax.scan``, and combine across devices with ``lax.psum``.
    """

    def merge(self, other: Self) -> Self:
        """Returns the metric of both sets of samples; ShapeError if they do not fit."""
        mine, others = jax.tree.map(jnp.shape, (self, other))
        if mine != others:
            raise ShapeError(f"metrics of different kinds or sizes do not merge: {mine}, {others}")
        return jax.tree.map(jnp.add, self, other)

    def reduce(self) -> Self:
        """Merges metrics stacked along the first axis (from scan, vmap or pmap)."""
        return jax.tree.map(lambda field: field.sum(0), self)


@struct.dataclass
class WeightedSum(Metric):
    """A weighted sum and its weight; their quotient is the result.

    Sums are float32 or wider: counts are exact up to 2²⁴ samples.

    Attributes:
        total: Σ w·x, a scalar.
        weight: Σ w, a scalar.
    """

    total: jax.Array
    weight: jax.Array

    @classmethod
    def empty(cls) -> Self:
        """Returns the metric of no samples; merging it changes nothing."""
        return cls(total=jnp.zeros(()), weight=jnp.zeros(()))

    @classmethod
    def accumulate(cls, values: ArrayLike, weights: ArrayLike | None) -> Self:
        """Sums values of any shape, with weights of the same shape (None: 1 each)."""
        values, weights = weighted(values, weights)
        return cls(total=(weights * values).sum(), weight=weights.sum())

    def compute(self) -> jax.Array:
        """Returns the weighted mean Σ w·x / Σ w, NaN without weight."""
        return self.total / self.weight


@struct.dataclass
class Mean(WeightedSum):
    """Weighted mean of a value such as per-sample losses.

    Example:
        >>> import jax.numpy as jnp
        >>> first = Mean.from_batch(jnp.array([1.0, 2.0, 3.0]))
        >>> last = Mean.from_batch(jnp.array([6.0, jnp.nan]), weights=jnp.array([1, 0]))
        >>> print(first.merge(last).compute())
        3.0
    """

    @classmethod
    def from_batch(cls, values: ArrayLike, weights: ArrayLike | None = None) -> Self:
        """Accumulates values of any shape."""
        return cls.accumulate(values, weights)


def weighted(values: ArrayLike, weights: ArrayLike | None) -> tuple[jax.Array, jax.Array]:
    """Returns values, 0 where their weight is 0, and weights, both float32 or wider."""
    values = as_wide_float(values)
    if weights is None:
        return values, jnp.ones_like(values)
    weights = as_wide_float(weights)
    if weights.shape != values.shape:
        raise ShapeError(
            f"weights {weights.shape} must have the shape {values.shape} of the values: "
            "broadcast them first"
        )
    return jnp.where(weights == 0, 0, values), weights


def as_wide_float(values: ArrayLike) -> jax.Array:
    """Returns values in float32 or wider: sums in bfloat16 stop growing at 256."""
    values = jnp.asarray(values)
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
