"""State dict files: three formats.

| suffix | format |
|---|---|
| `.safetensors` | a JSON table and raw numbers |
| `.npz` | NumPy's archive |
| `.pt`, `.pth` | `torch.save`'s archive; its pickle is interpreted, never executed |

Files are untrusted: readers check every size a file claims against the bytes present before they
allocate anything. Bad files raise a :class:`~jaxdl.errors.WeightsError` that names the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import WeightsError
from jaxdl.files import open_regular, write_atomically
from jaxdl.interop import npz, safetensors, torch_file
from jaxdl.interop.arrays import as_arrays

_FORMATS = {".safetensors": safetensors, ".npz": npz, ".pt": torch_file, ".pth": torch_file}


def load_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a state dict.

    Args:
        path: a `.safetensors`, `.npz`, `.pt` or `.pth` file. The last two may hold a checkpoint
            with a state dict under `state_dict`, `model_state_dict` or `model`.

    Returns:
        Arrays by name, in the file's order and types (bool, integers, floats including bfloat16).
        They may be read-only, and expanded `.pt` tensors repeat the same memory: copy before
        writing.

    Raises:
        WeightsError: the file is missing, damaged or unsafe, or holds anything but tensors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "weights.safetensors")
        ...     save_state_dict(path, {"fc.bias": np.array([1.0, 2.0])})
        ...     load_state_dict(path)
        {'fc.bias': array([1., 2.])}
    """
    path = Path(path)
    decode = _format(path).decode
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise WeightsError(
            f"cannot read {path}: {error.strerror or error}; check the name and its permissions"
        ) from error
    try:
        return decode(data)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def save_state_dict(path: str | os.PathLike, state_dict: Mapping[str, ArrayLike]) -> None:
    """Writes a state dict atomically.

    Args:
        path: a `.safetensors` file, which orders entries by type and name, or an `.npz`, `.pt` or
            `.pth` file, which keep the order given. An existing file is replaced.
        state_dict: arrays or PyTorch tensors by name; bfloat16 tensors are written as float32.

    Raises:
        WeightsError: the suffix is unknown, or the format lacks an array's type.
        WorkdirError: the file cannot be written.
    """
    path = Path(path)
    encode = _format(path).encode
    try:
        data = encode(as_arrays(state_dict))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    write_atomically(path, data)


def _format(path: Path) -> ModuleType:
    try:
        return _FORMATS[path.suffix]
    except KeyError:
        raise WeightsError(
            f"{path}: weights are not kept in {path.suffix or 'a file without suffix'}; "
            f"possible: {', '.join(_FORMATS)}"
        ) from None
