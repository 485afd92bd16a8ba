"""A lock that allows one run at a time in a folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from jaxdl.errors import WorkdirError

LOCK = ".lock"
_held: dict[Path, int] = {}  # how often this process has entered each folder


@contextlib.contextmanager
def run_lock(folder: str | os.PathLike) -> Iterator[None]:
    """Keeps other processes' runs out of a folder, creating it if missing, while the block runs.

    The lock is the kernel's (``flock``): it is released when the process ends, however it ends, and
    a leftover lock file locks nothing. Nested blocks in one process are allowed.

    Raises:
        WorkdirError: another process has a run there, or the folder is not writable.

    Example:
        >>> import tempfile
        >>> with run_lock(tempfile.mkdtemp()):
        ...     pass
    """
    path = Path(os.path.realpath(folder)) / LOCK
    with contextlib.ExitStack() as stack:
        if not _held.get(path):
            stack.enter_context(_locked(path))
        _held[path] = _held.get(path, 0) + 1
        try:
            yield
        finally:
            _held[path] -= 1


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise WorkdirError(
            f"cannot use {path.parent} as a run's folder: {error.strerror}; choose another one"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise WorkdirError(
                f"{path.parent} is in use by another run (process {file.read().strip() or '?'} on "
                "this machine, or on one that shares the folder); wait for it, stop it, or choose "
                "another folder"
            ) from None
        except OSError as error:
            raise WorkdirError(
                f"{path} cannot be locked: {error.strerror}; choose a folder on a file system "
                "that has locks"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
