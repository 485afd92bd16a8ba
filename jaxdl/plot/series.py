"""Curves over steps or epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot.checks import not_empty, vector
from jaxdl.plot.style import (
    axes_or_new,
    colour,
    figure_of,
    line_style,
    reference_lines,
    styled,
    title_and_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_POINTS = 30  # up to here every point of a curve gets a marker


def moving_average(values: ArrayLike, window: int) -> np.ndarray:
    r"""Averages each value with its neighbours in a centred window.

    .. math:: \bar y_i = \operatorname{mean}\{y_j : -\lfloor (w-1)/2 \rfloor \le i - j
        \le \lfloor w/2 \rfloor,\; y_j \text{ finite}\}

    The window is cut off at the ends; NaN and infinity are left out of it and stay gaps.

    Args:
        values: Shape (N,).
        window: Its width w in values, at least 1.

    Returns:
        Shape (N,), NaN where ``values`` is not finite.

    Raises:
        ConfigError: The window is not a positive whole number.

    Example:
        >>> moving_average([1.0, 2.0, 6.0], 3)
        array([1.5, 3. , 4. ])
    """
    if window < 1 or window != int(window):
        raise ConfigError(f"a moving average over {window} values: give a whole number from 1 on")
    values = np.asarray(values, np.float64)
    window = int(min(window, 2 * values.size))
    valid = np.isfinite(values)
    # Direct sums, not differences of a running sum: those lose everything after one huge value.
    ones = np.ones(window)
    inside = slice((window - 1) // 2, (window - 1) // 2 + values.size)
    total = np.convolve(np.where(valid, values, 0.0), ones)[inside]
    count = np.convolve(valid.astype(np.float64), ones)[inside]
    return np.where(valid, total / np.maximum(count, 1.0), np.nan)


def _marked(values: np.ndarray) -> list[int]:
    """Returns which points need a marker: all of few, and those that no line reaches."""
    if values.size <= FEW_POINTS:
        return list(range(values.size))
    gap = np.concatenate([[True], ~np.isfinite(values), [True]])
    return np.flatnonzero(gap[:-2] & ~gap[1:-1] & gap[2:]).tolist()


def _draw_curve(ax: Axes, x: np.ndarray, y: np.ndarray, name: str, index: int, smooth: int) -> None:
    """Draws one curve; with smoothing, the raw one faintly behind it."""
    style = {"color": colour(index), "linestyle": line_style(index)}
    if marked := _marked(y):
        style |= {"marker": "o", "markevery": marked}
    if smooth > 1:
        # Below every smoothed curve, and out of the legend (the underscore).
        ax.plot(x, y, **style, alpha=0.25, linewidth=0.7, zorder=1.8, label=f"_{name}")
        y = moving_average(y, smooth)
    ax.plot(x, y, **style, label=name)


def _check_log(series: Mapping[str, np.ndarray], references: Mapping[str, float]) -> None:
    """Checks that a logarithmic axis can show every curve and reference."""
    for name, values in (*series.items(), *references.items()):
        if not np.any(np.asarray(values) > 0):
            raise ConfigError(f"{name} has no positive value: use log_y=False")


@styled
def curves(
    x: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
    smooth: int = 0,
    references: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws curves over a common x.

    NaN and infinite values are gaps. A point without neighbours is drawn as a dot.

    Args:
        x: Shape (N,).
        series: Name of each curve and its values, shape (N,).
        xlabel: Label of the x axis, with its unit; empty for a panel above another.
        ylabel: Label of the y axis, with its unit.
        title: Title above the plot.
        smooth: Width, in values, of the moving average to draw over the faint raw curve; 0 and 1
            draw the raw curve alone.
        references: Dashed horizontal lines.
        ax: Where to draw; None makes a figure.

    Raises:
        ShapeError: A curve is not as long as ``x``.
        ConfigError: There is no curve.

    Example:
        >>> figure = curves([1, 2, 3], {"G": [3.0, 2.0, 1.5]}, xlabel="Epoch", ylabel="Loss")
        >>> figure.axes[0].get_lines()[0].get_ydata().tolist()
        [3.0, 2.0, 1.5]
    """
    x = vector(x, "x")
    not_empty(series, "series")
    values = {name: vector(given, f"series {name!r}", x.size) for name, given in series.items()}
    ax = axes_or_new(ax)
    for index, (name, y) in enumerate(values.items()):
        _draw_curve(ax, x, y, name, index, smooth)
    reference_lines(ax, references)
    if np.all(x == np.round(x)):  # steps and epochs: no tick at 2.5
        ax.xaxis.get_major_locator().set_params(integer=True)
    if x.min() == x.max():
        ax.set_xlim(x[0] - 1, x[0] + 1)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    title_and_legend(ax, title)
    return figure_of(ax)


@styled
def line_band(
    x: ArrayLike,
    runs: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
    references: Mapping[str, float] | None = None,
    log_y: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draws the mean over repeated runs, and from their lowest to their highest value a band.

    ``runs`` holds for each curve its values, shape (R, N): a row for each of R runs. With
    ``log_y`` the y axis is logarithmic, and values that are not positive are gaps. The other
    arguments are those of :func:`curves`.

    Raises:
        ShapeError: The runs are not (R, N).
        ConfigError: There are no runs, or nothing positive for ``log_y``.

    Example:
        >>> figure = line_band([1, 2], {"L2": [[1.0, 3.0], [2.0, 5.0]]}, xlabel="", ylabel="Loss")
        >>> figure.axes[0].get_lines()[0].get_ydata().tolist()
        [1.5, 4.0]
    """
    means, bands = {}, {}
    for name, values in runs.items():
        rows = np.asarray(values).astype(np.float64)
        if rows.ndim != 2 or len(rows) == 0:
            raise ShapeError(f"runs {name!r} have shape {rows.shape}: need (runs, points)")
        means[name] = rows.mean(axis=0)
        bands[name] = (rows.min(axis=0), rows.max(axis=0))
    if log_y:
        _check_log(means, references or {})
    ax = axes_or_new(ax)
    if log_y:
        ax.set_yscale("log", nonpositive="mask")
    labels = {"xlabel": xlabel, "ylabel": ylabel, "title": title}
    figure = curves(x, means, **labels, references=references, ax=ax)
    for index, (low, high) in enumerate(bands.values()):
        ax.fill_between(np.asarray(x), low, high, color=colour(index), alpha=0.18, linewidth=0)
    return figure
