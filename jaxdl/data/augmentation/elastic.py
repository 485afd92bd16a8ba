"""Elastic distortion: every pixel moves a little, its neighbours almost alike."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdl.data.augmentation.per_image import (
    as_images,
    check_range,
    draw_per_image,
    pick_pixels,
    to_grey_values,
)

TRUNCATE = 4.0  # the Gaussian is cut off at this many standard deviations, as in SciPy


def elastic_distortion(
    key: jax.Array,
    images: ArrayLike,
    alpha: float = 34.0,
    sigma: float = 4.0,
    *,
    positions: ArrayLike | None = None,
) -> jax.Array:
    r"""Moves each image's pixels along a smooth random field.

    .. math:: y(r, c) = x(r + \alpha\, (g_\sigma * u)(r, c),\; c + \alpha\, (g_\sigma * v)(r, c))

    u and v are uniform in [-1, 1) at each pixel and 0 outside the image, g is a Gaussian whose
    weights sum to 1. Between pixels the image is interpolated linearly; outside it is 0. The
    default settings are the paper's for digits of 29×29 pixels; a pixel then moves by 1.4 pixels
    along each axis (root mean square, away from the border).

    See :mod:`jaxdl.data.augmentation` for ``key``, ``images``, ``positions`` and errors.

    Args:
        alpha: strength of the field, in pixels, 0 to 1000.
        sigma: standard deviation of the Gaussian in pixels, 0.5 to 100; small values crumple the
            image, large ones shift it.

    Example:
        >>> images = jnp.full((5, 28, 28, 1), 255, jnp.uint8)
        >>> elastic_distortion(jax.random.key(0), images).shape
        (5, 28, 28, 1)
        >>> bool((elastic_distortion(jax.random.key(0), images, alpha=0.0) == images).all())
        True

    References:
        Simard, Steinkraus and Platt, Best Practices for Convolutional Neural Networks Applied to
        Visual Document Analysis, 2003.
    """
    images = as_images(images)
    check_range("alpha", alpha, 0, 1000)
    check_range("sigma", sigma, 0.5, 100)
    height, width = images.shape[1:3]
    fields = draw_per_image(
        lambda key: jax.random.uniform(key, (2, height, width), minval=-1.0, maxval=1.0),
        key,
        images,
        positions,
    )
    rows, columns = (_blur(height, sigma), _blur(width, sigma))
    moves = alpha * jnp.einsum("ai,nkij,bj->nkab", rows, fields, columns, precision="highest")
    down = jnp.arange(height, dtype=jnp.float32)[None, :, None] + moves[:, 0]
    right = jnp.arange(width, dtype=jnp.float32)[None, None, :] + moves[:, 1]
    return to_grey_values(_interpolated(images, down, right))


def _blur(size: int, sigma: float) -> jax.Array:
    """The matrix (size, size) that convolves an axis with a Gaussian, with zeros outside."""
    radius = int(TRUNCATE * sigma + 0.5)
    total = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum()
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    weights = np.where(apart <= radius, np.exp(-0.5 * (apart / sigma) ** 2), 0.0)
    return jnp.asarray(weights / total, jnp.float32)


def _interpolated(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Grey values between pixels, float32 (N, H, W, C), at rows and columns (N, H, W)."""
    top, left = jnp.floor(rows), jnp.floor(columns)
    below, beside = rows - top, columns - left
    row, column = top.astype(jnp.int32), left.astype(jnp.int32)
    total = jnp.zeros(images.shape, jnp.float32)
    for i, vertical in ((0, 1 - below), (1, below)):
        for j, horizontal in ((0, 1 - beside), (1, beside)):
            pixels = pick_pixels(images, row + i, column + j).astype(jnp.float32)
            total = total + (vertical * horizontal)[..., None] * pixels
    return total
