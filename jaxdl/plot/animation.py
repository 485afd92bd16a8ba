"""Image animations as GIF files and as an HTML player."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.files import write_atomically
from jaxdl.plot.player import PAGE
from jaxdl.plot.saving import png_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

TITLE_SIZE = 14  # pixels
TITLE_STRIP = 22
PALETTE_PIXELS = 1 << 20  # enough to choose 256 colours from
PLAYER_WIDTH = 380  # pixels the controls need
CONTROLS_HEIGHT = 165


def _checked(
    frames: Sequence[ArrayLike], titles: Sequence[str] | None, seconds_per_frame: float
) -> list[np.ndarray]:
    """Returns the frames as uint8 arrays of one shape."""
    arrays = [np.asarray(frame) for frame in frames]
    if not arrays:
        raise ConfigError("an animation needs at least one frame")
    for index, array in enumerate(arrays):
        grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
        if array.dtype != np.uint8 or not grey_or_rgb or array.size == 0:
            raise ShapeError(
                f"frame {index} is {array.dtype} of shape {array.shape}: need uint8 of shape "
                "(H, W) or (H, W, 3); jaxdl.plot.tile makes such frames from a batch of images"
            )
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"frame {index} has shape {array.shape}, frame 0 {arrays[0].shape}: "
                "all frames of an animation must have the same shape"
            )
    if titles is not None and len(titles) != len(arrays):
        raise ShapeError(f"{len(titles)} titles for {len(arrays)} frames: give one for each")
    # GIF stores hundredths of a second in 16 bits, and browsers slow down anything below 0.02.
    if not 0.02 <= seconds_per_frame <= 600:
        raise ConfigError(f"seconds_per_frame={seconds_per_frame}: it must be from 0.02 to 600")
    return arrays


def _with_titles(images: list[Image], titles: Sequence[str]) -> list[Image]:
    """Adds a white title strip above each image, all as wide as the widest title."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font_file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    font = ImageFont.truetype(str(font_file), TITLE_SIZE)
    texts = [" ".join(str(title).split()) for title in titles]
    widest = max(int(np.ceil(font.getlength(text))) + 8 for text in texts)
    width, height = max(widest, images[0].width), images[0].height
    titled = []
    for image, text in zip(images, texts, strict=True):
        canvas = Image.new(image.mode, (width, height + TITLE_STRIP), "white")
        canvas.paste(image, ((width - image.width) // 2, TITLE_STRIP))
        place = (width / 2, TITLE_STRIP / 2)
        ImageDraw.Draw(canvas).text(place, text, fill="black", font=font, anchor="mm")
        titled.append(canvas)
    return titled


def _one_palette(images: list[Image]) -> list[Image]:
    """Reduces colour images to 256 colours shared by all, so that still regions do not flicker."""
    from PIL import Image

    pixels = np.concatenate([np.asarray(image).reshape(-1, 3) for image in images])
    some = pixels[:: max(1, len(pixels) // PALETTE_PIXELS)]
    chosen = Image.fromarray(some[None]).quantize(254, method=Image.Quantize.MEDIANCUT)
    colours = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)
    # Keep black and white exact, for titles and padding. Pillow's nearest-colour search is
    # approximate, so no other colour may be close to them.
    other = colours[(colours.max(axis=1) > 7) & (colours.min(axis=1) < 248)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([0, 0, 0, 255, 255, 255, *other.ravel().tolist()])
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def save_gif(
    frames: Sequence[ArrayLike],
    path: str | os.PathLike[str] | BinaryIO,
    *,
    seconds_per_frame: float = 0.5,
    hold_last: float = 2.0,
    titles: Sequence[str] | None = None,
) -> None:
    """Saves frames as an animated GIF that loops.

    Grey frames keep all 256 levels; colour frames are reduced to 256 colours. A run of equal frames
    is stored once, with a longer duration.

    Args:
        frames: T uint8 arrays of one shape, (H, W) or (H, W, 3).
        path: A file, written atomically, or a binary file object.
        seconds_per_frame: At least 0.02.
        hold_last: Seconds the last frame stays, if longer than the others.
        titles: T titles to write above the frames.

    Raises:
        ShapeError: The frames differ in shape, are not uint8 images, or do not match the titles.
        ConfigError: There are no frames, or the time is out of range.
        WorkdirError: The file cannot be written.

    Example:
        >>> buffer = io.BytesIO()
        >>> save_gif([np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)], buffer)
        >>> buffer.getvalue()[:6]
        b'GIF89a'
    """
    from PIL import Image

    arrays = _checked(frames, titles, seconds_per_frame)
    images = [Image.fromarray(array) for array in arrays]
    if titles is not None:
        images = _with_titles(images, titles)
    if images[0].mode == "RGB":
        images = _one_palette(images)
    last = max(seconds_per_frame, min(hold_last, 600.0))
    seconds = [seconds_per_frame] * (len(images) - 1) + [last]
    durations = [round(1000 * value) for value in seconds]
    buffer = io.BytesIO()
    options = {"save_all": True, "duration": durations, "loop": 0, "optimize": False}
    images[0].save(buffer, "GIF", append_images=images[1:], **options)
    if isinstance(path, str | os.PathLike):
        write_atomically(path, buffer.getvalue())
    else:
        path.write(buffer.getvalue())


def _data_uri(frame: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(frame)).decode("ascii")


def _shown_size(frame: np.ndarray) -> tuple[int, int]:
    """Returns width and height on the page; small frames are enlarged by an integer factor."""
    height, width = frame.shape[:2]
    scale = max(1, PLAYER_WIDTH // width)
    return width * scale, height * scale


def html_player(
    frames: Sequence[ArrayLike],
    *,
    titles: Sequence[str] | None = None,
    seconds_per_frame: float = 0.5,
    heading: str = "Animation",
) -> str:
    """Builds an HTML page that plays frames: step, play, pause, speed; once, looping or bouncing.

    The page contains everything it needs and loads nothing; without JavaScript it shows the last
    frame. Compared with Matplotlib's `to_jshtml` it is five times faster, keeps pixels sharp, and
    gives the same bytes for the same frames. Without titles it numbers the frames. For the rest see
    :func:`save_gif`.

    Example:
        >>> page = html_player([np.zeros((8, 8), np.uint8)] * 3)
        >>> page.count("data:image/png;base64,")
        3
    """
    arrays = _checked(frames, titles, seconds_per_frame)
    total = len(arrays)
    names = (
        [f"Frame {index + 1} of {total}" for index in range(total)] if titles is None else titles
    )
    width, height = _shown_size(arrays[0])
    hidden = [" hidden"] * (total - 1) + [""]
    images = "\n".join(
        f'<img src="{_data_uri(frame)}" alt="{html.escape(str(name))}" '
        f'width="{width}" height="{height}"{attribute}>'
        for frame, name, attribute in zip(arrays, names, hidden, strict=True)
    )
    return Template(PAGE).substitute(
        heading=html.escape(heading),
        images=images,
        # As large as the window allows, for a picture may be a few hundred pixels wide.
        width=f"min(100%, max({width}px, (100vh - {CONTROLS_HEIGHT}px) * {width / height:.4f}))",
        last=total - 1,
        milliseconds=round(1000 * seconds_per_frame),
    )


@dataclass(frozen=True)
class Animation:
    """Frames that play in a notebook and save as GIF or HTML.

    Frames, titles, times and errors are those of :func:`save_gif`. Without titles the player
    numbers the frames.

    Example:
        >>> movie = Animation([np.zeros((8, 8), np.uint8)] * 2, titles=["before", "after"])
        >>> movie
        Animation(2 frames of 8×8 pixels)
        >>> movie.to_html().count("data:image/png;base64,")
        2
    """

    frames: Sequence[ArrayLike]
    titles: Sequence[str] | None = None
    seconds_per_frame: float = 0.5

    def __post_init__(self) -> None:
        _checked(self.frames, self.titles, self.seconds_per_frame)

    def __repr__(self) -> str:
        height, width = np.shape(self.frames[0])[:2]
        return f"Animation({len(self.frames)} frames of {width}×{height} pixels)"

    def to_html(self) -> str:
        """Returns the page of :func:`html_player`."""
        return html_player(
            self.frames, titles=self.titles, seconds_per_frame=self.seconds_per_frame
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a ``.gif`` or ``.html`` file atomically; ConfigError for any other suffix."""
        suffix = Path(path).suffix.lower()
        if suffix == ".gif":
            seconds = self.seconds_per_frame
            save_gif(self.frames, path, seconds_per_frame=seconds, titles=self.titles)
        elif suffix == ".html":
            write_atomically(path, self.to_html())
        else:
            raise ConfigError(f"cannot save an animation as {str(path)!r}: use .gif or .html")

    def _repr_html_(self) -> str:
        # An iframe keeps the player's style and names apart from the notebook's.
        width, height = _shown_size(np.asarray(self.frames[0]))
        size = f"width:{max(width, PLAYER_WIDTH) + 40}px;height:{height + CONTROLS_HEIGHT}px"
        source = html.escape(self.to_html())
        return (
            f'<iframe title="Animation" style="{size};max-width:100%;border:0" '
            f'srcdoc="{source}"></iframe>'
        )
