"""Grey-value augmentation: brightness, contrast, greyscale, noise.

See :mod:`jaxdl.data.augmentation` for ``key``, ``images``, ``positions`` and errors.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.data.augmentation.per_image import (
    as_images,
    check_range,
    draw_per_image,
    per_image,
    to_grey_values,
    uniform_per_image,
)
from jaxdl.errors import ShapeError

_LUMA = (19595, 38470, 7471)  # 0.299, 0.587, 0.114 times 2^16; they sum to 2^16


def random_brightness(
    key: jax.Array, images: ArrayLike, max_change: float, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Multiplies each image by a factor uniform in [1 - max_change, 1 + max_change].

    ``max_change`` lies in [0, 1]. Rounds to the nearest grey value and clips to 0..255 (torchvision
    truncates). See :mod:`jaxdl.data.augmentation` for the other arguments.

    Example:
        >>> image = jnp.array([0, 7, 255], jnp.uint8).reshape(1, 1, 3, 1)
        >>> random_brightness(jax.random.key(0), image, 0.0).ravel().tolist()
        [0, 7, 255]
    """
    images = as_images(images)
    check_range("max_change", max_change, 0, 1)
    factors = uniform_per_image(key, images, positions, 1 - max_change, 1 + max_change)
    return to_grey_values(per_image(factors) * images.astype(jnp.float32))


def random_contrast(
    key: jax.Array, images: ArrayLike, max_change: float, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Stretches each image about its mean grey m: m + f·(x - m), f uniform in 1 ± max_change.

    ``max_change`` lies in [0, 1]; images have 1 or 3 channels. Rounds to the nearest grey value and
    clips to 0..255. See :mod:`jaxdl.data.augmentation` for the other arguments.

    Example:
        >>> image = jnp.full((1, 2, 2, 1), 7, jnp.uint8)
        >>> random_contrast(jax.random.key(0), image, 0.9).ravel().tolist()
        [7, 7, 7, 7]
    """
    images = as_images(images)
    check_range("max_change", max_change, 0, 1)
    factors = per_image(uniform_per_image(key, images, positions, 1 - max_change, 1 + max_change))
    means = to_greyscale(images).mean((1, 2, 3), dtype=jnp.float32, keepdims=True)
    return to_grey_values(means + factors * (images.astype(jnp.float32) - means))


def to_greyscale(images: ArrayLike, *, keep_channels: bool = False) -> jax.Array:
    """Replaces colours by their luma 0.299 R + 0.587 G + 0.114 B, as Pillow's mode "L" does.

    Args:
        images: uint8 (N, H, W, C), where C is 3, or 1 for images that are grey already.
        keep_channels: repeat the grey value in every channel instead of returning C = 1.

    Example:
        >>> to_greyscale(jnp.array([255, 0, 0], jnp.uint8).reshape(1, 1, 1, 3)).item()
        76
    """
    images = as_images(images)
    num_channels = images.shape[-1]
    if num_channels not in (1, 3):
        raise ShapeError(f"images have {num_channels} channels: greyscale needs 3, or 1")
    if num_channels == 1:
        return images
    weighted = images.astype(jnp.int32) * jnp.array(_LUMA, jnp.int32)[None, None, None]
    grey = (weighted.sum(-1, keepdims=True) + (1 << 15)) >> 16
    return jnp.repeat(grey.astype(jnp.uint8), num_channels if keep_channels else 1, axis=-1)


def gaussian_noise(
    key: jax.Array, images: ArrayLike, stddev: float, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Adds normal noise to every pixel and channel, rounds, and clips to 0..255.

    ``stddev`` is in grey values, 0 to 255. See :mod:`jaxdl.data.augmentation` for the other
    arguments.

    Example:
        >>> image = jnp.array([0, 7, 255], jnp.uint8).reshape(1, 1, 3, 1)
        >>> gaussian_noise(jax.random.key(0), image, 0.0).ravel().tolist()
        [0, 7, 255]
    """
    images = as_images(images)
    check_range("stddev", stddev, 0, 255)
    noise = draw_per_image(
        lambda key: jax.random.normal(key, images.shape[1:]), key, images, positions
    )
    return to_grey_values(images.astype(jnp.float32) + stddev * noise)


def salt_and_pepper(
    key: jax.Array, images: ArrayLike, share: float, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Turns each pixel, with probability ``share``, white or black in all channels.

    White and black are equally likely. See :mod:`jaxdl.data.augmentation` for the other arguments.

    Example:
        >>> image = jnp.full((1, 20, 20, 1), 7, jnp.uint8)
        >>> jnp.unique(salt_and_pepper(jax.random.key(0), image, 0.5)).tolist()
        [0, 7, 255]
    """
    images = as_images(images)
    check_range("share", share, 0, 1)
    shape = (*images.shape[1:3], 1)
    draws = draw_per_image(lambda key: jax.random.uniform(key, shape), key, images, positions)
    noise = jnp.where(draws < share / 2, 255, 0).astype(jnp.uint8)
    return jnp.where(draws < share, noise, images)
