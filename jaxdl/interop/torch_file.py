"""`torch.save` archives of state dicts, without PyTorch: read without unpickling, and written.

The archive is an uncompressed zip file: `NAME/data.pkl` describes the tensors, and `NAME/data/KEY`
holds the numbers of each storage. A tensor is a strided view of a storage, so the arrays returned
are views of the file's bytes, and no claim in the file makes us allocate anything.

References:
    PyTorch's "Serialization semantics", https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

import io
import math
import re
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.errors import WeightsError, brief
from jaxdl.interop.archive import check_growth, open_archive, read_member
from jaxdl.interop.arrays import view
from jaxdl.interop.restricted_pickle import STORAGE_KINDS, StorageRef, TensorRef, interpret

CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
ALIGNMENT = 64  # bytes; as torch.save's, so that PyTorch can map the numbers into memory


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pt` file.

    The file may hold a state dict, or a checkpoint that contains one: under a key of
    :data:`CHECKPOINT_KEYS`, or as its only mapping from names to tensors.

    Returns:
        Read-only arrays by name. Tensors that share a storage share memory.

    Raises:
        WeightsError: the archive is damaged or unsafe, or holds no state dict, or several.

    References:
        course document 000, which saves `netG.state_dict()` as `model.pt`.
    """
    if not data.startswith(b"PK"):
        raise WeightsError(
            "it is not the archive that torch.save writes since PyTorch 1.6; load it with PyTorch "
            "and save network.state_dict() again"
        )
    entries = _Entries(data)
    if entries.read("byteorder", default=b"little") != b"little":
        raise WeightsError("its numbers are not little-endian; save it on another machine")
    tensors = _state_dict(interpret(entries.read("data.pkl")))
    storages = dict.fromkeys(tensor.storage for tensor in tensors.values())
    if len({storage.key for storage in storages}) < len(storages):
        raise WeightsError("its tensors describe one storage in several ways: it is damaged")
    numbers = {storage: _numbers(storage, entries) for storage in storages}
    arrays = {name: _view(name, tensor, numbers) for name, tensor in tensors.items()}
    check_growth(sum(array.nbytes for array in arrays.values()), len(data))
    return arrays


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the content of a `.pt` file that holds a state dict; equal arrays give equal bytes.

    `torch.load` reads it with `weights_only=True`. Each tensor has a storage of its own.

    Raises:
        WeightsError: PyTorch has no storage for an array's type.

    Example:
        >>> decode(encode({"a": np.array([1, 2], "i1")}))
        {'a': array([1, 2], dtype=int8)}
    """
    numbered = {str(key): array for key, array in enumerate(arrays.values())}
    tensors = [_tensor(n, key, numbered[key]) for n, key in zip(arrays, numbered, strict=True)]
    entries = {
        "data.pkl": b"\x80\x02" + _ORDERED_DICT + b"(" + b"".join(tensors) + b"u.",
        "byteorder": b"little",
        **{f"data/{key}": _little_endian(array).tobytes() for key, array in numbered.items()},
        "version": b"3\n",
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in entries.items():
            member = zipfile.ZipInfo(f"archive/{name}")
            header = content.tell() + 30 + len(member.filename) + 4  # 4: of the padding itself
            padding = -header % ALIGNMENT
            member.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            archive.writestr(member, data)
    return content.getvalue()


# Instructions of a pickle: c GLOBAL, ( MARK, t TUPLE, ) EMPTY_TUPLE, R REDUCE (a call),
# Q BINPERSID (a storage), X BINUNICODE, \x8a LONG1, \x89 NEWFALSE, u SETITEMS.
_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def _tensor(name: str, key: str, array: np.ndarray) -> bytes:
    """The instructions that push a name and its tensor, which is the whole storage ``key``."""
    kinds = {_dtype(StorageRef(kind, key, 0)): kind for kind in STORAGE_KINDS}
    dtype = _little_endian(array).dtype
    if dtype not in kinds:
        raise WeightsError(
            f"entry {brief(name)!r} has type {dtype}, which PyTorch's files lack; possible: "
            f"{', '.join(STORAGE_KINDS.values())}"
        )
    storage = (
        b"(" + _text("storage") + b"c%b\n%b\n" % tuple(part.encode() for part in kinds[dtype])
    ) + (_text(key) + _text("cpu") + _integer(array.size) + b"tQ")
    stride = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    view = _integer(0) + _integers(array.shape) + _integers(stride)
    arguments = b"(" + storage + view + b"\x89" + _ORDERED_DICT + b"t"
    return _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def _integer(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little")


def _integers(values: Iterable[int]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"


def _little_endian(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)


class _Entries:
    """The archive's entries, by name below its one folder."""

    def __init__(self, data: bytes) -> None:
        self.archive, members = open_archive(data)
        self.members = {member.filename: member for member in members}
        for member in members:
            _check_member(member)
        pickles = [name for name in self.members if re.fullmatch(r"[^/]+/data\.pkl", name)]
        if len(pickles) != 1:
            raise WeightsError(f"it has {len(pickles)} entries NAME/data.pkl; expected one")
        self.folder = pickles[0].removesuffix("data.pkl")

    def read(self, name: str, default: bytes | None = None) -> bytes:
        path = self.folder + name
        if path in self.members:
            return read_member(self.archive, self.members[path])
        if default is None:
            raise WeightsError(f"it lacks the entry {brief(path)!r}")
        return default


