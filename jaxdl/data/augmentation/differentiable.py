"""Differentiable augmentation of what a discriminator sees, real and generated images alike."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.data.augmentation.per_image import draw_per_image, per_image, pick_pixels
from jaxdl.errors import ShapeError

SHIFT, CUT = 0.125, 0.5  # largest shift and side of the hole, relative to the image
DRAWS = 7  # random numbers an image


def diff_augment(
    key: jax.Array, images: ArrayLike, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Changes colour, then shifts, then cuts a square hole; gradients pass to the images.

    If D sees only augmented images, of both kinds, G need not learn to draw augmented ones, and D
    cannot know a small data set by heart.

    Colour: brightness ±0.5, saturation 0 to 2 times (nothing for grey images), contrast 0.5 to 1.5
    times. Shift: up to an eighth of the image each way. The hole is half as wide and high as the
    image, and may lie partly outside. Shift and hole fill with 0, as in the paper.

    Args:
        images: floating-point (N, H, W, C) in [-1, 1]; the result is not clipped.
        positions: in the global batch, see :mod:`jaxdl.data.augmentation`.

    Raises:
        ShapeError: images are not (N, H, W, C) of a floating-point type.

    Example:
        >>> images = jnp.ones((2, 8, 8, 1))
        >>> changed = jax.jit(diff_augment)(jax.random.key(0), images)
        >>> changed.shape, bool((changed[0] == changed[1]).all())
        ((2, 8, 8, 1), False)

    References:
        Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020,
        https://arxiv.org/abs/2006.10738.
    """
    images = jnp.asarray(images)
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ShapeError(
            f"cannot augment {images.dtype} of shape {images.shape}: need floating-point numbers "
            "(N, H, W, C)"
        )
    draws = draw_per_image(
        lambda key: jax.random.uniform(key, (DRAWS,), images.dtype), key, images, positions
    )
    return _cut(_shift(_change_colour(images, draws[:, :3]), draws[:, 3:5]), draws[:, 5:])


def _change_colour(images: jax.Array, draws: jax.Array) -> jax.Array:
    brightness, saturation, contrast = map(per_image, draws.T)
    images = images + (brightness - 0.5)
    grey = images.mean(3, keepdims=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def _shift(images: jax.Array, draws: jax.Array) -> jax.Array:
    rows, columns = (
        jnp.arange(size)[None] - _whole_number(draw, -_most(size), _most(size))[:, None]
        for size, draw in zip(images.shape[1:3], draws.T, strict=True)
    )
    return pick_pixels(images, rows[:, :, None], columns[:, None, :])


def _most(size: int) -> int:
    return int(size * SHIFT + 0.5)


def _cut(images: jax.Array, draws: jax.Array) -> jax.Array:
    rows, columns = (
        _in_hole(size, draw) for size, draw in zip(images.shape[1:3], draws.T, strict=True)
    )
    hole = rows[:, :, None] & columns[:, None, :]
    return jnp.where(hole[..., None], 0, images)


def _in_hole(size: int, draw: jax.Array) -> jax.Array:
    """Which rows, or columns, lie in an image's hole: (N, size)."""
    side = int(size * CUT + 0.5)
    first = _whole_number(draw, 0, size - side % 2) - side // 2
    place = jnp.arange(size)[None] - first[:, None]
    return (place >= 0) & (place < side)


def _whole_number(draw: jax.Array, low: int, high: int) -> jax.Array:
    """A number from low to high, both included, by a draw from [0, 1)."""
    return low + jnp.floor(draw * (high - low + 1)).astype(jnp.int32)
