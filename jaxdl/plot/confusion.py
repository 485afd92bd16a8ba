"""Plot of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot.checks import finite
from jaxdl.plot.style import axes_or_new, figure_of, styled, title_and_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_WRITTEN = 20  # classes; beyond this the cells are too small for text


def _counts(matrix: ArrayLike) -> np.ndarray:
    array = np.asarray(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ShapeError(f"a confusion matrix has shape (K, K), this one {array.shape}")
    numbers = finite(array.astype(np.float64), "the confusion matrix")
    if np.any(numbers < 0) or np.any(numbers != np.round(numbers)):
        raise ConfigError("a confusion matrix holds counts: non-negative integers")
    return numbers.astype(np.int64)


def row_shares(counts: ArrayLike) -> np.ndarray:
    """Divides each row of a (K, K) matrix by its sum: the share of true class i predicted as j.

    A class without samples gives NaN.

    Example:
        >>> row_shares([[3, 1], [0, 0]])
        array([[0.75, 0.25],
               [ nan,  nan]])
    """
    counts = np.asarray(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    return np.divide(counts, totals, out=shares, where=np.broadcast_to(totals > 0, counts.shape))


@styled
def confusion_matrix(
    matrix: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws a confusion matrix: counts, and below them their share of the true class.

    Above 20 classes only the shades show the shares.

    Args:
        matrix: Counts, shape (K, K); rows are true classes, columns predicted ones.
        class_names: K names; None numbers the classes.

    Raises:
        ShapeError: The matrix is not square, or there are not K names.
        ConfigError: An entry is not a count.

    Example:
        >>> figure = confusion_matrix([[9, 1], [0, 10]], ["cat", "dog"])
        >>> figure.axes[0].texts[0].get_text().split()
        ['9', '90.0%']
    """
    counts = _counts(matrix)
    size = len(counts)
    names = [str(name) for name in (range(size) if class_names is None else class_names)]
    if len(names) != size:
        raise ShapeError(f"{len(names)} class names for {size} classes: give one for each")
    shares = row_shares(counts)
    side = min(2.2 + 0.52 * size, 9.0)
    ax = axes_or_new(ax, (side, side))
    ax.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
    if size <= MOST_WRITTEN:
        for (row, column), count in np.ndenumerate(counts):
            _write(ax, row, column, int(count), float(shares[row, column]), 7 if size <= 10 else 6)
        ax.set_xticks(range(size), names, rotation=90 if max(map(len, names)) > 5 else 0)
        ax.set_yticks(range(size), names)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.set_xlabel("Predicted class")
    ax.set_ylabel("True class")
    title_and_legend(ax, title)
    return figure_of(ax)


def _write(ax: Axes, row: int, column: int, count: int, share: float, points: float) -> None:
    """Writes count and share into a cell, in a colour that reads on its shade."""
    percent = "–" if np.isnan(share) else f"{share:.1%}"
    ink = "white" if share > 0.5 else "black" if count else "#8C8C8C"
    ax.text(
        column, row, f"{count}\n{percent}", ha="center", va="center", fontsize=points, color=ink
    )
