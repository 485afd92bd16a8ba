"""SIGTERM and Ctrl-C: the first asks a run to save and stop, the second ends it at once."""

import contextlib
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


def signal_name(number: int) -> str:
    """A signal's familiar name.

    Example:
        >>> signal_name(2), signal_name(15)
        ('Ctrl-C', 'SIGTERM')
    """
    return _NAMES[signal.Signals(number)]


class StopSignals:
    """Records SIGINT and SIGTERM inside a ``with`` block instead of ending the process.

    After the first signal, the next one takes effect at once: it ends the process, even during a
    computation; in a notebook or an interactive session Ctrl-C raises KeyboardInterrupt. Leaving
    the block restores the previous handlers. Outside the main thread, where Python allows no
    handlers, the block does nothing.

    Attributes:
        received: the signal's number, 0 until one arrives.

    Example:
        >>> with StopSignals() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        >>> stop.received
        15
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._take) for s in _NAMES}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None: a handler that was not installed from Python cannot be restored.
            with contextlib.suppress(TypeError):
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = number
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        at_once = signal.default_int_handler if _is_interactive() else signal.SIG_DFL
        signal.signal(signal.SIGINT, at_once)


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules
