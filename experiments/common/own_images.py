"""Flags for a folder of one's own images, and its progress on the console."""

import dataclasses
import time

from experiments.common.config import Flags, option
from experiments.common.console import SECONDS_BETWEEN_LINES
from jaxdl import data
from jaxdl.data import Picture, load_image_folder
from jaxdl.errors import ConfigError
from jaxdl.run.progress import has_screen, tqdm_class

OTHER_DATA = ("dataset", "data_dir", "data_source")  # flags that --images makes pointless
ABOUT_IMAGES = ("grey", "skip_bad", "follow_links")  # flags that need --images


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFlags(Flags):
    """Flags of every program that also takes a folder of images, made ``image_size`` pixels big."""

    images: str | None = option(
        None, "a folder of PNG, JPEG, WebP, BMP or GIF files, in place of a data set"
    )
    grey: bool = option(False, "make the pictures of --images grey")
    skip_bad: bool = option(False, "leave damaged files of --images out, up to a tenth")
    follow_links: bool = option(False, "follow links that lead out of --images")

    def __post_init__(self) -> None:
        """Checks every field, and that flags about images go with images."""
        super().__post_init__()
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        wrong = ABOUT_IMAGES if self.images is None else OTHER_DATA
        for name in wrong:
            if getattr(self, name, None) != defaults.get(name):
                why = "needs --images" if self.images is None else "is another source than --images"
                raise ConfigError(f"--{name} {why}: leave one out")


def load_folder(folder: str, picture: Picture, **how: bool) -> data.Dataset:
    """:func:`jaxdl.data.load_image_folder` with its progress on the console."""
    shown = Shown()
    try:
        return load_image_folder(folder, picture, **how, progress=shown)
    finally:
        shown.close()


class Shown:
    """Shows how many files are done: a bar, or a line every few seconds without a screen."""

    def __init__(self) -> None:
        self._bar, self._last = None, time.perf_counter()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that ``done`` of ``total`` files are done."""
        if not has_screen():
            now = time.perf_counter()
            if now - self._last > SECONDS_BETWEEN_LINES:
                self._last = now
                print(f"{what}: {done:,} of {total:,} files", flush=True)
            return
        if self._bar is None or self._bar.desc != f"{what}: ":
            self.close()
            self._bar = tqdm_class()(total=total, desc=what, unit=" files", dynamic_ncols=True)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
