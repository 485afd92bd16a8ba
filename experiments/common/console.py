"""Progress on the console: a bar on a terminal or in a notebook, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable

from jaxdl.run.log import Record
from jaxdl.run.schedule import Point

SECONDS_BETWEEN_LINES = 10.0
BAR = "{percentage:3.0f}%|{bar:12}| {desc}"


def clock(seconds: float) -> str:
    """A duration as people read it.

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


class Console:
    """Prints what a run does.

    Args:
        describe: the metrics of a record as the line's middle part.
        quiet: print nothing, as the processes other than the first do.
    """

    def __init__(self, describe: Callable[[Record], str], quiet: bool = False) -> None:
        self.describe, self.quiet = describe, quiet
        self._bar = None
        self._last_line = 0.0
        self._begin: tuple[float, int] | None = None

    def message(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        if self.quiet:
            return
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text)

    def update(self, point: Point, record: Record) -> None:
        """Shows where the run stands."""
        if self.quiet:
            return
        now = time.perf_counter()
        if self._begin is None:
            self._begin = (now, point.step - 1)
        text = self._text(point, record, now)
        if _shows_bars():
            self._draw(point, text)
        elif point.ends_epoch or now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(text, flush=True)

    def _text(self, point: Point, record: Record, now: float) -> str:
        schedule = point.schedule
        steps = schedule.steps_per_epoch
        last = schedule.last_epoch
        epoch = f"{point.epoch:0{len(str(last))}d}/{last}"
        step = f"{point.step_in_epoch:0{len(str(steps))}d}/{steps}"
        since, first = self._begin or (now, 0)
        left = (schedule.total_steps - point.step) * (now - since) / max(point.step - first, 1)
        return (
            f"Epoch: [{epoch}] Step: [{step}] {self.describe(record)} "
            f"Time: {clock(record['seconds'])} ({record['images_per_second']:.0f} images/s, "
            f"{clock(left)} left)"
        )

    def _draw(self, point: Point, text: str) -> None:
        if self._bar is None:
            from tqdm.auto import tqdm

            total = point.schedule.total_steps
            begun = point.step - 1
            self._bar = tqdm(total=total, initial=begun, dynamic_ncols=True, bar_format=BAR)
        self._bar.n = point.step
        self._bar.set_description_str(text, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        """Ends a run: leaves its bar as it is; the next one starts a new one."""
        self._begin, self._last_line = None, 0.0
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _shows_bars() -> bool:
    """Whether the output is a terminal or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
