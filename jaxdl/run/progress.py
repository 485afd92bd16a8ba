"""Progress reporters: a bar on a terminal or in a notebook, nothing elsewhere."""

import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from jaxdl.run._notebook_bar import NotebookBar
from jaxdl.run.log import Record, shown_metrics
from jaxdl.run.schedule import Point
from jaxdl.run.signals import StopSignals

# With the number of characters beside {desc}.
WIDE_BAR = ("{percentage:3.0f}%|{bar:10}| {desc}", 17)
NARROW_BAR = ("{percentage:3.0f}% {desc}", 5)
WIDE = 60  # columns of a terminal with room for a drawn bar
ECHO = 3  # columns left free: a terminal shows "^C" there, and wraps after the last
# Spaces between a description's parts: not after a name's colon, and not inside parentheses.
_BETWEEN_PARTS = re.compile(r"(?<!:) (?![^(]*\))")


class Silent:
    """A reporter that shows nothing."""

    def update(self, point: Point, record: Record) -> None:
        """Does nothing."""

    def message(self, text: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class UntilStopped:
    """A reporter whose progress stands still once a signal has asked the run to stop."""

    def __init__(self, reporter: Any, signals: StopSignals) -> None:
        self._reporter, self._signals = reporter, signals

    def update(self, point: Point, record: Record) -> None:
        """Shows progress until the signal."""
        if not self._signals.received:
            self._reporter.update(point, record)

    def message(self, text: str) -> None:
        """Shows a line of text."""
        self._reporter.message(text)


class ProgressBar:
    """A bar with percentage, time left, metrics (formatted by ``describe``), position and speed.

    On a terminal, parts that do not fit the line are left out, the last ones first.
    """

    def __init__(self, describe: Callable[[Record], str] = shown_metrics) -> None:
        self.describe = describe
        self._bar: Any = None
        self._begin: tuple[float, int] | None = None
        self._is_drawn = False

    def message(self, text: str) -> None:
        """Prints a line in place of the bar, which the next update draws again."""
        if self._bar is not None and isinstance(self._bar.ncols, int):
            self._bar.display(" " * self._bar.ncols)
            self._bar.fp.write("\r")
            self._bar.fp.flush()
        self._is_drawn = False
        print(text, flush=True)

    def update(self, point: Point, record: Record) -> None:
        """Moves the bar to the given point."""
        parts = self._parts(point, record)
        self._is_drawn = True
        if _in_notebook():
            self._bar = self._bar or NotebookBar("", point.step, point.schedule.total_steps)
            self._bar.n, self._bar.desc = point.step, " ".join(parts)
            self._bar.refresh()
            return
        columns = _columns()
        bar_format, room = _layout(columns)
        text = _fitted(parts, room)
        if self._bar is None:
            self._bar = _new_bar(point, text, columns)
            return
        self._bar.n, self._bar.desc, self._bar.bar_format = point.step, text, bar_format
        self._bar.ncols = columns - 1
        self._bar.refresh()

    def line(self, point: Point, record: Record) -> str:
        """A plain line about the given point."""
        left = self._left(point)
        epoch, step = _counters(point)
        rate = f"{record['images_per_second']:.0f} images/s"
        return (
            f"{epoch} {step} {self.describe(record)} Time: {clock(record['seconds'])} "
            f"({', '.join([rate, *left])})"
        )

    def _parts(self, point: Point, record: Record) -> list[str]:
        """What the bar says, the most important first."""
        metrics = _BETWEEN_PARTS.split(self.describe(record))
        rate = f"({record['images_per_second']:.0f} images/s)"
        return [*self._left(point), *filter(None, metrics), *_counters(point), rate]

    def _left(self, point: Point) -> list[str]:
        """The time left, extrapolated from the first call, where it is unknown."""
        now = time.perf_counter()
        begin, first = self._begin = self._begin or (now, point.step)
        if point.step <= first:
            return []
        seconds = (point.schedule.total_steps - point.step) * (now - begin) / (point.step - first)
        return [f"{clock(seconds)} left"]

    def close(self) -> None:
        """Ends the run's bar; the next update starts a new one.

        A complete bar stays on screen, an unfinished one unless a message has taken its place.
        """
        self._begin = None
        if self._bar is not None:
            self._bar.leave = self._is_drawn or self._bar.n >= self._bar.total
            self._bar.close()
            self._bar = None


def default_reporter(progress: bool | None = None) -> ProgressBar | Silent:
    """The reporter used when none is given; call ``close`` at the end of the run.

    ``progress`` says whether to show a bar; None shows one if there is a screen.

    Example:
        >>> default_reporter(progress=False).message("nobody reads this")
    """
    return ProgressBar() if (has_screen() if progress is None else progress) else Silent()


def tqdm_class() -> Any:
    """The bar of tqdm for a terminal or a notebook, whichever this is."""
    with warnings.catch_warnings():  # without ipywidgets tqdm warns and falls back to text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    return tqdm


def has_screen() -> bool:
    """Whether output goes to a terminal or a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def clock(seconds: float) -> str:
    """Formats a duration in seconds.

    Example:
        >>> clock(9.6), clock(75), clock(3700)
        ('10s', '1m15s', '1h01m')
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"


def _in_notebook() -> bool:
    # Only a notebook's shell has a kernel; the package ipykernel may be imported anywhere.
    python = sys.modules.get("IPython")
    return python is not None and hasattr(python.get_ipython(), "kernel")


def _counters(point: Point) -> tuple[str, str]:
    epoch = _counter(point.epoch, point.schedule.last_epoch)
    step = _counter(point.step_in_epoch, point.schedule.steps_per_epoch)
    return f"Epoch: [{epoch}]", f"Step: [{step}]"


def _counter(count: int, last: int) -> str:
    return f"{count:0{len(str(last))}d}/{last}"


def _fitted(parts: Sequence[str], room: int) -> str:
    """As many of the first parts as there is room for, at least one."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 1 + len(part) > room:
            break
        text += f" {part}"
    return text


def _columns() -> int:
    """The terminal's width."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns or shutil.get_terminal_size().columns  # some terminals do not know their size


def _layout(columns: int) -> tuple[str, int]:
    """The bar's format, and the number of characters it has for the text."""
    bar_format, beside = WIDE_BAR if columns >= WIDE else NARROW_BAR
    return bar_format, columns - beside - ECHO


def _new_bar(point: Point, text: str, columns: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        desc=text,
        initial=point.step,
        total=point.schedule.total_steps,
        bar_format=_layout(columns)[0],
        ncols=columns - 1,
        nrows=20,  # tqdm draws nothing where it is told 0
    )
