"""Batches of images that are read while others are used, for data that stays off the device."""

from collections.abc import Iterator

import numpy as np

from jaxdl.data.stored import StoredImages
from jaxdl.errors import check_positive

AHEAD = 2  # groups that are read in advance


def batch_groups(
    images: np.ndarray | StoredImages, batches: np.ndarray, size: int, first: int = 0
) -> Iterator[np.ndarray]:
    """Reads batches in groups, in threads of their own, in advance of their use.

    Args:
        images: uint8 (N, H, W, C).
        batches: for each batch, the numbers of its images, (B, n).
        size: batches in a group. The last group is filled up with black images.
        first: the batch to begin with.

    Yields:
        Batches from ``first`` on, in groups (size, n, H, W, C).

    Raises:
        ConfigError: ``size`` is below 1.

    Example:
        >>> greys = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
        >>> groups = batch_groups(greys, np.array([[3, 1], [0, 2], [1, 1]]), size=2)
        >>> [group[..., 0, 0, 0].tolist() for group in groups]
        [[[3, 1], [0, 2]], [[1, 1], [0, 0]]]
    """
    check_positive(size=size)
    import grain  # here: it takes seconds to import

    def read(start: int) -> np.ndarray:
        rows = batches[start : start + size]
        group = np.zeros((size, rows.shape[1], *images.shape[1:]), np.uint8)
        group[: len(rows)] = images[rows.reshape(-1)].reshape(*rows.shape, *images.shape[1:])
        return group

    starts = grain.MapDataset.source(range(first, len(batches), size)).map(read)
    options = grain.ReadOptions(num_threads=AHEAD, prefetch_buffer_size=AHEAD)
    return iter(starts.to_iter_dataset(options))
