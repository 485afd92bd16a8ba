"""Rotation with Pillow's 16.16 fixed-point arithmetic, in integers on the device."""

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdl.data.augmentation.per_image import as_images, check_range, pick_pixels, uniform_per_image
from jaxdl.errors import ShapeError

_MAX_SIZE = 16384  # a rotated coordinate's integer part must fit into 16 bits


def rotate(images: ArrayLike, degrees: ArrayLike) -> jax.Array:
    r"""Rotates each image about its centre like ``PIL.Image.rotate(degrees, NEAREST)``.

    With pixel centres at (x + ½, y + ½) and (u, v) relative to the image's centre, the result at
    (x, y) is the source pixel that contains

    .. math:: (\cos\theta\, u - \sin\theta\, v + W/2,\; \sin\theta\, u + \cos\theta\, v + H/2)

    or 0 outside the image. Pillow evaluates this in 16.16 fixed point, from coefficients rounded in
    double precision. So does this function, in integers, if the angles are concrete: every pixel
    then equals Pillow's. Traced angles (drawn inside a compiled step) give coefficients in single
    precision, some of them off by 2^-16 of a pixel. Then one or two pixels in a million come from
    the neighbour of Pillow's source pixel at 28×28 and ±20°, six at any angle, and forty at
    224×224.

    Args:
        images: uint8, shape (N, H, W, C).
        degrees: counter-clockwise angles, shape (N,).

    Example:
        >>> image = np.array([[1, 2], [3, 4]], np.uint8).reshape(1, 2, 2, 1)
        >>> rotate(image, [90.0])[0, :, :, 0].tolist()
        [[2, 4], [1, 3]]

    References:
        Course document 004, level 9 (``torchvision.transforms.RandomRotation``).
    """
    images = as_images(images)
    height, width = images.shape[1:3]
    if max(height, width) > _MAX_SIZE:
        raise ShapeError(f"images of {height}x{width} cannot be rotated: {_MAX_SIZE} is the limit")
    if isinstance(degrees, jax.core.Tracer):
        coefficients = _fixed_point_rotation(jnp.float32(degrees), height, width, jnp)
    else:
        coefficients = _fixed_point_rotation(np.float64(degrees), height, width, np)
    if coefficients[0].shape != images.shape[:1]:
        raise ShapeError(
            f"{len(images)} images and angles of shape {coefficients[0].shape}: need one per image"
        )
    xx, xy, x0, yx, yy, y0 = (jnp.asarray(c)[:, None, None] for c in coefficients)
    x = jnp.arange(width, dtype=jnp.int32)[None, None, :]
    y = jnp.arange(height, dtype=jnp.int32)[None, :, None]
    return pick_pixels(images, (yx * x + yy * y + y0) >> 16, (xx * x + xy * y + x0) >> 16)


def random_rotation(
    key: jax.Array, images: ArrayLike, max_degrees: float, *, positions: ArrayLike | None = None
) -> jax.Array:
    """Rotates each image by an angle uniform in [-max_degrees, max_degrees]; see :func:`rotate`.

    ``max_degrees`` lies in [0, 180]; the course uses 20. See :mod:`jaxdl.data.augmentation` for
    ``key``, ``images``, ``positions`` and errors.

    Example:
        >>> images = np.full((5, 28, 28, 1), 255, np.uint8)
        >>> random_rotation(jax.random.key(0), images, 20.0).shape
        (5, 28, 28, 1)
    """
    images = as_images(images)
    check_range("max_degrees", max_degrees, 0, 180)
    return rotate(images, uniform_per_image(key, images, positions, -max_degrees, max_degrees))


def _fixed_point_rotation(
    degrees: ArrayLike, height: int, width: int, xp: ModuleType
) -> tuple[ArrayLike, ...]:
    """Coefficients of the source column (xx, xy, x0) and row (yx, yy, y0), int32, 16.16.

    Follows the order of Pillow's operations. ``xp`` is numpy for double precision on the host,
    jax.numpy for single precision on the device.
    """
    theta = xp.fmod(degrees, 360.0) * (np.pi / 180.0)
    cos, sin = xp.cos(theta), xp.sin(theta)
    if xp is np:
        cos, sin = np.round(cos, 15), np.round(sin, 15)
    centre_x, centre_y = width / 2, height / 2
    x0 = -centre_x * cos + centre_y * sin + centre_x
    y0 = -centre_x * sin - centre_y * cos + centre_y

    def fix(value: ArrayLike) -> ArrayLike:
        return xp.floor(value * 65536.0 + 0.5).astype(np.int32)

    return (
        fix(cos),
        fix(-sin),
        fix(x0 + cos * 0.5 - sin * 0.5),
        fix(sin),
        fix(cos),
        fix(y0 + sin * 0.5 + cos * 0.5),
    )
