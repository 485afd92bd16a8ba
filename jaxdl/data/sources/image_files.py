"""Pictures of any kind to pixels of one kind: decoded, cropped to a square, resized."""

import io
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxdl.errors import DataError, brief
from jaxdl.files import open_regular

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif"})
MOST_BYTES = 1 << 28  # of one file
MOST_PIXELS = 80_000_000  # of one picture, below the number from which Pillow warns
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's modes of 16 bits


class Picture(NamedTuple):
    """What pictures are made into: squares of ``size`` pixels, grey or RGB."""

    size: int
    grey: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.size, self.size, 1 if self.grey else 3


def read_picture(path: str | os.PathLike, picture: Picture) -> np.ndarray:
    """Reads a PNG, JPEG, WebP, BMP or GIF file, whatever its suffix says.

    The picture is turned as its EXIF data say, the square in its middle cut out and resized by
    Pillow's bilinear filter. Of an animation it is the first frame. Transparent parts become white;
    16 bits become 8.

    Returns:
        uint8 (size, size, 1 or 3).

    Raises:
        DataError: it is missing, damaged, of another format, too large a file, or claims more than
            80 million pixels.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> path = Path(tempfile.mkdtemp(), "wide.png")
        >>> Image.new("RGBA", (6, 4)).save(path)
        >>> read_picture(path, Picture(2, grey=True)).ravel().tolist()
        [255, 255, 255, 255]
    """
    try:
        return decode_picture(read_content(path), picture)
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from error


def read_content(path: str | os.PathLike) -> bytes:
    """The bytes of a file, or a DataError with the reason alone."""
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise DataError(f"it has more than {MOST_BYTES:,} bytes")
            return file.read()
    except OSError as error:
        raise DataError(brief(error.strerror or error)) from error


def decode_picture(content: bytes, picture: Picture) -> np.ndarray:
    """Makes an image (size, size, 1 or 3) of a file's bytes, as :func:`read_picture` does."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # here: importing jaxdl stays fast

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise DataError(f"it claims {width:,} x {height:,} pixels")
            ImageOps.exif_transpose(image, in_place=True)
            resized = _opaque(_middle_square(image), picture.grey).resize(
                (picture.size, picture.size), Image.Resampling.BILINEAR
            )
            return np.asarray(resized).reshape(picture.shape)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"it is none of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow raises many types on a damaged file
        raise DataError(brief(error)) from error


def _opaque(image: "Image.Image", grey: bool) -> "Image.Image":
    """The image in 8-bit grey or RGB, laid on white where it is transparent."""
    from PIL import Image

    if image.mode in _DEEP:
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8))
    mode = "L" if grey else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _middle_square(image: "Image.Image") -> "Image.Image":
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))
