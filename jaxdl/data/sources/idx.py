"""The IDX format of MNIST and its relatives.

A big-endian header precedes the values: two zero bytes, one byte for the type (8 is unsigned byte),
one byte for the number of dimensions, and a 32-bit size per dimension. The values follow in
row-major order. A damaged file raises an :class:`IDXError` that names the file and the byte; a
header is checked against the file's real length before it is trusted.

References:
    Course document 004, level 12 (headers ``>iiii`` and ``>ii``, magic 2051 and 2049).
"""

import gzip
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.data.dataset import Split
from jaxdl.errors import DataError, DataUnavailableError, ShapeError
from jaxdl.files import open_regular

IDX_DTYPES = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

# The four files of a data set, by role.
IDX_STEMS = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DEFLATE_RATIO = 1032  # one bit of deflate stands for at most 129 bytes
_CHUNK = 1 << 20
_MAX_DIMENSIONS = 32  # NumPy 1's limit; images have three


class IDXError(DataError):
    """A damaged IDX file.

    Attributes:
        path: the file.
        offset: position of the damage in the decompressed content, in bytes.
        problem: what is wrong there.
    """

    def __init__(self, path: str | os.PathLike, offset: int, problem: str) -> None:
        super().__init__(path, offset, problem)
        self.path, self.offset, self.problem = Path(path), offset, problem

    def __str__(self) -> str:
        return (
            f"{self.path}: byte {self.offset}: {self.problem}. "
            "Replace the file with an undamaged copy."
        )


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Reads an IDX file, plain or gzip (detected by content, not by name).

    The array has the header's shape and type, in native byte order.

    Raises:
        IDXError: wrong magic number or type, missing or surplus bytes, damaged gzip.
        DataError: the file cannot be read (permissions, a folder).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_idx(Path(folder) / "a.gz", np.arange(6, dtype=np.uint8).reshape(2, 3))
        ...     read_idx(Path(folder) / "a.gz")
        array([[0, 1, 2],
               [3, 4, 5]], dtype=uint8)
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            packed_size = os.fstat(file.fileno()).st_size
            is_gzip = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not is_gzip:
                return _parse(path, file, packed_size)
            return _parse_gzip(path, file, packed_size)
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}; check that it is a file "
            "that you can read"
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into this machine's memory") from error


def write_idx(path: str | os.PathLike, array: ArrayLike) -> None:
    """Writes an array as an IDX file, gzipped if the name ends in ``.gz``.

    Raises:
        ShapeError: the array is a scalar, or not uint8, int8, int16, int32, float32 or float64.
    """
    array = np.asarray(array)
    codes = {dtype.newbyteorder("="): code for code, dtype in IDX_DTYPES.items()}
    code = codes.get(array.dtype.newbyteorder("="))
    if code is None or array.ndim == 0:
        raise ShapeError(
            f"IDX cannot hold {array.dtype} of shape {array.shape}: convert it to one of "
            f"{sorted(map(str, codes))} with at least one dimension"
        )
    content = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    content += array.astype(IDX_DTYPES[code]).tobytes()
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    Path(path).write_bytes(content)


def find_idx_files(folder: Path) -> dict[str, Path]:
    """Finds a data set's four IDX files by role, preferring plain files to gzip.

    Accepts the published names, and ``.idx`` for ``-idx`` as in the course.

    Raises:
        DataUnavailableError: the folder or all four files are missing.
        DataError: some of the four are missing, or the folder cannot be read.
    """
    try:
        present = {entry.name for entry in folder.iterdir()}
    except FileNotFoundError as error:
        raise DataUnavailableError(
            f"folder {folder} does not exist; create it or name another"
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot list {folder}: {error.strerror or error}; check that it is a folder "
            "that you can read"
        ) from error
    found = {role: _first_present(stem, present) for role, stem in IDX_STEMS.items()}
    missing = [IDX_STEMS[role] for role, file_name in found.items() if file_name is None]
    if missing:
        kind = DataUnavailableError if len(missing) == len(found) else DataError
        raise kind(
            f"folder {folder} lacks {', '.join(missing)} (plain or .gz); put the four IDX files "
            "there"
        )
    return {role: folder / file_name for role, file_name in found.items() if file_name}


