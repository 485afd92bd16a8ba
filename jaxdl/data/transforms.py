"""Scaling between uint8 pixels and network inputs.

Each scaling looks up its result in a table of 256 values, computed once in float32. XLA would
replace a division by a constant with a product, which differs from PyTorch's division in the last
bit for half of the grey values. A table gives the same bits on every device, at the same speed.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.errors import ConfigError, DataError, ShapeError

MNIST_MEAN = 0.1307
MNIST_STD = 0.3081


def to_unit_range(images: jax.typing.ArrayLike) -> jax.Array:
    """Scales uint8 images of any shape to float32 in [0, 1]: x / 255, like ``ToTensor``.

    Raises:
        ShapeError: ``images`` is not uint8.

    Example:
        >>> [f"{value:.3f}" for value in to_unit_range(np.array([0, 51, 255], np.uint8))]
        ['0.000', '0.200', '1.000']
    """
    return _look_up(images, lambda unit: unit)


def to_signed_range(images: jax.typing.ArrayLike) -> jax.Array:
    """Scales uint8 images of any shape to float32 in [-1, 1]: (x / 255 - ½) / ½.

    This is the range of the generator's tanh, with the bits of torchvision's ``ToTensor`` and
    ``Normalize(0.5, 0.5)``.

    Raises:
        ShapeError: ``images`` is not uint8.

    Example:
        >>> to_signed_range(np.array([0, 255], np.uint8)).tolist()
        [-1.0, 1.0]

    References:
        Course document 000.
    """
    half = np.float32(0.5)
    return _look_up(images, lambda unit: (unit - half) / half)


def normalize(
    images: jax.typing.ArrayLike,
    mean: float | Sequence[float] = MNIST_MEAN,
    std: float | Sequence[float] = MNIST_STD,
) -> jax.Array:
    """Standardises uint8 images to float32: (x / 255 - mean) / std.

    Args:
        images: uint8 of any shape; (..., C) for per-channel statistics.
        mean: mean of the unit-range pixels, one number or one per channel.
        std: their standard deviation, likewise, positive.

    Raises:
        ShapeError: ``images`` is not uint8, or mean and std do not fit the channels.
        ConfigError: a standard deviation is not positive.

    Example:
        >>> [round(float(x), 4) for x in normalize(np.array([0, 255], np.uint8))]
        [-0.4242, 2.8215]

    References:
        Course document 004, level 9 (0.1307 and 0.3081 are MNIST's training part).
    """
    means, stds = np.atleast_1d(np.float32(mean)), np.atleast_1d(np.float32(std))
    if not (stds > 0).all():
        raise ConfigError(f"std is {std}: it must be positive")
    num_channels = max(means.size, stds.size)
    sizes = {1, num_channels}
    if means.ndim > 1 or stds.ndim > 1 or {means.size, stds.size} - sizes:
        raise ShapeError(f"mean has shape {means.shape} and std {stds.shape}: they do not match")
    if num_channels == 1:
        return _look_up(images, lambda unit: (unit - means[0]) / stds[0])
    images = jnp.asarray(images)
    if not images.ndim or images.shape[-1] != num_channels:
        raise ShapeError(
            f"mean and std are for {num_channels} channels, images have shape {images.shape}"
        )
    means, stds = np.broadcast_to(means, num_channels), np.broadcast_to(stds, num_channels)
    return jnp.stack(
        [normalize(images[..., c], means[c], stds[c]) for c in range(num_channels)], axis=-1
    )


def to_uint8(images: jax.typing.ArrayLike) -> jax.Array:
    """Converts floating-point images in [-1, 1] to uint8, the inverse of :func:`to_signed_range`.

    Rounds to the nearest grey value (ties to even) and clips values outside [-1, 1].

    Raises:
        ShapeError: ``images`` is not floating point.
        DataError: a pixel is NaN (under ``jit``, where values are unknown, it becomes 0).

    Example:
        >>> to_uint8(np.array([-1.5, -1.0, 0.25, 1.0], np.float32)).tolist()
        [0, 0, 159, 255]
    """
    images = jnp.asarray(images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ShapeError(f"images are {images.dtype}: need floating point in [-1, 1]")
    if not isinstance(images, jax.core.Tracer) and bool(jnp.isnan(images).any()):
        raise DataError(f"images of shape {images.shape} have NaN pixels: NaN has no grey value")
    # float32 first: bfloat16 cannot hold every grey value.
    grey = jnp.round((images.astype(jnp.float32) + 1.0) * 127.5)
    # The conversion of NaN to an integer depends on the device.
    return jnp.where(jnp.isnan(grey), 0.0, jnp.clip(grey, 0.0, 255.0)).astype(jnp.uint8)


def _look_up(images: jax.typing.ArrayLike, scale: Callable[[np.ndarray], np.ndarray]) -> jax.Array:
    """Applies ``scale`` to the 256 unit-range values and looks up each pixel's."""
    images = jnp.asarray(images)
    if images.dtype != jnp.uint8:
        raise ShapeError(
            f"images are {images.dtype}: need uint8 in 0..255, from [0, 1] by "
            "(255 * images).round().astype('uint8'), from 0..255 by images.astype('uint8')"
        )
    table = scale(np.arange(256, dtype=np.float32) / np.float32(255))
    return jnp.asarray(table, jnp.float32)[images]


def normalize_mnist(images: jax.Array) -> jax.Array:
    """Normalises uint8 images as in the course: (x / 255 − 0.1307) / 0.3081."""
    return normalize(images, MNIST_MEAN, MNIST_STD)
