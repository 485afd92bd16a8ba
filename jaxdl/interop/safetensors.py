"""The safetensors format: a length, a JSON table, and raw numbers.

A file is 8 bytes (the length of the table, little-endian), the table, and the data. The table maps
each name to ``dtype``, ``shape`` and ``data_offsets`` [begin, end) counted from the data's start;
an optional ``__metadata__`` maps strings to strings. Arrays are little-endian, C order, and fill
the data without gap or overlap.

References:
    https://github.com/huggingface/safetensors#format
"""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.errors import WeightsError, brief
from jaxdl.interop.arrays import view

MAX_TABLE_BYTES = 10_000_000
_METADATA = "__metadata__"
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file.

    Args:
        data: the file's content.

    Returns:
        Read-only views of the content, by name, in the table's order.

    Raises:
        WeightsError: anything in the file is not as the format says.

    Example:
        >>> decode(encode({"a": np.array([[1, 2]], "i1")}))
        {'a': array([[1, 2]], dtype=int8)}
    """
    table, start = _table(data)
    arrays, spans = {}, []
    for name, entry in table.items():
        dtype, shape, begin, end = _checked(name, entry, len(data) - start)
        spans.append((begin, end, name))
        arrays[name] = view(name, data, dtype, shape, offset=start + begin)
    _check_spans(sorted(spans), len(data) - start)
    return arrays


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Makes the content of a safetensors file.

    Args:
        arrays: by name.

    Returns:
        The content.

    Raises:
        WeightsError: a name or a type that the format does not have.
    """
    table: dict[str, Any] = {}
    parts = []
    position = 0
    # Wide types first, so that every array lies at a multiple of its item size.
    for name in sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize):
        code, raw = _raw(name, arrays[name])
        table[name] = {
            "dtype": code,
            "shape": list(arrays[name].shape),
            "data_offsets": [position, position + len(raw)],
        }
        parts.append(raw)
        position += len(raw)
    header = json.dumps({name: table[name] for name in arrays}).encode()
    header += b" " * (-len(header) % 8)
    return b"".join([len(header).to_bytes(8, "little"), header, *parts])


def _raw(name: str, array: np.ndarray) -> tuple[str, bytes]:
    """The type's code, and the bytes in C order."""
    if name == _METADATA:
        raise WeightsError(f"an entry cannot be called {name}: the format keeps that name")
    dtype = array.dtype.newbyteorder("<") if array.dtype.byteorder == ">" else array.dtype
    for code, known in _DTYPES.items():
        if known == dtype and sys.byteorder == "little":
            return code, array.astype(dtype, copy=False).tobytes()
    raise WeightsError(
        f"entry {brief(name)!r} has type {array.dtype}, which safetensors cannot hold here; "
        f"possible: {', '.join(str(known) for known in _DTYPES.values())}"
    )


def _table(data: bytes) -> tuple[dict[str, Any], int]:
    """The table without its metadata, and where the data start."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise WeightsError(
            f"the file has {len(data)} bytes, but its table alone needs {length} after the first "
            "8: it is cut off, or no safetensors file"
        )
    if length > MAX_TABLE_BYTES:
        raise WeightsError(f"its table has {length} bytes; at most {MAX_TABLE_BYTES} are read")
    try:
        table = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"its table is no JSON of the expected form: {brief(error)}") from error
    if not isinstance(table, dict):
        raise WeightsError("its table is not a JSON object")
    metadata = table.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise WeightsError(f"{_METADATA} must map strings to strings")
    return table, 8 + length


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name occurs twice")
    return names


def _checked(name: str, entry: Any, available: int) -> tuple[np.dtype, list[int], int, int]:
    """An entry's type, shape, begin and end, all of which fit together and lie in the file."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(
            f"entry {brief(name)!r} must have dtype, shape and data_offsets, no more"
        )
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise WeightsError(
            f"entry {brief(name)!r} has an unknown dtype; known: {', '.join(_DTYPES)}"
        )
    if not _are_sizes(shape) or len(shape) > 32:
        raise WeightsError(f"entry {brief(name)!r}: its shape is not a list of at most 32 sizes")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise WeightsError(f"entry {brief(name)!r}: its data_offsets are not two sizes")
    begin, end = offsets
    if not begin <= end <= available:
        raise WeightsError(
            f"entry {brief(name)!r} lies at bytes {begin} to {end} of {available}: the file is cut "
            "off or the entry wrong"
        )
    dtype = _DTYPES[code]
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise WeightsError(
            f"entry {brief(name)!r} of type {code} and shape {tuple(shape)} does not fill its "
            f"{end - begin} bytes"
        )
    return dtype, shape, begin, end


def _are_sizes(values: Any) -> bool:
    # type(), not isinstance: JSON's true is a Python int. Above 2^48 it is no size of a file.
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**48 for v in values)


def _check_spans(spans: list[tuple[int, int, str]], available: int) -> None:
    """Refuses entries that overlap or leave bytes between or after them."""
    position = 0
    for begin, end, name in spans:
        if begin != position:
            what = "overlaps the one before it" if begin < position else "leaves a gap before it"
            raise WeightsError(f"entry {brief(name)!r} at bytes {begin} to {end} {what}")
        position = end
    if position != available:
        raise WeightsError(f"{available - position} bytes after the last entry belong to none")