def _check_member(member: zipfile.ZipInfo) -> None:
    """Refuses what torch.save never writes."""
    name = member.filename
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise WeightsError(f"entry {brief(name)!r} points outside the archive: refused")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise WeightsError(f"entry {brief(name)!r} is compressed, as torch.save's never are")


def _state_dict(content: Any) -> dict[str, TensorRef]:
    """Finds the mapping from names to tensors, or says what the file holds instead."""
    if not isinstance(content, dict):
        raise WeightsError(f"it holds {_what(content)}, not a state dict; {_ADVICE}")
    if all(isinstance(value, TensorRef) for value in content.values()):
        return content
    nested = {key: value for key, value in content.items() if _is_state_dict(value)}
    usual = [key for key in CHECKPOINT_KEYS if key in nested]
    keys = usual or list(nested)
    if len(keys) > 1:
        raise WeightsError(f"it holds several state dicts, {brief(', '.join(keys))}; {_ADVICE}")
    for key in keys:
        return nested[key]
    name, value = next((n, v) for n, v in content.items() if not isinstance(v, TensorRef))
    raise WeightsError(f"entry {brief(name)!r} is {_what(value)}, not a tensor; {_ADVICE}")


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(tensor, TensorRef) for tensor in value.values())
    )


def _what(value: Any) -> str:
    return "a single tensor" if isinstance(value, TensorRef) else f"a {type(value).__name__}"


_ADVICE = "save network.state_dict() alone: torch.save(network.state_dict(), 'model.pt')"


def _dtype(storage: StorageRef) -> np.dtype:
    name = STORAGE_KINDS[storage.kind]
    return np.dtype(jnp.bfloat16) if name == "bfloat16" else np.dtype(name).newbyteorder("<")


def _numbers(storage: StorageRef, entries: _Entries) -> bytes:
    dtype = _dtype(storage)
    raw = entries.read(f"data/{storage.key}")
    if len(raw) != storage.count * dtype.itemsize:
        raise WeightsError(
            f"storage {brief(storage.key)!r} has {len(raw)} bytes, not the {storage.count} "
            f"numbers of type {dtype} it is said to have"
        )
    view(storage.key, raw, dtype, (storage.count,))  # refuses bytes that are not bool
    return raw


def _view(name: str, tensor: TensorRef, numbers: dict[StorageRef, bytes]) -> np.ndarray:
    """Returns the tensor as a view of its storage's bytes, which it must not leave."""
    storage, offset, shape, stride = tensor
    dtype, raw = _dtype(storage), numbers[storage]
    if math.prod(shape) == 0:
        return view(name, raw, dtype, shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if last >= storage.count:
        raise WeightsError(
            f"entry {brief(name)!r} of shape {shape}, stride {stride} and offset {offset} exceeds "
            f"the {storage.count} numbers of its storage"
        )
    strides = tuple(step * dtype.itemsize for step in stride)
    return view(name, raw, dtype, shape, offset=offset * dtype.itemsize, strides=strides)
