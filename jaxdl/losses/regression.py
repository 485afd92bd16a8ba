"""Losses of real-valued outputs: squared, absolute and smooth L1 errors."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError
from jaxdl.losses.reduction import absolute, reduce, same_shape


def squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "none"
) -> jax.Array:
    """Squared error d², d = prediction − target; without the factor 0.5.

    Args:
        predictions: any shape.
        targets: same shape.
        reduction: "none", "mean" or "sum".

    Example:
        >>> print(squared_error(jnp.array([1.0, 2.0]), jnp.array([8.0, 9.0])))
        [49. 49.]

    References:
        course document 002, section 9.2.
    """
    predictions, targets = same_shape(predictions, targets)
    return reduce(jnp.square(predictions - targets), reduction)


def mean_squared_error(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Mean of :func:`squared_error` over all elements, a scalar.

    Args:
        predictions: any shape.
        targets: same shape.

    Raises:
        ShapeError: if the shapes differ.

    Example:
        >>> print(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([8.0, 9.0])))
        49.0
    """
    return squared_error(predictions, targets, reduction="mean")


def absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "none"
) -> jax.Array:
    """Absolute error abs(prediction − target); its slope at 0 is taken as 0.

    Args:
        predictions: any shape.
        targets: same shape.
        reduction: "none", "mean" or "sum".

    Example:
        >>> print(absolute_error(jnp.array([1.0, 2.0]), jnp.array([8.0, 9.0])))
        [7. 7.]

    References:
        course document 002, section 9.3.
    """
    predictions, targets = same_shape(predictions, targets)
    return reduce(absolute(predictions - targets), reduction)


def smooth_l1(
    predictions: ArrayLike, targets: ArrayLike, beta: float = 1.0, *, reduction: str = "none"
) -> jax.Array:
    r"""Smooth L1 loss: a parabola near 0, a line beyond, joined with equal slope.

    .. math:: \ell = 0.5\, d^2 / \beta \ \text{ if } |d| < \beta, \ \text{ else } |d| - 0.5 \beta

    Without the parabola's factor 0.5 the two pieces would not meet. The course's formula has the
    factor, but states the condition on x where the difference is meant. Huber's loss is β times
    this.

    Args:
        predictions: any shape.
        targets: same shape.
        beta: β ≥ 0, where the parabola ends, in the unit of the predictions; 0 is the absolute
            error.
        reduction: "none", "mean" or "sum".

    Raises:
        ShapeError: if the shapes differ.
        ConfigError: if β is negative.

    Example:
        >>> print(smooth_l1(jnp.array([1.0, 2.0]), jnp.array([8.0, 2.5])))
        [6.5   0.125]

    References:
        Girshick, Fast R-CNN, 2015; course document 002, section 9.4.
    """
    if beta < 0:
        raise ConfigError(f"beta = {beta} must not be negative: it is a width")
    predictions, targets = same_shape(predictions, targets)
    difference = predictions - targets
    distance = absolute(difference)
    if beta == 0:
        return reduce(distance, reduction)
    near = distance < beta
    # The parabola sees 0 instead of a far difference: ∞² would make the gradient 0 · ∞.
    parabola = 0.5 / beta * jnp.square(jnp.where(near, difference, 0))
    return reduce(jnp.where(near, parabola, distance - 0.5 * beta), reduction)
