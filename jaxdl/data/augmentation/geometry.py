"""Geometric augmentation: flips, shifts, scaling with cropping."""

import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.data.augmentation.per_image import (
    as_images,
    check_range,
    draw_per_image,
    per_image,
    pick_pixels,
    to_grey_values,
    uniform_per_image,
)
from jaxdl.errors import ConfigError, ShapeError

_SCALING_METHODS = ("bilinear", "nearest")


def random_flip(
    key: jax.Array,
    images: ArrayLike,
    *,
    axis: Literal["horizontal", "vertical"] = "horizontal",
    probability: float = 0.5,
    positions: ArrayLike | None = None,
) -> jax.Array:
    """Mirrors each image with a probability: left-right if "horizontal", top-bottom if "vertical".

    See :mod:`jaxdl.data.augmentation` for ``key``, ``images``, ``positions`` and errors.

    Example:
        >>> image = jnp.array([1, 2, 3], jnp.uint8).reshape(1, 1, 3, 1)
        >>> random_flip(jax.random.key(0), image, probability=1.0).ravel().tolist()
        [3, 2, 1]
    """
    images = as_images(images)
    if axis not in ("horizontal", "vertical"):
        raise ConfigError(f"axis is {axis!r}: use 'horizontal' or 'vertical'")
    check_range("probability", probability, 0, 1)
    flips = uniform_per_image(key, images, positions) < probability
    mirrored = jnp.flip(images, 2 if axis == "horizontal" else 1)
    return jnp.where(per_image(flips), mirrored, images)


def random_shift(
    key: jax.Array, images: ArrayLike, max_pixels: int, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Shifts each image by whole pixels and fills with 0.

    Both shifts are uniform in -max_pixels..max_pixels. See :mod:`jaxdl.data.augmentation` for
    ``key``, ``images``, ``positions`` and errors.

    Example:
        >>> images = jnp.full((5, 28, 28, 1), 255, jnp.uint8)
        >>> random_shift(jax.random.key(0), images, 2).shape
        (5, 28, 28, 1)
    """
    images = as_images(images)
    if max_pixels < 0 or max_pixels != int(max_pixels):
        raise ConfigError(f"max_pixels is {max_pixels}: it must be a whole number, at least 0")

    def draw(key: jax.Array) -> jax.Array:
        return jax.random.randint(key, (2,), -int(max_pixels), int(max_pixels) + 1)

    down, right = draw_per_image(draw, key, images, positions).T
    rows = jnp.arange(images.shape[1])[None, :] - down[:, None]
    columns = jnp.arange(images.shape[2])[None, :] - right[:, None]
    return pick_pixels(images, rows[:, :, None], columns[:, None, :])


def scale_and_crop(
    images: ArrayLike,
    scales: ArrayLike,
    places: ArrayLike,
    method: Literal["bilinear", "nearest"] = "bilinear",
) -> jax.Array:
    """Scales each image by a factor and crops the result to the original size.

    A factor below 1 shrinks the image and pads it with zeros. The crop's upper left corner is
    place · (size - size / scale): place 0 is top or left, 1 bottom or right. Border pixels extend
    half a pixel outwards. Shrinking does not antialias, so stay near 1.

    Args:
        images: uint8, shape (N, H, W, C).
        scales: positive factors, shape (N,).
        places: vertical and horizontal place, in [0, 1], shape (N, 2).
        method: "bilinear", rounded to the nearest grey value, or "nearest".

    Example:
        >>> row = jnp.array([0, 100, 200, 200], jnp.uint8).reshape(1, 1, 4, 1)
        >>> scale_and_crop(row, [2.0], [[0.0, 0.0]]).ravel().tolist()
        [0, 25, 75, 125]
    """
    images = as_images(images)
    scales, places = jnp.asarray(scales, jnp.float32), jnp.asarray(places, jnp.float32)
    if scales.shape != images.shape[:1] or places.shape != (len(images), 2):
        raise ShapeError(
            f"{len(images)} images, scales {scales.shape}, places {places.shape}: "
            "need scales (N,) and places (N, 2)"
        )
    if method not in _SCALING_METHODS:
        raise ConfigError(f"method is {method!r}: use one of {_SCALING_METHODS}")
    rows = _resampling_weights(images.shape[1], scales, places[:, 0], method)
    columns = _resampling_weights(images.shape[2], scales, places[:, 1], method)
    # Two small matrix products per image are faster than four gathers; TF32 is not precise enough.
    scaled = jnp.einsum(
        "nyi,nijc,nxj->nyxc", rows, images.astype(jnp.float32), columns, precision="highest"
    )
    return to_grey_values(scaled)


def random_scale_and_crop(
    key: jax.Array,
    images: ArrayLike,
    min_scale: float,
    max_scale: float,
    *,
    method: Literal["bilinear", "nearest"] = "bilinear",
    positions: ArrayLike | None = None,
) -> jax.Array:
    """Scales each image by a random factor and crops at a random place; see :func:`scale_and_crop`.

    The factor is uniform in [min_scale, max_scale], with 0 < min_scale, the place uniform in [0,
    1). See :mod:`jaxdl.data.augmentation` for ``key``, ``images``, ``positions`` and errors.

    Example:
        >>> images = jnp.full((2, 4, 4, 1), 7, jnp.uint8)
        >>> bool((random_scale_and_crop(jax.random.key(0), images, 1.0, 1.5) == 7).all())
        True
    """
    images = as_images(images)
    if not 0 < min_scale <= max_scale < math.inf:
        raise ConfigError(
            f"scales from {min_scale} to {max_scale}: need 0 < min_scale <= max_scale"
        )
    draws = draw_per_image(lambda key: jax.random.uniform(key, (3,)), key, images, positions)
    scales = min_scale + (max_scale - min_scale) * draws[:, 0]
    return scale_and_crop(images, scales, draws[:, 1:], method)


@functools.partial(jax.jit, static_argnums=(0, 3), inline=True)
def _resampling_weights(size: int, scales: jax.Array, places: jax.Array, method: str) -> jax.Array:
    """Weight of each input pixel (last axis) in each output pixel along one axis, (N, S, S)."""
    starts = places * (size - size / scales)
    steps = jnp.arange(size, dtype=jnp.float32) + 0.5
    centres = starts[:, None] + steps[None, :] / scales[:, None]
    inputs = jnp.arange(size, dtype=jnp.float32)[None, None, :]
    if method == "nearest":
        weights = (jnp.floor(centres)[..., None] == inputs).astype(jnp.float32)
    else:
        clipped = jnp.clip(centres - 0.5, 0.0, size - 1.0)
        weights = jnp.maximum(0.0, 1.0 - jnp.abs(clipped[..., None] - inputs))
    inside = (centres >= 0) & (centres < size)
    return jnp.where(inside[..., None], weights, 0.0)
