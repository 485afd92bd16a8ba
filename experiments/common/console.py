"""The console: progress (a bar, or plain lines without a screen), and lines about the set-up."""

import time
from collections.abc import Callable

from jaxdl.data import Dataset
from jaxdl.data.sources import image_folder
from jaxdl.data.sources.loading import DATA_DIR_VARIABLE
from jaxdl.distributed.devices import Devices
from jaxdl.errors import brief
from jaxdl.run.log import Record
from jaxdl.run.progress import ProgressBar, has_screen
from jaxdl.run.schedule import Point

SECONDS_BETWEEN_LINES = 10.0


class Console(ProgressBar):
    """Prints what a run does.

    Args:
        describe: formats a record's metrics for the middle of the line.
        quiet: print nothing, as in all processes but the first.

    Attributes:
        followers: called after each update of the log.
    """

    def __init__(self, describe: Callable[[Record], str], quiet: bool = False) -> None:
        super().__init__(describe)
        self.quiet = quiet
        self.followers: list[Callable[[], None]] = []
        self._last_line = 0.0

    def message(self, text: str) -> None:
        """Prints a line, above the bar if there is one."""
        if not self.quiet:
            super().message(text)

    def update(self, point: Point, record: Record) -> None:
        """Shows progress: on a bar, or in a line every few seconds."""
        for follow in self.followers:
            follow()
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


def data_line(dataset: Dataset) -> str:
    """A short line about the data; and one more if the user named a folder without them.

    Example:
        >>> from jaxdl import data
        >>> data_line(data.load("mnist", source="embedded"))
        'mnist: 4,000 training and 1,000 test images, a sample and not the full data set'
    """
    num_test = len(dataset.labels) - dataset.num_train
    if dataset.source == "embedded":
        whence = ", a sample and not the full data set"
    else:
        whence = f" from {dataset.location}"
    line = f"{dataset.name}: {dataset.num_train:,} training and {num_test:,} test images{whence}"
    told = [
        text
        for text in dataset.notice.splitlines()
        if DATA_DIR_VARIABLE in text or dataset.source == image_folder.SOURCE
    ]
    return "\n".join([line, *map(brief, told)])


def device_line(devices: Devices, batch_size: int, default_batch_size: int | None) -> str:
    """A short line about the devices.

    Args:
        devices: the devices.
        batch_size: the batch they share.
        default_batch_size: what it would be on one device; None if the user chose it.
    """
    line = f"Devices: {devices.total} × {devices.kind}"
    if devices.messages:
        line += ", virtual (they share the cores)"
    if default_batch_size not in (None, batch_size):
        line += f"; batch size rounded up to {batch_size}"
    return line
