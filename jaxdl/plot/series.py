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
    marker,
    reference_lines,
    styled,
    title_and_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_POINTS = 30  # curves of up to this many points get markers


def moving_average(values: ArrayLike, window: int) -> np.ndarray:
    r"""Averages each value with its neighbours in a centred window.

    .. math:: \bar y_i = \operatorname{mean}\{y_j : -\lfloor (w-1)/2 \rfloor \le i - j
        \le \lfloor w/2 \rfloor,\; y_j \text{ finite}\}

    The window is cut off at the ends. Values that are not finite are skipped and become NaN.

    Args:
        values: Shape (N,).
        window: Width w in values, at least 1, else ConfigError.

    Example:
        >>> moving_average([1.0, 2.0, 6.0], 3)
        array([1.5, 3. , 4. ])
    """
    if window < 1 or window != int(window):
        raise ConfigError(f"a moving average over {window} values: give an integer of at least 1")
    values = np.asarray(values, np.float64)
    window = int(min(window, 2 * values.size))
    valid = np.isfinite(values)
    # Direct sums: differences of a running sum lose everything after one huge value.
    ones = np.ones(window)
    inside = slice((window - 1) // 2, (window - 1) // 2 + values.size)
    total = np.convolve(np.where(valid, values, 0.0), ones)[inside]
    count = np.convolve(valid.astype(np.float64), ones)[inside]
    return np.where(valid, total / np.maximum(count, 1.0), np.nan)


def _marked(values: np.ndarray) -> list[int]:
    """Returns the points that need a marker: all if there are few, else those no line reaches."""
    if values.size <= FEW_POINTS:
        return list(range(values.size))
    gap = np.concatenate([[True], ~np.isfinite(values), [True]])
    return np.flatnonzero(gap[:-2] & ~gap[1:-1] & gap[2:]).tolist()


def _draw_curve(ax: Axes, x: np.ndarray, y: np.ndarray, name: str, index: int, smooth: int) -> None:
    """Draws one curve; with smoothing, the raw one faintly behind it."""
    style = {"color": colour(index), "linestyle": line_style(index)}
    if marked := _marked(y):
        style |= {"marker": marker(index), "markevery": marked}
    if smooth > 1:
        # Behind every smoothed curve; the underscore keeps it out of the legend.
        raw = {**style, "linestyle": "-", "linewidth": 0.7}
        ax.plot(x, y, **raw, alpha=0.25, zorder=1.8, label=f"_{name}")
        y = moving_average(y, smooth)
    ax.plot(x, y, **style, label=name)


def _check_log(series: Mapping[str, np.ndarray], references: Mapping[str, float]) -> None:
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

    NaN and infinity are gaps; a point without neighbours is drawn as a dot.

    Args:
        x: Shape (N,).
        series: Values (N,) by curve name.
        xlabel: With unit; empty for a panel above another.
        smooth: Width, in values, of a moving average drawn over the faint raw curve; 0 or 1 for
            none.

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
    """Draws the mean over repeated runs, with a band from their minimum to their maximum.

    ``runs`` maps a curve's name to its values (R, N), one row per run. ``log_y`` makes the y axis
    logarithmic and turns values that are not positive into gaps. For the rest see :func:`curves`.

    Example:
        >>> figure = line_band([1, 2], {"L2": [[1.0, 3.0], [2.0, 5.0]]}, xlabel="", ylabel="Loss")
        >>> figure.axes[0].get_lines()[0].get_ydata().tolist()
        [1.5, 4.0]
    """
    means, bands = {}, {}
    for name, values in runs.items():
        rows = np.ma.masked_invalid(np.asarray(values).astype(np.float64))
        if rows.ndim != 2 or len(rows) == 0:
            raise ShapeError(f"runs {name!r} have shape {rows.shape}: need (runs, points)")
        means[name] = rows.mean(axis=0).filled(np.nan)
        bands[name] = tuple(edge(axis=0).filled(np.nan) for edge in (rows.min, rows.max))
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
