"""Pictures within the page, made small enough for it."""

import base64
import io
import re
from pathlib import Path
from typing import NamedTuple

from experiments.common.page.reading import LARGEST, RunFolder
from experiments.common.workdir import SAMPLES
from jaxdl.files import open_regular

FRAME_WIDTH, FIGURE_WIDTH = 320, 900  # pixels
AS_IT_IS = 24_000  # bytes; smaller files are not encoded again
FRAMES_BUDGET, FIGURES_BUDGET = 650_000, 450_000  # bytes in the page
MOST_FRAMES = 60
MOST_PIXELS = 30_000_000
QUALITY = 72


class Picture(NamedTuple):
    """A picture as a ``data:`` address, with its width and height in pixels."""

    address: str
    width: int
    height: int


class Frame(NamedTuple):
    """A sample grid, and where in the run it was drawn."""

    title: str
    picture: Picture


def load(path: Path, width: int) -> Picture | None:
    """A picture of at most that width; None if the file is none, or too large."""
    from PIL import Image

    try:
        with open_regular(path) as file:
            content = file.read(LARGEST)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            size = image.size
            kind = "png"
            if len(content) > AS_IT_IS or image.width > width:
                size = _fitting(*image.size, width)
                content, kind = _encoded(image, size), "webp"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(address, *size)


def _fitting(width: int, height: int, most: int) -> tuple[int, int]:
    share = min(1, most / width)
    return max(1, round(width * share)), max(1, round(height * share))


def _encoded(image: object, size: tuple[int, int]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    small.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()


def figures(run: RunFolder, left_out: set[str]) -> list[tuple[str, Picture]]:
    """The figures that a run drew, by name, until the budget is spent."""
    found, spent = [], 0
    for path in sorted(run.path.glob("*.png")):
        if path.stem in left_out or path.is_symlink():
            continue
        picture = load(path, FIGURE_WIDTH)
        if picture and spent + len(picture.address) <= FIGURES_BUDGET:
            found.append((path.stem, picture))
            spent += len(picture.address)
    return found


def last_frame(run: RunFolder) -> Frame | None:
    """The last sample grid; None without one."""
    found = [Frame(title, load(path, FRAME_WIDTH)) for title, path in _places(run)[-1:]]
    return found[0] if found and found[0].picture else None


def frames(run: RunFolder) -> list[Frame]:
    """The sample grids in the order of training, thinned out until they fit; the last one stays."""
    places = _places(run)
    chosen = _thinned(places, -(-len(places) // MOST_FRAMES)) if places else []
    found = [
        Frame(title, picture) for title, path in chosen if (picture := load(path, FRAME_WIDTH))
    ]
    while len(found) > 1 and sum(len(frame.picture.address) for frame in found) > FRAMES_BUDGET:
        found = _thinned(found, 2)
    return found


def _thinned(items: list, every: int) -> list:
    """Every so many, counted from the last."""
    return items[::-1][::every][::-1]


def _places(run: RunFolder) -> list[tuple[str, Path]]:
    """The titles and files of the sample grids, one a step."""
    ends = {record["epoch"]: record["step"] for record in run.records("epoch")}
    epoch_steps = max((step // epoch for epoch, step in ends.items() if epoch), default=1)
    found: dict[int, tuple[str, Path]] = {}
    for path in sorted((run.path / SAMPLES).glob("*.png")):
        match = re.fullmatch(r"(epoch|step)_(\d{1,12})", path.stem)
        if not match or path.is_symlink():
            continue
        number = int(match[2])
        if match[1] == "step":
            found[number] = (f"Step {number:,}", path)
        elif number in ends:
            found[ends[number]] = (f"Step {ends[number]:,}, epoch {number}", path)
        else:
            found[number * epoch_steps] = (f"Epoch {number}", path)
    return [found[step] for step in sorted(found)]
