"""The safetensors format, through the `safetensors` package.

This module closes gaps of the package (0.8.0). When reading, it keeps only one of several entries
with the same name, returns entries in random order, lacks bfloat16 in NumPy, and accepts a 100 MB
table. When writing, it takes the memory behind a transposed or expanded array for its contents, so
arrays are made dense first.

References:
    https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jaxdl.errors import WeightsError, brief
from jaxdl.interop.arrays import view

MAX_TABLE_BYTES = 5_000_000
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
    "BOOL": np.dtype("?"),
}


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Reads the arrays of a safetensors file, in the table's order.

    Raises:
        WeightsError: the file does not follow the format.

    Example:
        >>> decode(encode({"a": np.array([[1, 2]], "i1")}))
        {'a': array([[1, 2]], dtype=int8)}
    """
    length = _table_bytes(data)
    if length > MAX_TABLE_BYTES:
        raise WeightsError(
            f"its table has {length} bytes, at most {MAX_TABLE_BYTES} can be read: it is damaged "
            "or not a safetensors file"
        )
    try:
        entries = dict(safetensors.deserialize(data))
        table = _table(data)
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"it is cut off, damaged, or not a safetensors file: {brief(error)!r}"
        ) from error
    return {name: _array(name, entries[name]) for name in table if name != _METADATA}


def read_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a file that :func:`decode` has accepted; {} if it has none.

    Example:
        >>> read_metadata(encode({"a": np.zeros(1)}, {"model": "toy"}))
        {'model': 'toy'}
    """
    return _table(data).get(_METADATA, {})


def encode(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """Returns the content of a safetensors file; equal arrays give equal bytes.

    The format orders arrays by type, then by name.

    Args:
        arrays: by name.
        metadata: texts about the weights, such as the architecture, for other programs to read.

    Raises:
        WeightsError: the format does not allow a name or a type.
    """
    if _METADATA in arrays:
        raise WeightsError(f"an entry cannot be called {_METADATA}: the format keeps that name")
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in _DTYPES.values():
            raise WeightsError(
                f"entry {brief(name)!r} has type {array.dtype}, which is not written to "
                f"safetensors; possible: {', '.join(str(known) for known in _DTYPES.values())}"
            )
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    data = safetensors.numpy.save(dense)
    return _with_metadata(data, metadata) if metadata else data


def _with_metadata(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Adds metadata to a file's table; the package would order its entries at random."""
    table = {_METADATA: dict(metadata), **_table(data)}
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + _table_bytes(data) :]


def _table_bytes(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _table(data: bytes) -> dict[str, Any]:
    return json.loads(data[8 : 8 + _table_bytes(data)], object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name occurs twice")
    return names


def _array(name: str, entry: dict[str, Any]) -> np.ndarray:
    code = entry["dtype"]
    if code not in _DTYPES:
        raise WeightsError(f"entry {brief(name)!r} has type {code}; possible: {', '.join(_DTYPES)}")
    return view(name, entry["data"], _DTYPES[code], entry["shape"])
