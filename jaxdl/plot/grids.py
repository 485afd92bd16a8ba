"""Image grids: as an array, as a figure, two side by side, rows with names."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot.checks import finite, not_empty
from jaxdl.plot.style import styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
GRID_DOTS = 640  # grids are enlarged towards this width, by an integer factor
MARGIN = 8  # dots around and between grids
TITLE_LINE_DOTS = 20
TITLE_CHARACTER_DOTS = 9.5
LABEL_POINTS = 8.0


def _checked(images: ArrayLike) -> np.ndarray:
    array = np.asarray(images)
    if array.ndim != 4 or 0 in array.shape or array.shape[-1] not in (1, 3):
        raise ShapeError(
            f"images have shape {array.shape}: need (N, H, W, C) with C = 1 or 3; "
            "add a channel axis with images[..., None], move PyTorch's with transpose(0, 2, 3, 1)"
        )
    if array.dtype.name == "bfloat16":  # not a NumPy type, so no np.floating
        array = array.astype(np.float32)
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise ShapeError(f"images of type {array.dtype}: need uint8 or a floating type")
    return array


def _to_uint8(images: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Maps ``value_range`` to 0…255, rounding half up and clipping."""
    if images.dtype == np.uint8:
        return images
    low, high = value_range
    if not low < high:
        raise ConfigError(f"value_range {value_range}: the first must be below the second")
    scaled = (finite(images, "images").astype(np.float64) - low) / (high - low)
    return np.floor(np.clip(scaled, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


def _mosaic(
    images: np.ndarray, columns: int, padding: int, background: int, strip: int = 0
) -> np.ndarray:
    """Lays out uint8 images (N, H, W, C) row by row, with ``strip`` extra rows above each."""
    if columns < 1 or padding < 0 or not 0 <= background <= 255:
        raise ConfigError(
            f"columns={columns}, padding={padding}, background={background}: "
            "need at least 1, at least 0, and 0 to 255"
        )
    count, height, width, channels = images.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    cell = np.full(
        (rows * columns, strip + height + padding, width + padding, channels), background, np.uint8
    )
    cell[:count, strip : strip + height, :width] = images
    grid = cell.reshape(rows, columns, *cell.shape[1:]).swapaxes(1, 2)
    grid = grid.reshape(rows * cell.shape[1], columns * cell.shape[2], channels)
    border = ((padding, 0), (padding, 0), (0, 0))
    grid = np.pad(grid, border, constant_values=background)
    return grid[..., 0] if channels == 1 else grid


def tile(
    images: ArrayLike,
    columns: int = 10,
    padding: int = 2,
    value_range: tuple[float, float] = (-1.0, 1.0),
    background: int = 0,
) -> np.ndarray:
    """Tiles images into one, like torchvision's ``make_grid``.

    Args:
        images: Shape (N, H, W, C), C = 1 or 3; uint8, or floating in ``value_range``.
        columns: Images per row (a shorter row if there are fewer).
        padding: Pixels around and between the images.
        value_range: Values mapped to 0 and 255; others are clipped. Ignored for uint8.
        background: Grey level, 0 to 255, of the padding and of missing images.

    Returns:
        uint8, (H', W') for C = 1 and (H', W', 3) for C = 3, with
        H' = rows · (H + padding) + padding and W' = columns · (W + padding) + padding.

    Example:
        >>> tile(np.full((3, 1, 1, 1), 1.0), columns=2, padding=1)
        array([[  0,   0,   0,   0,   0],
               [  0, 255,   0, 255,   0],
               [  0,   0,   0,   0,   0],
               [  0, 255,   0,   0,   0],
               [  0,   0,   0,   0,   0]], dtype=uint8)
    """
    return _mosaic(_to_uint8(_checked(images), value_range), columns, padding, background)


def _scale(width: int) -> int:
    """Returns the screen dots per image pixel for a grid ``width`` pixels wide."""
    return max(1, round(GRID_DOTS / width))


def _place(grids: Sequence[np.ndarray], titles: Sequence[str | None], room: int = 0) -> Figure:
    """Puts the grids side by side, at a whole number of dots per pixel, right of ``room`` dots."""
    from jaxdl.plot.figure import NotebookFigure

    sizes = [np.array(grid.shape[:2]) * _scale(grid.shape[1]) for grid in grids]
    texts = [
        textwrap.fill(title or "", max(10, int(across / TITLE_CHARACTER_DOTS)))
        for title, (_, across) in zip(titles, sizes, strict=True)
    ]
    title_lines = max(text.count("\n") + bool(text) for text in texts)
    top = MARGIN + TITLE_LINE_DOTS * title_lines
    width = room + MARGIN + sum(across + MARGIN for _, across in sizes)
    height = top + max(down for down, _ in sizes) + MARGIN
    figure = NotebookFigure(figsize=(width / DPI, height / DPI), dpi=DPI)
    left = room + MARGIN
    for grid, text, (down, across) in zip(grids, texts, sizes, strict=True):
        box = (left / width, (height - top - down) / height, across / width, down / height)
        ax = figure.add_axes(box)
        # RGB, because a grey colour map is off by one for some of the 256 levels.
        rgb = np.repeat(grid[..., None], 3, axis=2) if grid.ndim == 2 else grid
        ax.imshow(rgb, aspect="auto")
        ax.set_axis_off()
        if text:
            ax.set_title(text, pad=5, loc="center")
        left += across + MARGIN
    return figure


def _label(
    ax: Axes,
    labels: Sequence[str],
    cell: tuple[int, int],
    strip: int,
    columns: int,
    padding: int,
    points: float,
) -> None:
    """Writes a label into the strip above each image."""
    height, width = cell
    for index, text in enumerate(labels):
        row, column = divmod(index, columns)
        x = padding + column * (width + padding) + width / 2 - 0.5
        y = padding + row * (height + padding) + strip - 1
        ax.text(x, y, text, ha="center", va="bottom", fontsize=points, linespacing=1.0)


def _labelled(
    images: np.ndarray, labels: Sequence[str], columns: int, padding: int, title: str | None
) -> Figure:
    if len(labels) != len(images):
        raise ShapeError(f"{len(labels)} labels for {len(images)} images: give one for each")
    texts = [str(label) for label in labels]
    columns = min(columns, len(images))
    height, width = images.shape[1:3]
    scale = _scale(columns * (width + padding) + padding)
    longest = max(len(line) for text in texts for line in text.split("\n"))
    # Characters of this font are on average 0.6 times as wide as its size.
    fitting = scale * width / DPI * 72 / (0.6 * max(longest, 1))
    size = min(LABEL_POINTS, max(fitting, 4.0))
    lines = max(text.count("\n") + 1 for text in texts)
    strip = math.ceil(lines * 1.2 * size * DPI / 72 / scale) + 1
    figure = _place([_mosaic(images, columns, padding, 255, strip)], [title])
    _label(figure.axes[0], texts, (height + strip, width), strip, columns, padding, size)
    return figure


@styled
def image_grid(
    images: ArrayLike,
    *,
    columns: int = 10,
    padding: int = 2,
    title: str | None = None,
    labels: Sequence[object] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Shows images in a grid; at the figure's own resolution an image pixel is k × k dots, k ≥ 1.

    Args:
        images: Shape (N, H, W, C), C = 1 or 3; uint8, or floating in ``value_range``.
        columns: Images per row.
        padding: Pixels around and between the images.
        labels: N labels, one above each image.
        value_range: Values shown as black and white.

    Example:
        >>> figure = image_grid(np.zeros((20, 28, 28, 1)), title="Digits")
        >>> figure.axes[0].get_title()
        'Digits'
    """
    pixels = _to_uint8(_checked(images), value_range)
    if labels is not None:
        return _labelled(pixels, labels, columns, padding, title)
    grid = _mosaic(pixels, columns, padding, background=0)
    return _place([grid], [title])


@styled
def image_rows(
    rows: Mapping[str, ArrayLike],
    *,
    padding: int = 2,
    title: str | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Shows a row of images for each name, which stands on its left.

    Args:
        rows: As many images of one shape, (N, H, W, C), for each name.
        padding: Pixels around and between the images.
        value_range: Values shown as black and white.

    Raises:
        ShapeError: The rows differ in shape, or see :func:`image_grid`.

    Example:
        >>> figure = image_rows({"before": np.zeros((5, 8, 8, 1)), "after": np.ones((5, 8, 8, 1))})
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['before', 'after']
    """
    not_empty(rows, "rows")
    pixels = {name: _to_uint8(_checked(images), value_range) for name, images in rows.items()}
    shape = next(iter(pixels.values())).shape
    for name, images in pixels.items():
        if images.shape != shape:
            raise ShapeError(f"row {name!r} has shape {images.shape}, the first {shape}")
    grid = _mosaic(np.concatenate(list(pixels.values())), shape[0], padding, background=0)
    longest = max(len(line) for name in pixels for line in name.split("\n"))
    room = math.ceil(longest * 0.6 * LABEL_POINTS * DPI / 72)
    figure = _place([grid], [title], room)
    for index, name in enumerate(pixels):
        middle = padding + index * (shape[1] + padding) + shape[1] / 2 - 0.5
        place = {"xytext": (-MARGIN / 2, 0), "textcoords": "offset points"}
        style = {"ha": "right", "va": "center", "fontsize": LABEL_POINTS, "annotation_clip": False}
        figure.axes[0].annotate(name, (-0.5, middle), **place, **style)
    return figure


@styled
def compare_grids(
    left: ArrayLike,
    right: ArrayLike,
    titles: tuple[str, str] = ("Real images", "Generated images"),
    *,
    columns: int = 10,
    padding: int = 2,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Figure:
    """Shows two grids side by side; their sizes and types may differ.

    The other arguments and the errors are those of :func:`image_grid`.

    Example:
        >>> figure = compare_grids(np.zeros((4, 8, 8, 1)), np.ones((4, 8, 8, 1)), columns=2)
        >>> [ax.get_title() for ax in figure.axes]
        ['Real images', 'Generated images']
    """
    grids = [
        _mosaic(_to_uint8(_checked(images), value_range), columns, padding, background=0)
        for images in (left, right)
    ]
    return _place(grids, titles)
