"""A program's exit status, and what happens if nobody reads its output."""

import contextlib
import os
import sys
from collections.abc import Iterator

STATUS_FAULT = 1
STATUS_USER_ERROR = 2
STATUS_INTERRUPTED = 130
STATUS_UNREAD = 141  # what a shell shows for a program that SIGPIPE ended


@contextlib.contextmanager
def quiet_when_unread() -> Iterator[None]:
    """Exits quietly, with status 141, if the reader of the output has left, as in ``… | head -2``.

    SIGPIPE itself stays ignored: it would end the process for a lost network connection too.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left in the buffer when it ends; that must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        from jaxdl.distributed import peers  # slow to import

        peers.leave("nobody reads its output any more", STATUS_UNREAD)
        sys.exit(STATUS_UNREAD)
