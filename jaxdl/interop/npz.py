"""NumPy's `.npz`: a zip archive with one `.npy` file per array, read without pickle."""

import io
import math
import warnings
import zipfile
from collections.abc import Mapping

import numpy as np

from jaxdl.errors import WeightsError, brief
from jaxdl.interop.archive import check_growth, open_archive, read_member
from jaxdl.interop.arrays import view

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Reads the arrays of an `.npz` file, named without the `.npy` suffix.

    Raises:
        WeightsError: the archive or an entry is damaged, unpacks to over 1 GiB more than the file,
            or does not hold numbers.

    Example:
        >>> decode(encode({"a": np.array([1, 2], "i1")}))
        {'a': array([1, 2], dtype=int8)}
    """
    archive, members = open_archive(data)
    check_growth(sum(member.file_size for member in members), len(data))
    arrays = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise WeightsError(f"entry {brief(name)!r} occurs twice")
        arrays[name] = _array(name, read_member(archive, member))
    return arrays


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the content of an uncompressed `.npz` file; equal arrays give equal bytes.

    Raises:
        WeightsError: an array does not hold numbers of a type NumPy can name.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            _check_type(name, array.dtype)
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    return content.getvalue()


def _array(name: str, content: bytes) -> np.ndarray:
    """Reads a `.npy` file, whose header must account for exactly the bytes that follow."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # reject headers NumPy would repair
            shape, fortran_order, dtype = _READ_HEADER[version](stream)
        str(shape)  # fails on an integer of thousands of digits
    except Exception as error:  # NumPy parses the header as Python, so anything can happen
        raise WeightsError(
            f"entry {brief(name)!r} has no readable .npy header: {brief(error)}"
        ) from error
    _check_type(name, dtype)
    present = len(content) - stream.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != present:
        raise WeightsError(
            f"entry {brief(name)!r} of type {dtype} and shape {brief(shape)} does not fill its "
            f"{present} bytes"
        )
    order = "F" if fortran_order else "C"
    return view(name, content, dtype, shape, offset=stream.tell(), order=order)


def _check_type(name: str, dtype: np.dtype) -> None:
    if dtype.kind not in "fiub":
        raise WeightsError(
            f"entry {brief(name)!r} has type {dtype}; possible are floating-point numbers, "
            "integers and bool"
        )
