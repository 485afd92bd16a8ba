"""Flags for a folder of one's own images, and the data set that a program's flags ask for."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from experiments.common.config import Flags, option
from experiments.common.console import SECONDS_BETWEEN_LINES
from experiments.common.workdir import CONFIG
from jaxdl import data
from jaxdl.data import Picture, load_image_folder
from jaxdl.errors import ConfigError, DataError
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


def load_data(config: Any) -> data.Dataset:
    """The data that the flags of a program name; a folder of images with progress on the console.

    Raises:
        DataError: they are not there, or damaged.
    """
    needs_classes = not isinstance(config, ImageFlags)
    if needs_classes or config.images is None:
        size = None if needs_classes else config.image_size
        found = data.load(
            config.dataset, config.data_dir, source=config.data_source, image_size=size
        )
        if needs_classes and found.num_classes < 2:
            raise DataError(
                f"{found.name} in {found.location} has no classes, which this program tells "
                "apart: choose another data set"
            )
        return found
    how = {"skip_bad": config.skip_bad, "follow_links": config.follow_links}
    return load_folder(config.images, Picture(config.image_size, config.grey), **how)


def recorded_flags(folder: Path) -> dict[str, Any]:
    """The flags of the run in a folder; {} if it is not the folder of a run."""
    try:
        flags = json.loads((folder / CONFIG).read_bytes())["config"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return flags if isinstance(flags, dict) else {}


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
