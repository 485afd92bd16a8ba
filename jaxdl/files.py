"""Writing files so that a reader, or a crash, never meets a half-written one."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl.errors import WorkdirError

PART = ".part"  # ends the name of a file that is not complete yet


def write_atomically(path: str | os.PathLike, content: bytes | str) -> None:
    """Writes a file in one move: a temporary file beside it, synced, then renamed onto it.

    Args:
        path: the file.
        content: its content; text is encoded as UTF-8.

    Raises:
        WorkdirError: the folder cannot be written to (or the disk is full); an older file of
            that name is then still as it was.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=PART, delete=False
        ) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise WorkdirError(
            f"cannot write {path}: {error.strerror or error}; choose another folder, or free "
            "space and permissions there"
        ) from error


def _umask() -> int:
    """The process's umask; reading it means setting it."""
    current = os.umask(0)
    os.umask(current)
    return current


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON of plain values and NumPy or JAX scalars and arrays; non-finite numbers as null.

    Example:
        >>> to_json({"loss": np.float32(0.5), "bad": float("nan"), "seeds": np.arange(2)})
        '{"loss": 0.5, "bad": null, "seeds": [0, 1]}'
    """
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
