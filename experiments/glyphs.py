"""Thousands of pictures of letters, as a folder of images to try --images on.

What:     capital letters from the fonts that Matplotlib carries, each drawn several times a little
          turned, scaled and shifted: PNG files, a sub-folder a letter.
Source:   the fonts of the package matplotlib; nothing is downloaded.
Command:  python -m experiments.glyphs
          python -m experiments.dcgan --images runs/glyphs/pictures --grey --preset quick
Expected: 22 fonts, 26 letters, 10 drawings each: 5,720 pictures in about ten seconds.
"""

import dataclasses
import itertools
import string
from pathlib import Path

import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from jaxdl import plot
from jaxdl.data import Picture, read_picture
from jaxdl.files import new_folder

THEME = "Generative adversarial networks"

PICTURES = "pictures"
SIZE = 64  # pixels
# Fonts with letters; the others of Matplotlib hold mathematical symbols.
FAMILIES = (
    "DejaVuSans",
    "DejaVuSerif",
    "STIXGeneral",
    "cmb",
    "cmmi",
    "cmr",
    "cmss",
    "cmti",
    "cmtt",
)
LARGEST_TURN, LARGEST_SHIFT = 8.0, 3.0  # degrees, pixels
HEIGHTS = (34, 46)  # of the font, in pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlyphsConfig(Config):
    """How many pictures."""

    drawings: int = option(10, "pictures of each letter in each font", low=1, high=1000)


def fonts() -> list[Path]:
    """Files of the fonts that have letters, sorted."""
    import matplotlib

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return sorted(
        path
        for path in folder.glob("*.ttf")
        if path.stem.startswith(FAMILIES) and "Display" not in path.stem
    )


def draw(letter: str, font: Path, rng: np.random.Generator) -> np.ndarray:
    """A white letter on black, (64, 64) uint8, in a random place, size and direction."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (SIZE, SIZE))
    middle = SIZE / 2 + rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2)
    type_face = ImageFont.truetype(str(font), int(rng.integers(*HEIGHTS, endpoint=True)))
    ImageDraw.Draw(image).text(tuple(middle), letter, 255, type_face, anchor="mm")
    turn = rng.uniform(-LARGEST_TURN, LARGEST_TURN)
    return np.asarray(image.rotate(turn, Image.Resampling.BICUBIC))


def run(config: GlyphsConfig) -> lesson.Result:
    """Writes the pictures, and a sheet of some of them.

    Raises:
        WorkdirError: the folder cannot be written, or has such pictures already.
    """
    from PIL import Image

    folder = lesson.begin("glyphs", config)
    pictures = folder / PICTURES
    rng = np.random.default_rng(config.seed)
    with new_folder(pictures) as place:
        for letter in string.ascii_uppercase:
            (place / letter).mkdir()
            for font, number in itertools.product(fonts(), range(config.drawings)):
                image = Image.fromarray(draw(letter, font, rng))
                image.save(place / letter / f"{font.stem}-{number}.png")
    some = sorted(pictures.glob("*/*.png"))
    count = len(some)
    print(f"{count:,} pictures of {len(string.ascii_uppercase)} letters in {len(fonts())} fonts")
    print(f"Train on them: python -m experiments.dcgan --images {pictures} --grey --preset quick")
    shown = [some[i] for i in rng.permutation(len(some))[:100]]
    sheet = np.stack([read_picture(path, Picture(SIZE, grey=True)) for path in shown])
    figure = plot.image_grid(sheet, title="Letters of Matplotlib's fonts")
    return lesson.finish(folder, {"program": "glyphs", "pictures": count}, {"sheet": figure})


if __name__ == "__main__":
    command_line.main("glyphs", GlyphsConfig, run, __doc__)
