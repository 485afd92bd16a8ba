"""Progress on the console: a bar on a terminal or in a notebook, plain lines elsewhere."""

import time
from collections.abc import Callable

from jaxdl.run.log import Record
from jaxdl.run.progress import ProgressBar, has_screen
from jaxdl.run.schedule import Point

SECONDS_BETWEEN_LINES = 10.0


class Console(ProgressBar):
    """Prints what a run does.

    Args:
        describe: formats a record's metrics for the middle of the line.
        quiet: print nothing, as in all processes but the first.
    """

    def __init__(self, describe: Callable[[Record], str], quiet: bool = False) -> None:
        super().__init__(describe)
        self.quiet = quiet
        self._last_line = 0.0

    def message(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        if not self.quiet:
            super().message(text)

    def update(self, point: Point, record: Record) -> None:
        """Shows progress: on a bar, or in a line every few seconds."""
        if self.quiet:
            return
        if has_screen():
            super().update(point, record)
            return
        text, now = self.line(point, record), time.perf_counter()
        if point.ends_epoch or now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(text, flush=True)

    def close(self) -> None:
        """Ends a run; the next one starts a new bar."""
        super().close()
        self._last_line = 0.0