def read_split(images_path: Path, labels_path: Path, num_classes: int | None = None) -> Split:
    """Reads an image file and its label file, both of unsigned bytes, and checks that they match.

    Returns:
        uint8 images (N, H, W, 1) and int32 labels (N,).

    Raises:
        IDXError: a file is damaged, empty or of the wrong kind, the two do not match, or a label is
            not in 0..num_classes - 1.
    """
    images = _read_bytes(images_path, ndim=3, what="images")
    labels = _read_bytes(labels_path, ndim=1, what="labels")
    if len(images) != len(labels):
        raise IDXError(
            labels_path, 4, f"{len(labels)} labels for the {len(images)} images of {images_path}"
        )
    if num_classes is not None and labels.max() >= num_classes:
        index = int(np.argmax(labels >= num_classes))
        raise IDXError(
            labels_path, 8 + index, f"label {labels[index]} is outside 0..{num_classes - 1}"
        )
    return Split(images[..., np.newaxis], labels.astype(np.int32))


def read_folder(folder: Path, num_classes: int | None = None) -> tuple[Split, Split]:
    """Reads the training and the test part from a folder of four IDX files.

    Raises:
        DataUnavailableError: the folder or all four files are missing.
        DataError: a file is missing, unreadable or damaged (:class:`IDXError`).
    """
    files = find_idx_files(folder)
    train = read_split(files["train_images"], files["train_labels"], num_classes)
    test = read_split(files["test_images"], files["test_labels"], num_classes)
    return train, test


def _parse(path: Path, file: BinaryIO | gzip.GzipFile, max_size: int) -> np.ndarray:
    dtype, shape = _parse_header(path, file)
    start = 4 + 4 * len(shape)
    num_bytes = math.prod(shape) * dtype.itemsize
    if start + num_bytes > max_size:
        raise IDXError(
            path,
            4,
            f"the header's shape {shape} needs {start + num_bytes} bytes and the file cannot hold "
            f"more than {max_size}",
        )
    # Count sizes of 0 as 1: NumPy also refuses (0, 2**32 - 1, 2**32 - 1, 2**32 - 1).
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > sys.maxsize:
        raise IDXError(path, 4, f"no array can have the header's shape {shape}")
    values = _read_up_to(file, num_bytes)
    if len(values) < num_bytes:
        raise IDXError(
            path, start + len(values), f"the file ends {num_bytes - len(values)} bytes early"
        )
    if file.read(1):  # for gzip this also checks the stored CRC
        raise IDXError(path, start + num_bytes, f"surplus bytes after shape {shape}")
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _parse_gzip(path: Path, file: BinaryIO, packed_size: int) -> np.ndarray:
    with gzip.GzipFile(fileobj=file) as unpacked:
        try:
            return _parse(path, unpacked, packed_size * _MAX_DEFLATE_RATIO)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise IDXError(path, unpacked.tell(), f"damaged gzip data ({error})") from error


def _parse_header(path: Path, file: BinaryIO | gzip.GzipFile) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4:
        raise IDXError(path, len(magic), "the file ends inside the magic number")
    if magic[:2] != b"\0\0":
        raise IDXError(path, 0, f"magic number 0x{magic.hex()} does not start with two zero bytes")
    if magic[2] not in IDX_DTYPES:
        raise IDXError(path, 2, f"unknown type code 0x{magic[2]:02x}")
    num_dims = magic[3]
    if num_dims == 0:
        raise IDXError(path, 3, "the header announces no dimension")
    if num_dims > _MAX_DIMENSIONS:
        raise IDXError(
            path,
            3,
            f"the header announces {num_dims} dimensions, at most {_MAX_DIMENSIONS} are read",
        )
    sizes = file.read(4 * num_dims)
    if len(sizes) < 4 * num_dims:
        raise IDXError(path, 4 + len(sizes), f"the file ends inside its {num_dims} dimensions")
    return IDX_DTYPES[magic[2]], struct.unpack(f">{num_dims}I", sizes)


def _read_up_to(file: BinaryIO | gzip.GzipFile, num_bytes: int) -> bytearray:
    """Reads in chunks, so that memory grows with the content and not with the header's promise."""
    values = bytearray()
    while len(values) < num_bytes:
        chunk = file.read(min(_CHUNK, num_bytes - len(values)))
        if not chunk:
            break
        values += chunk
    return values


def _read_bytes(path: Path, ndim: int, what: str) -> np.ndarray:
    array = read_idx(path)
    if array.dtype != np.uint8:
        raise IDXError(path, 2, f"{what} are {array.dtype}, need unsigned bytes (code 0x08)")
    if array.ndim != ndim:
        raise IDXError(path, 3, f"{what} have {array.ndim} dimensions, need {ndim}")
    if array.size == 0:
        offset = 4 + 4 * array.shape.index(0)
        raise IDXError(path, offset, f"no {what}: shape {array.shape}")
    return array


def _first_present(stem: str, present: set[str]) -> str | None:
    spellings = (stem, stem.replace("-idx", ".idx"))
    candidates = [spelling + suffix for suffix in ("", ".gz") for spelling in spellings]
    return next((name for name in candidates if name in present), None)
