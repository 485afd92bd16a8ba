"""Figures as files: the same figure gives the same bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.errors import ConfigError
from jaxdl.files import write_atomically
from jaxdl.plot.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# None drops an entry: no time and no version, so the bytes depend on the figure alone.
METADATA = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}


@styled
def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: float | None = None) -> Path:
    """Saves a figure, whole or not at all; the same figure gives the same bytes.

    Args:
        figure: The figure.
        path: Where to; the suffix ``.png``, ``.pdf`` or ``.svg`` says how.
        dpi: Dots per inch; None takes the figure's own, at which image grids have a whole number
            of dots a pixel.

    Returns:
        The path.

    Raises:
        ConfigError: The suffix is another.
        WorkdirError: The file cannot be written.

    Example:
        >>> import tempfile, jaxdl
        >>> figure = jaxdl.plot.bars({"a": 1.0}, ylabel="Loss")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_figure(figure, f"{folder}/bars.png").name
        'bars.png'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in METADATA:
        raise ConfigError(f"cannot save a figure as {str(path)!r}: use one of {sorted(METADATA)}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], dpi=dpi or "figure", metadata=METADATA[suffix])
    write_atomically(path, buffer.getvalue())
    return Path(path)


def png_bytes(pixels: np.ndarray) -> bytes:
    """Encodes pixels as a PNG file; the same pixels give the same bytes.

    Args:
        pixels: uint8, shape (H, W) or (H, W, 3), as :func:`jaxdl.plot.tile` makes them.

    Returns:
        The file's content.

    Example:
        >>> png_bytes(np.zeros((2, 2), np.uint8))[1:4]
        b'PNG'
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
