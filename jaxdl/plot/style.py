"""The look of figures: palette, sizes, Matplotlib settings, empty panels."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from jaxdl.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito's colours, distinct under all common kinds of colour blindness; without their
# yellow, which is too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", (0, (5, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (1, 1)))  # differ in grey too
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
REFERENCE_STYLES = ((0, (5, 3)), (0, (2, 2)), (0, (8, 3, 2, 3)), (0, (1, 2)))
GREY = "#595959"

WIDTH = 6.4  # inches, the text width of a page
HEIGHT = 3.6
PANEL_HEIGHT = 2.5

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with Matplotlib, so it is the same everywhere
    "mathtext.fontset": "dejavusans",
    "text.usetex": False,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "image.interpolation": "nearest",
    "figure.facecolor": "white",
    "figure.dpi": 150,
    "savefig.dpi": "figure",
    "savefig.facecolor": "white",
    "svg.hashsalt": "jaxdl",  # element names in SVG files are the same in every run
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a plotting function run under :data:`STYLE`; Matplotlib loads on the first call.

    Example:
        >>> import matplotlib
        >>> styled(lambda: matplotlib.rcParams["figure.dpi"])()
        150.0
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return wrapper


def colour(index: int) -> str:
    """Returns the colour of series ``index``; the palette repeats.

    Example:
        >>> colour(0) == colour(len(PALETTE)) == '#0072B2'
        True
    """
    return PALETTE[index % len(PALETTE)]


def line_style(index: int) -> str | tuple[int, tuple[float, ...]]:
    """Returns the dash pattern of series ``index``; with the colours, 28 series look different.

    Example:
        >>> line_style(0), line_style(1)
        ('-', (0, (5, 1.5)))
    """
    return LINE_STYLES[index % len(LINE_STYLES)]


def marker(index: int) -> str:
    """Returns the marker of series ``index``.

    Example:
        >>> marker(0), marker(len(MARKERS) + 1)
        ('o', 's')
    """
    return MARKERS[index % len(MARKERS)]


@styled
def figure_with_panels(
    rows: int,
    columns: int = 1,
    *,
    share_x: bool = True,
    title: str | None = None,
    width: float = WIDTH,
    panel_height: float = PANEL_HEIGHT,
) -> tuple[Figure, list[Axes]]:
    """Makes a figure with empty panels for charts with ``ax=``; returns it and its axes by rows.

    Args:
        rows: At least 1.
        columns: At least 1.
        share_x: Share the x axis within a column, with tick labels only at the bottom.
        title: Title of the whole figure.
        width: Width of the figure in inches.
        panel_height: Height of one panel in inches.

    Example:
        >>> figure, (losses, outputs) = figure_with_panels(2)
        >>> losses.get_shared_x_axes().joined(losses, outputs)
        True
    """
    from jaxdl.plot.figure import NotebookFigure

    if rows < 1 or columns < 1:
        raise ConfigError(f"a figure of {rows} × {columns} panels: both must be at least 1")
    figure = NotebookFigure(figsize=(width, rows * panel_height), layout="constrained")
    grid = figure.subplots(rows, columns, sharex="col" if share_x else False, squeeze=False)
    if title:
        figure.suptitle(title)
    return figure, list(grid.flat)


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (WIDTH, HEIGHT)) -> Axes:
    """Returns ``ax``, or the axes of a new figure of ``size`` inches."""
    if ax is not None:
        return ax
    _, (new,) = figure_with_panels(1, width=size[0], panel_height=size[1])
    return new


def figure_of(ax: Axes) -> Figure:
    """Returns the figure that ``ax`` belongs to."""
    return ax.get_figure(root=True)


def _legend_columns(labels: Sequence[str], available: float) -> int:
    """Returns how many legend columns fit into ``available`` points, filled downwards."""
    # A handle with its spacing takes about 40 points, a character about 5.
    widths = np.array([40 + 5 * len(label) for label in labels])
    for columns in range(len(labels), 1, -1):
        if sum(part.max() for part in np.array_split(widths, columns)) <= available:
            return columns
    return 1


def title_and_legend(ax: Axes, title: str | None, handles: Sequence[Artist] | None = None) -> None:
    """Puts the legend above the plot and the title above the legend, so neither hides data."""
    if handles is None:
        handles = ax.get_legend_handles_labels()[0]
    labels = [str(handle.get_label()) for handle in handles]
    rows = 0
    # In points. The layout engine will later widen the axes by about a tenth.
    available = 80 * ax.get_position().width * figure_of(ax).get_figwidth()
    if labels:
        columns = _legend_columns(labels, available)
        rows = -(-len(labels) // columns)
        ax.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            borderpad=0.2,
            ncols=columns,
        )
    if title:
        ax.set_title(textwrap.fill(title, max(10, int(available / 7.5))), pad=6 + 13 * rows)


def reference_lines(ax: Axes, references: Mapping[str, float] | None) -> list[Artist]:
    """Draws labelled dashed horizontal lines and returns them."""
    lines = []
    for index, (name, value) in enumerate((references or {}).items()):
        style = {"linestyle": REFERENCE_STYLES[index % len(REFERENCE_STYLES)], "linewidth": 1.0}
        lines.append(ax.axhline(value, color=GREY, label=name, zorder=1.5, **style))
    return lines
