"""Atomic writes of files and folders, and reads of regular files only."""

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxdl.errors import JaxdlError, WorkdirError

PART = ".part"  # suffix of incomplete files
CACHE_VARIABLE = "JAXDL_CACHE_DIR"


def cache_root() -> Path:
    """The user's folder for what can be made again; ``JAXDL_CACHE_DIR`` overrides it."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxdl"


def write_atomically(path: str | os.PathLike, content: bytes | str) -> None:
    """Writes a file atomically: to a temporary file beside it, synced and then renamed.

    The umask applies as for any new file. Text is encoded as UTF-8.

    Raises:
        WorkdirError: the folder is not writable or the disk is full; an existing file is unchanged.
    """
    with open_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def open_atomically(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which takes its place when the ``with`` block ends.

    If the block fails, nothing is left of it; otherwise as :func:`write_atomically`.
    """
    path = Path(path)
    with _put_in_place(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A folder to fill, which takes its place when the ``with`` block ends.

    If the block fails, nothing is left of it.

    Raises:
        WorkdirError: there is something else than an empty folder, or it cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "new")
        >>> with new_folder(path) as folder:
        ...     _ = (folder / "file").write_text("content")
        >>> [file.name for file in path.iterdir()]
        ['file']
    """
    path = Path(path).absolute()
    check_unused(path)
    with _put_in_place(path) as temporary:
        temporary.mkdir(parents=True)
        yield temporary
        if path.is_dir():
            path.rmdir()
        os.replace(temporary, path)


def check_unused(path: str | os.PathLike) -> None:
    """Raises a WorkdirError unless there is nothing at a path, or an empty folder."""
    path = Path(path)
    try:
        if path.is_dir() and any(path.iterdir()):
            raise WorkdirError(f"{path} holds files already; choose another folder")
    except PermissionError as error:
        raise WorkdirError(f"cannot look into {path}: {error.strerror}") from error
    if not path.is_dir() and os.path.lexists(path):
        raise WorkdirError(f"{path} is not a folder; choose another place")


@contextlib.contextmanager
def _put_in_place(path: Path) -> Iterator[Path]:
    """A name beside ``path`` for what will be renamed to it; removed if that fails."""
    # Not tempfile: its files are private to their owner, and the umask cannot be read without
    # changing it, during which another thread's new files would be open to everyone.
    temporary = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}{PART}")
    try:
        yield temporary
    except BaseException as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError) or isinstance(error, JaxdlError):
            raise
        raise WorkdirError(
            f"cannot write {path}: {error.strerror or error}; choose another folder, or free "
            "space and permissions there"
        ) from error


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a regular file, or a link to one, for reading.

    Opening a pipe may block, and reading a device may never end.

    Raises:
        OSError: it is missing, unreadable or not a regular file.

    Example:
        >>> open_regular("/dev/null")
        Traceback (most recent call last):
            ...
        OSError: [Errno 22] not a regular file: '/dev/null'
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # open itself refuses folders
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return Path(path).open("rb")


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON of plain values and NumPy or JAX scalars and arrays; non-finite numbers become null.

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
