"""Progress reporters: a bar on a terminal or in a notebook, nothing elsewhere."""

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from jaxdl.run.log import Record, shown_metrics
from jaxdl.run.schedule import Point

TERMINAL_BAR = "{percentage:3.0f}%|{bar:12}| {desc}"
NOTEBOOK_BAR = "{percentage:3.0f}%|{bar}| {desc}"


class Silent:
    """A reporter that shows nothing."""

    def update(self, point: Point, record: Record) -> None:
        """Does nothing."""

    def message(self, text: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class ProgressBar:
    """A bar with the run's position, metrics (formatted by ``describe``), speed and time left."""

    def __init__(self, describe: Callable[[Record], str] = shown_metrics) -> None:
        self.describe = describe
        self._bar: Any = None
        self._begin: tuple[float, int] | None = None

    def message(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text)

    def update(self, point: Point, record: Record) -> None:
        """Moves the bar to the given point."""
        text = self.line(point, record)
        if self._bar is None:
            self._bar = _new_bar(point)
        self._bar.n = point.step
        self._bar.set_description_str(text, refresh=False)
        self._bar.refresh()

    def line(self, point: Point, record: Record) -> str:
        """The bar's text; the remaining time is extrapolated from the first call."""
        now, schedule = time.perf_counter(), point.schedule
        begin, first = self._begin = self._begin or (now, point.step - 1)
        left = (schedule.total_steps - point.step) * (now - begin) / max(point.step - first, 1)
        epoch = _counter(point.epoch, schedule.last_epoch)
        step = _counter(point.step_in_epoch, schedule.steps_per_epoch)
        return (
            f"Epoch: [{epoch}] Step: [{step}] {self.describe(record)} "
            f"Time: {clock(record['seconds'])} ({record['images_per_second']:.0f} images/s, "
            f"{clock(left)} left)"
        )

    def close(self) -> None:
        """Ends the run's bar, leaving it on screen; the next update starts a new one."""
        self._begin = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def default_reporter(progress: bool | None = None) -> ProgressBar | Silent:
    """The reporter used when none is given; call ``close`` at the end of the run.

    ``progress`` says whether to show a bar; None shows one if there is a screen.

    Example:
        >>> default_reporter(progress=False).message("nobody reads this")
    """
    return ProgressBar() if (has_screen() if progress is None else progress) else Silent()


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
    return "ipykernel" in sys.modules


def _counter(count: int, last: int) -> str:
    return f"{count:0{len(str(last))}d}/{last}"


def _new_bar(point: Point) -> Any:
    with warnings.catch_warnings():  # without ipywidgets tqdm warns and falls back to text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    return tqdm(
        total=point.schedule.total_steps,
        initial=point.step - 1,
        dynamic_ncols=True,
        bar_format=NOTEBOOK_BAR if _in_notebook() else TERMINAL_BAR,
    )
