"""How weight axes map between our layers and PyTorch's."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """A pair of inverse functions on arrays."""

    to_torch: Callable[[np.ndarray], np.ndarray]
    from_torch: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
DENSE = Layout(lambda a: a.T, lambda a: a.T)
CONV = Layout(lambda a: a.transpose(3, 2, 0, 1), lambda a: a.transpose(2, 3, 1, 0))
CONV_TRANSPOSE = Layout(
    lambda a: a[::-1, ::-1].transpose(2, 3, 0, 1), lambda a: a.transpose(2, 3, 0, 1)[::-1, ::-1]
)


def flattened_dense(height: int, width: int, channels: int) -> Layout:
    """Layout of a dense layer on flattened maps: H, W, C order here; C, H, W in PyTorch.

    The sizes are those of the maps, in pixels and channels; kernels are (height·width·channels,
    out).

    Example:
        >>> layout = flattened_dense(1, 2, 2)
        >>> layout.to_torch(np.array([["x0c0"], ["x0c1"], ["x1c0"], ["x1c1"]]))
        array([['x0c0', 'x1c0', 'x0c1', 'x1c1']], dtype='<U4')
    """

    def to_torch(kernel: np.ndarray) -> np.ndarray:
        rows = kernel.reshape(height, width, channels, -1)
        return rows.transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1)

    def from_torch(weight: np.ndarray) -> np.ndarray:
        columns = weight.reshape(-1, channels, height, width)
        return columns.transpose(2, 3, 1, 0).reshape(-1, len(weight))

    return Layout(to_torch, from_torch)
