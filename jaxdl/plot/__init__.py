"""Figures: image grids, curves, charts, animations, the confusion matrix.

Functions return figures and never show them. They do not import pyplot, so plotting in the middle
of a run leaves no global state behind. In a notebook, the last expression of a cell shows itself:

    jaxdl.plot.image_grid(images)

Importing this package is cheap; Matplotlib and Pillow load with the first figure.

Arguments that most charts share: ``title`` above the plot, ``xlabel`` and ``ylabel`` with their
units, ``references`` for dashed horizontal lines (label to value), and ``ax`` to draw into a panel
of :func:`figure_with_panels` instead of a new figure. Values of the wrong shape raise ShapeError;
values that are missing, not finite or out of range, and names without a match, raise ConfigError.
"""

from jaxdl._face import face
from jaxdl.plot import checks, style
from jaxdl.plot.animation import Animation, html_player, save_gif
from jaxdl.plot.charts import bars, histogram, intervals, scatter_with_diagonal, values_per_seed
from jaxdl.plot.confusion import confusion_matrix, row_shares
from jaxdl.plot.grids import compare_grids, image_grid, image_rows, tile
from jaxdl.plot.planes import contours_with_paths, decision_lines
from jaxdl.plot.saving import png_bytes, save_figure
from jaxdl.plot.series import curves, line_band, moving_average
from jaxdl.plot.style import PALETTE, STYLE, figure_with_panels

__all__ = [
    "PALETTE",
    "STYLE",
    "Animation",
    "bars",
    "checks",
    "compare_grids",
    "confusion_matrix",
    "contours_with_paths",
    "curves",
    "decision_lines",
    "figure",
    "figure_with_panels",
    "histogram",
    "html_player",
    "image_grid",
    "image_rows",
    "intervals",
    "line_band",
    "moving_average",
    "png_bytes",
    "row_shares",
    "save_figure",
    "save_gif",
    "scatter_with_diagonal",
    "style",
    "tile",
    "values_per_seed",
]

__getattr__, __dir__ = face(__name__, __all__)
