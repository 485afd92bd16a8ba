"""`torch.save` archives of state dicts, read without PyTorch and without unpickling.

The archive is an uncompressed zip file: `NAME/data.pkl` describes the tensors, and `NAME/data/KEY`
holds the numbers of each storage. A tensor is a strided view of a storage, so the arrays returned
are views of the file's bytes, and no claim in the file makes us allocate anything.
"""

import math
import re
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.errors import WeightsError, brief
from jaxdl.interop.archive import check_growth, open_archive, read_member
from jaxdl.interop.arrays import view
from jaxdl.interop.restricted_pickle import STORAGE_KINDS, StorageRef, TensorRef, interpret

CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")


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
            f"entry {brief(name)!r} of shape {shape}, stride {stride} and offset {offset} leaves "
            f"the {storage.count} numbers of its storage"
        )
    strides = tuple(step * dtype.itemsize for step in stride)
    return view(name, raw, dtype, shape, offset=offset * dtype.itemsize, strides=strides)
