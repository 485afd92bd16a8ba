"""Images in a file, read row by row: for data sets that are larger than memory."""

import copy
import math
import os
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jaxdl.errors import DataError, brief
from jaxdl.files import open_regular

BLOCK_BYTES = 1 << 24


class StoredImages:
    """A `.npy` file of uint8 images (N, H, W, C) that gives rows like an array does.

    Slices and arrays of row numbers read just these rows, in any thread; ``np.asarray`` reads all.
    Nothing is mapped into memory, so a file that is cut short while it is in use is an error and
    not the end of the process.

    Raises:
        DataError: the file is missing or damaged, or does not hold such images.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "images.npy")
        >>> np.save(path, np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1))
        >>> images = StoredImages(path)
        >>> images.shape, images[np.array([2, 0])].ravel().tolist()
        ((3, 2, 2, 1), [8, 9, 10, 11, 0, 1, 2, 3])
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        try:
            with open_regular(self.path) as file:
                self.shape, self._start = _read_header(file)
                size = os.fstat(file.fileno()).st_size
                self._file = os.dup(file.fileno())
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} holds no images: {brief(error)}") from error
        weakref.finalize(self, os.close, self._file)
        if size != self._start + math.prod(self.shape):
            raise DataError(f"{self.path} has {size:,} bytes, which is not {self.shape} of images")

    def view(self, first: int, stop: int) -> "StoredImages":
        """Consecutive rows as images of their own, without reading them."""
        part = copy.copy(self)
        part._whole = self  # which closes the file
        part.shape = (stop - first, *self.shape[1:])
        part._start = self._start + first * math.prod(self.shape[1:])
        return part

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"StoredImages({self.path}, shape={self.shape})"

    def __array__(
        self,
        dtype: np.dtype | None = None,
        copy: bool | None = None,
    ) -> np.ndarray:
        if copy is False:
            raise ValueError("images in a file cannot be had without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            first, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read(first, max(stop - first, 0))
        numbers = np.arange(len(self))[rows]
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for image, number in zip(images, numbers, strict=True):
            self._read_into(image, int(number))
        return images

    def _read(self, first: int, count: int) -> np.ndarray:
        images = np.empty((count, *self.shape[1:]), np.uint8)
        self._read_into(images, first)
        return images

    def _read_into(self, images: np.ndarray, row: int) -> None:
        """Fills contiguous images from the file, beginning with a row's."""
        rest = memoryview(images).cast("B") if images.size else memoryview(b"")
        offset = self._start + row * math.prod(self.shape[1:])
        while len(rest):
            count = os.preadv(self._file, [rest], offset)
            if not count:
                raise DataError(f"{self.path} was cut short while it was read")
            rest, offset = rest[count:], offset + count


def blocks(images: np.ndarray | StoredImages) -> Iterator[np.ndarray]:
    """Images in order, in arrays of about 16 MB."""
    size = max(1, BLOCK_BYTES // max(1, math.prod(images.shape[1:])))
    for first in range(0, len(images), size):
        yield images[first : first + size]


def write_images(file: BinaryIO, shape: tuple[int, ...], images: Iterable[np.ndarray]) -> int:
    """Writes uint8 images of one shape (H, W, C) as a `.npy` file, and returns their number."""

    def write_header(count: int) -> None:  # NumPy leaves room for any count
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(file, header)

    count = 0
    write_header(count)
    for count, image in enumerate(images, 1):  # noqa: B007 - used after the loop
        file.write(np.ascontiguousarray(image, np.uint8).data)
    file.seek(0)
    write_header(count)
    return count


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], int]:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"a .npy file of version {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran or dtype != np.uint8 or len(shape) != 4:
        raise ValueError(f"{dtype} of shape {shape}")
    return shape, file.tell()
