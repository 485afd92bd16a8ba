"""`torch.save`'s archive of a state dict, read without PyTorch and without unpickling.

The archive is a zip file, nothing in it compressed: `NAME/data.pkl` describes the tensors, and
`NAME/data/KEY` holds the numbers of each storage. A tensor is a strided view of a storage, so what
is returned are views of the file's bytes: nothing is allocated by what the file claims.
"""

import math
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.errors import WeightsError, brief
from jaxdl.interop.archive import open_archive, read_member
from jaxdl.interop.arrays import view
from jaxdl.interop.restricted_pickle import STORAGE_KINDS, StorageRef, TensorRef, interpret


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Reads the tensors of a `.pt` file.

    Args:
        data: the file's content.

    Returns:
        Read-only arrays by name; tensors that share a storage share memory.

    Raises:
        WeightsError: the archive is damaged or unsafe, or holds something else than a mapping of
            names to tensors.

    References:
        course document 000, which saves `netG.state_dict()` as `model.pt`.
    """
    if not data.startswith(b"PK"):
        raise WeightsError(
            "it is not the archive that torch.save writes since PyTorch 1.6; load it with PyTorch "
            "and save network.state_dict() again"
        )
    storages = _Storages(data)
    return {
        name: _view(name, tensor, storages.read(tensor.storage))
        for name, tensor in _tensors(interpret(storages.pickle())).items()
    }


class _Storages:
    """The archive's entries, each read once."""

    def __init__(self, data: bytes) -> None:
        self.archive, members = open_archive(data)
        self.members = {member.filename: member for member in members}
        self.cache: dict[str, bytes] = {}
        for member in members:
            _check_member(member)
        pickles = [name for name in self.members if name.count("/") == 1]
        pickles = [name for name in pickles if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise WeightsError(f"it has {len(pickles)} entries NAME/data.pkl; expected one")
        self.folder = pickles[0].removesuffix("data.pkl")
        if self._content("byteorder", b"little") != b"little":
            raise WeightsError("its numbers are not little-endian; save it on another machine")

    def pickle(self) -> bytes:
        """The description of the tensors."""
        return self._content("data.pkl")

    def read(self, storage: StorageRef) -> bytes:
        """A storage's numbers."""
        dtype = _dtype(storage)
        raw = self._content(f"data/{storage.key}")
        if len(raw) != storage.count * dtype.itemsize:
            raise WeightsError(
                f"storage {brief(storage.key)!r} has {len(raw)} bytes, not the {storage.count} "
                f"numbers of type {dtype} it is said to have"
            )
        return raw

    def _content(self, name: str, default: bytes | None = None) -> bytes:
        path = self.folder + name
        if path not in self.cache:
            if path not in self.members and default is None:
                raise WeightsError(f"it lacks the entry {brief(path)!r}")
            self.cache[path] = (
                read_member(self.archive, self.members[path])
                if path in self.members
                else default or b""
            )
        return self.cache[path]


def _dtype(storage: StorageRef) -> np.dtype:
    name = STORAGE_KINDS[storage.kind]
    return np.dtype(jnp.bfloat16) if name == "bfloat16" else np.dtype(name).newbyteorder("<")


def _check_member(member: zipfile.ZipInfo) -> None:
    """Refuses what torch.save never writes."""
    name = member.filename
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise WeightsError(f"entry {brief(name)!r} points outside the archive: refused")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise WeightsError(f"entry {brief(name)!r} is compressed, as torch.save's never are")


def _tensors(content: Any) -> dict[str, TensorRef]:
    """The mapping of names to tensors, or an explanation of what else it is."""
    if not isinstance(content, dict):
        raise WeightsError(f"it holds {_what(content)}, not a state dict; {_ADVICE}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, TensorRef):
            raise WeightsError(f"entry {brief(name)!r} is {_what(value)}, not a tensor; {_ADVICE}")
    return content


def _what(value: Any) -> str:
    return "a single tensor" if isinstance(value, TensorRef) else f"a {type(value).__name__}"


_ADVICE = "save network.state_dict() alone: torch.save(network.state_dict(), 'model.pt')"


def _view(name: str, tensor: TensorRef, raw: bytes) -> np.ndarray:
    """The tensor as a view of its storage's bytes, which it must not leave."""
    storage, offset, shape, stride = tensor
    dtype = _dtype(storage)
    size = math.prod(shape)
    if size == 0:
        return view(name, raw, dtype, shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if size > storage.count or last >= storage.count:
        raise WeightsError(
            f"entry {brief(name)!r} of shape {shape}, stride {stride} and offset {offset} leaves "
            f"(or repeats) the {storage.count} numbers of its storage"
        )
    strides = tuple(step * dtype.itemsize for step in stride)
    return view(name, raw, dtype, shape, offset=offset * dtype.itemsize, strides=strides)
