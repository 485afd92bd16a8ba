"""Losses of real-valued outputs: squared, absolute and smooth L1 errors.

Predictions and targets have the same shape, which may be any.

References:
    course document 002, sections 9.2 to 9.4.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError
from jaxdl.losses.reduction import absolute, reduce, same_shape


def squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "none"
) -> jax.Array:
    """Squared error d², d = prediction − target, without a factor 0.5.

    Example:
        >>> print(squared_error(jnp.array([1.0, 2.0]), jnp.array([8.0, 9.0])))
        [49. 49.]
    """
    predictions, targets = same_shape(predictions, targets)
    return reduce(jnp.square(predictions - targets), reduction)


def mean_squared_error(predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Mean of :func:`squared_error` over all elements, a scalar.

    Example:
        >>> print(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([8.0, 9.0])))
        49.0
    """
    return squared_error(predictions, targets, reduction="mean")


def absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, reduction: str = "none"
) -> jax.Array:
    """Absolute error |prediction − target|; its slope at 0 is 0.

    Example:
        >>> print(absolute_error(jnp.array([1.0, 2.0]), jnp.array([8.0, 9.0])))
        [7. 7.]
    """
    predictions, targets = same_shape(predictions, targets)
    return reduce(absolute(predictions - targets), reduction)


def smooth_l1(
    predictions: ArrayLike, targets: ArrayLike, beta: float = 1.0, *, reduction: str = "none"
) -> jax.Array:
    r"""Smooth L1 loss: a parabola near 0 and lines beyond, joined with equal slope.

    .. math:: \ell = 0.5\, d^2 / \beta \ \text{ if } |d| < \beta, \ \text{ else } |d| - 0.5 \beta

    Without the factor 0.5 the pieces would not meet. The course's formula has the factor but states
    the condition on x where it means the difference. Huber's loss is β times this one. β ≥ 0, in
    the predictions' unit, is where the parabola ends; 0 gives the absolute error.

    Example:
        >>> print(smooth_l1(jnp.array([1.0, 2.0]), jnp.array([8.0, 2.5])))
        [6.5   0.125]

    References:
        Girshick, Fast R-CNN, 2015.
    """
    if beta < 0:
        raise ConfigError(f"beta = {beta} must not be negative: it is a width")
    predictions, targets = same_shape(predictions, targets)
    difference = predictions - targets
    distance = absolute(difference)
    if beta == 0:
        return reduce(distance, reduction)
    near = distance < beta
    # Replace far differences by 0: ∞² would make the gradient 0 · ∞.
    parabola = 0.5 / beta * jnp.square(jnp.where(near, difference, 0))
    return reduce(jnp.where(near, parabola, distance - 0.5 * beta), reduction)
