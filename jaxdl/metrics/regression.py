"""Regression metrics: absolute and squared errors and the coefficient of determination.

Predictions and targets have the same shape; every element is a sample.

References:
    course document 004, level 4 (rating prediction).
"""

from typing import Self

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxdl.losses import absolute_error, squared_error
from jaxdl.metrics.accumulation import Metric, WeightedSum, as_wide_float, weighted


@struct.dataclass
class MAE(WeightedSum):
    """Mean absolute error Σ w·|e| / Σ w, e = prediction − target.

    Example:
        >>> print(MAE.from_batch(jnp.array([1.0, 2.0]), jnp.array([2.0, 5.0])).compute())
        2.0
    """

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
    ) -> Self:
        """Accumulates a batch."""
        return cls.accumulate(absolute_error(*_wide(predictions, targets)), weights)


@struct.dataclass
class MSE(WeightedSum):
    """Mean squared error Σ w·e² / Σ w, without the factor 0.5.

    Example:
        >>> print(MSE.from_batch(jnp.array([1.0, 2.0]), jnp.array([2.0, 5.0])).compute())
        5.0
    """

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
    ) -> Self:
        """Accumulates a batch."""
        return cls.accumulate(squared_error(*_wide(predictions, targets)), weights)


@struct.dataclass
class RMSE(MSE):
    """Root mean squared error √(Σ w·e² / Σ w).

    Example:
        >>> metric = RMSE.from_batch(jnp.array([1.0, 2.0]), jnp.array([2.0, 5.0]))
        >>> print(f"{metric.compute():.4f}")
        2.2361
    """

    def compute(self) -> jax.Array:
        """Returns the root of the mean, NaN without weight."""
        return jnp.sqrt(super().compute())


@struct.dataclass
class CourseRMSE(MSE):
    """The course's "RMSE": √(Σ w·e²) / Σ w, the norm of the errors divided by n.

    That is the true :class:`RMSE` divided by √n, so it shrinks as samples are added.

    Example:
        >>> metric = CourseRMSE.from_batch(jnp.array([1.0, 2.0]), jnp.array([2.0, 5.0]))
        >>> print(f"{metric.compute():.4f}")
        1.5811
    """

    def compute(self) -> jax.Array:
        """Returns the norm divided by the weight, NaN without weight."""
        return jnp.sqrt(self.total) / self.weight


@struct.dataclass
class R2(Metric):
    r"""Coefficient of determination: 1 for perfect predictions, 0 for predicting the mean.

    .. math:: R^2 = 1 - \frac{\sum_i w_i e_i^2}{\sum_i w_i (t_i - \bar t)^2}

    Merging adds sums of squares about each batch's own mean (Chan et al.); Σt² − n·mean² would
    cancel for a large mean. Across devices use ``all_gather`` and ``reduce``, not ``psum``.

    Attributes:
        weight: Σ w.
        mean: weighted mean of the targets.
        spread: Σ w (t − mean)².
        residual: Σ w·e².

    Example:
        >>> targets = jnp.array([1.0, 2.0, 3.0])
        >>> print(R2.from_batch(jnp.array([1.0, 2.0, 2.0]), targets).compute())
        0.5

    References:
        Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances, 1979.
    """

    weight: jax.Array
    mean: jax.Array
    spread: jax.Array
    residual: jax.Array

    @classmethod
    def empty(cls) -> Self:
        """Returns the metric of no samples; merging it changes nothing."""
        return cls(*(jnp.zeros(()) for _ in range(4)))

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
    ) -> Self:
        """Accumulates a batch."""
        predictions, targets = _wide(predictions, targets)
        errors, weights = weighted(squared_error(predictions, targets), weights)
        targets, _ = weighted(targets, weights)
        # Every sample is a metric without spread of its own.
        samples = cls(weights, targets, jnp.zeros_like(weights), weights * errors)
        return jax.tree.map(jnp.ravel, samples).reduce() if weights.size else cls.empty()

    def merge(self, other: Self) -> Self:
        """Returns the metric of both sets of samples."""
        return jax.tree.map(lambda *fields: jnp.stack(fields), self, other).reduce()

    def reduce(self) -> Self:
        """Merges metrics stacked along the first axis."""
        total = self.weight.sum(0)
        # Relative to the heaviest part's mean, so that equal targets keep a spread of exactly 0.
        heaviest = self.weight.argmax(0, keepdims=True)
        anchor = jnp.take_along_axis(self.mean, heaviest, axis=0)
        share = self.weight / jnp.where(total == 0, 1, total)[None]
        mean = anchor[0] + (share * (self.mean - anchor)).sum(0)
        between = (self.weight * jnp.square(self.mean - mean[None])).sum(0)
        return type(self)(
            weight=total,
            mean=mean,
            spread=self.spread.sum(0) + between,
            residual=self.residual.sum(0),
        )

    def compute(self) -> jax.Array:
        """Returns R²; targets without spread give −∞, or NaN if the residual is 0 too."""
        return 1 - self.residual / self.spread


def mae(predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Mean absolute error of one batch; see :class:`MAE`."""
    return MAE.from_batch(predictions, targets, weights).compute()


def mse(predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Mean squared error of one batch; see :class:`MSE`."""
    return MSE.from_batch(predictions, targets, weights).compute()


def rmse(predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Root mean squared error of one batch; see :class:`RMSE`."""
    return RMSE.from_batch(predictions, targets, weights).compute()


def course_rmse(
    predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None
) -> jax.Array:
    """The course's "RMSE" of one batch, which is not an RMSE; see :class:`CourseRMSE`."""
    return CourseRMSE.from_batch(predictions, targets, weights).compute()


def r2(predictions: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Coefficient of determination of one batch; see :class:`R2`."""
    return R2.from_batch(predictions, targets, weights).compute()


def _wide(predictions: ArrayLike, targets: ArrayLike) -> tuple[jax.Array, jax.Array]:
    return as_wide_float(predictions), as_wide_float(targets)
