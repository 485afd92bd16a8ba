"""Pooling over windows of NHWC images, with PyTorch's conventions.

References:
    Lin, Chen and Yan, Network in Network, 2014 (global average pooling); course document 003;
    course document 004, level 6.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn.arithmetic import output_size

Size = int | tuple[int, int]


def max_pool(
    x: jax.Array,
    window: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
) -> jax.Array:
    """Maximum over each window, like PyTorch's `max_pool2d`.

    Padding is -∞ and never wins. The gradient goes to the first of equal maxima.

    Args:
        x: images (N, H, W, C), floating-point.
        window: side of the window, or (height, width), in pixels.
        stride: in pixels; None for the window's size (flax defaults to 1).
        padding: pixels added on each side, at most half the window.
        dilation: distance between the pixels of a window; 1 when they touch.

    Returns:
        (N, (H + 2·padding - dilation·(window - 1) - 1) // stride + 1, likewise for W, C).

    Raises:
        ConfigError: the window, stride, padding or dilation is invalid.
        ShapeError: x is not a batch of images, or is smaller than the window.

    Example:
        >>> image = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> print(max_pool(image, 2)[0, :, :, 0])
        [[ 5.  7.]
         [13. 15.]]
    """
    if _pair(dilation) == (1, 1):
        return _reduce_windows("max_pool", x, -jnp.inf, lax.max, window, stride, padding)
    taps = _dilated_taps("max_pool", x, window, stride, padding, dilation)
    # Not the maximum itself: its gradient would be shared among equal ones.
    first = taps.argmax(0, keepdims=True)
    return jnp.take_along_axis(taps, first, 0)[0]


def avg_pool(
    x: jax.Array,
    window: Size,
    stride: Size | None = None,
    padding: Size = 0,
    *,
    count_include_pad: bool = True,
) -> jax.Array:
    """Mean over each window, like PyTorch's `avg_pool2d`.

    Shapes, other arguments and errors are those of `max_pool`; padding is zeros.

    Args:
        count_include_pad: whether padding counts in the mean, as in PyTorch by default.

    Example:
        >>> image = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> print(avg_pool(image, 2)[0, :, :, 0])
        [[ 2.5  4.5]
         [10.5 12.5]]
    """
    sums = _reduce_windows("avg_pool", x, 0.0, lax.add, window, stride, padding)
    if count_include_pad:
        height, width = _pair(window)
        return sums / (height * width)
    ones = jnp.ones((1, *x.shape[1:3], 1), x.dtype)
    counts = _reduce_windows("avg_pool", ones, 0.0, lax.add, window, stride, padding)
    return sums / jnp.broadcast_to(counts, sums.shape)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Mean of each channel over all pixels: (N, H, W, C) to (N, C).

    Like PyTorch's `AdaptiveAvgPool2d(1)`, flattened.

    Example:
        >>> print(global_average_pool(jnp.arange(8.0).reshape(1, 2, 2, 2)))
        [[3. 4.]]
    """
    _check_images("global_average_pool", x)
    return x.mean(axis=(1, 2))


def _reduce_windows(
    name: str,
    x: jax.Array,
    start: float,
    operation: Callable[[jax.Array, jax.Array], jax.Array],
    window: Size,
    stride: Size | None,
    padding: Size,
) -> jax.Array:
    window, stride, padding, _ = _geometry(name, x, window, stride, padding)
    return lax.reduce_window(
        x,
        np.array(start, x.dtype),
        operation,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *stride, 1),
        padding=((0, 0), *((pixels, pixels) for pixels in padding), (0, 0)),
    )


def _dilated_taps(
    name: str, x: jax.Array, window: Size, stride: Size | None, padding: Size, dilation: Size
) -> jax.Array:
    """The pixels of every window on an axis of their own, the first; padding is -∞.

    `reduce_window` has no gradient for dilated windows.
    """
    window, stride, padding, dilation = _geometry(name, x, window, stride, padding, dilation)
    edges = ((0, 0), *((pixels, pixels) for pixels in padding), (0, 0))
    padded = jnp.pad(x, edges, constant_values=-np.inf)
    rows, columns = (
        [
            slice(start, start + output_size(size, side, stride=move, dilation=step) * move, move)
            for start in range(0, side * step, step)
        ]
        for size, side, move, step in zip(padded.shape[1:3], window, stride, dilation, strict=True)
    )
    return jnp.stack([padded[:, row, column] for row in rows for column in columns])


def _geometry(
    name: str, x: jax.Array, window: Size, stride: Size | None, padding: Size, dilation: Size = 1
) -> tuple[tuple[int, int], ...]:
    """Window, stride, padding and dilation as pairs, if they fit the images."""
    _check_images(name, x)
    window, padding, dilation = _pair(window), _pair(padding), _pair(dilation)
    stride = window if stride is None else _pair(stride)
    _check_geometry(name, x, window, stride, padding, dilation)
    return window, stride, padding, dilation


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _check_images(name: str, x: jax.Array) -> None:
    if x.ndim != 4 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ShapeError(
            f"{name} needs floating-point images (N, H, W, C), got {x.dtype} of shape {x.shape}"
        )


def _check_geometry(
    name: str,
    x: jax.Array,
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    if min(*window, *stride, *dilation) < 1:
        raise ConfigError(
            f"{name}: window {window}, stride {stride} and dilation {dilation} must be at least 1"
        )
    for pixels, side in zip(padding, window, strict=True):
        # More would create windows of padding only, with a maximum of -∞.
        if not 0 <= pixels <= side // 2:
            raise ConfigError(
                f"{name}: padding {padding} must be at least 0 and at most half the window {window}"
            )
    for size, pixels, side, step in zip(x.shape[1:3], padding, window, dilation, strict=True):
        # A step beyond the image's side could leave a window of padding only.
        if size + 2 * pixels < step * (side - 1) + 1 or (pixels and size < step):
            raise ShapeError(
                f"{name}: images {x.shape} with padding {padding} are smaller than the window "
                f"{window} with dilation {dilation}"
            )
