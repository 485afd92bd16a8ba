"""Bilinear resizing of uint8 images with Pillow, as in the course."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxdl.errors import ConfigError, ShapeError

_SLICE_BYTES = 1 << 20  # of images per slice; a thread uses about four times as much


def resize_bilinear(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes uint8 images (N, H, W, C) like ``PIL.Image.resize((width, height), BILINEAR)``.

    The width comes first and is rounded to uint8 before the height. Shrinking widens the triangle
    filter (antialiasing). Pillow 13 and later starts with the height where it shrinks much more
    than the width; this function never does, so every version gives the same bits.

    Returns:
        uint8, shape (N, height, width, C).

    Raises:
        ShapeError: ``images`` is not uint8 (N, H, W, C), or has no rows, columns or channels.
        ConfigError: ``height`` or ``width`` is not positive.

    Example:
        >>> row = np.array([0, 100], np.uint8).reshape(1, 1, 2, 1)
        >>> resize_bilinear(row, 1, 4).ravel().tolist()
        [0, 25, 75, 100]

    References:
        Course document 000 (``transforms.Resize(64)``).
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape[1:]:
        raise ShapeError(
            f"cannot resize {images.dtype} of shape {images.shape}: need uint8 (N, H, W, C) with "
            "at least one row, column and channel"
        )
    if height < 1 or width < 1:
        raise ConfigError(f"cannot resize to {height}x{width}: both must be at least 1")
    count, rows, columns, channels = images.shape
    resized = np.empty((count, height, width, channels), np.uint8)
    size = max(1, _SLICE_BYTES // (max(rows, height) * max(columns, width) * channels))

    def resize_slice(start: int) -> None:
        part = images[start : start + size].transpose(0, 3, 1, 2)
        part = _resize_last_axis(part, width).swapaxes(2, 3)
        resized[start : start + size] = _resize_last_axis(part, height).transpose(0, 3, 2, 1)

    with ThreadPoolExecutor() as threads:  # Pillow and NumPy's copies release the GIL
        list(threads.map(resize_slice, range(0, count, size)))
    return resized


def resize_square(images: np.ndarray, size: int) -> np.ndarray:
    """The squares in the middle of uint8 images (N, H, W, C), resized by :func:`resize_bilinear`.

    Example:
        >>> row = np.array([0, 100, 0], np.uint8).reshape(1, 1, 3, 1)
        >>> resize_square(row, 2).ravel().tolist()
        [100, 100, 100, 100]
    """
    height, width = images.shape[1:3]
    if height == width == size:
        return np.asarray(images)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize_bilinear(images[:, top : top + side, left : left + side], size, size)


def _resize_last_axis(images: np.ndarray, size: int) -> np.ndarray:
    """One Pillow pass over all rows at once: a call per image would take twice as long."""
    from PIL import Image  # here, to keep importing jaxdl fast

    rows = np.ascontiguousarray(images).reshape(-1, images.shape[-1])
    resized = Image.fromarray(rows).resize((size, len(rows)), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(*images.shape[:-1], size)
