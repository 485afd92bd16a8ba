"""Plots in the plane: decision lines, and optimiser paths over contours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.plot.checks import finite, points, vector
from jaxdl.plot.style import (
    WIDTH,
    axes_or_new,
    colour,
    figure_of,
    marker,
    styled,
    title_and_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def decision_lines(
    inputs: ArrayLike,
    labels: ArrayLike,
    lines: Mapping[str, tuple[ArrayLike, float]],
    *,
    xlabel: str = "$x_1$",
    ylabel: str = "$x_2$",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws labelled points and the lines w · x + b = 0; arrows point to w · x + b > 0.

    A zero w, which defines no line, raises ConfigError.

    Args:
        inputs: Shape (N, 2).
        labels: Integer class of each point, shape (N,).
        lines: (w, b) by name: w of shape (2,), b a number.

    Example:
        >>> corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
        >>> figure = decision_lines(corners, [0, 0, 0, 1], {"AND": ([0.5, 0.5], -0.75)})
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['class 0', 'class 1', 'AND']
    """
    inputs = finite(points(inputs, "inputs"), "inputs")
    labels = vector(labels, "labels", len(inputs))
    ax = axes_or_new(ax, (0.65 * WIDTH, 0.65 * WIDTH))
    classes = np.unique(labels)
    for index, label in enumerate(classes):
        x, y = inputs[labels == label].T
        style = {"color": colour(index), "linestyle": "none", "markersize": 7, "zorder": 3}
        ax.plot(x, y, marker=marker(index), **style, label=f"class {label:g}")
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    margin = 0.35 * float(np.max(high - low)) or 1.0
    for index, (name, (weights, bias)) in enumerate(lines.items()):
        w = vector(weights, f"line {name!r}", 2)
        _draw_line(ax, name, w, float(bias), index, (low + high) / 2, margin)
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    ax.set(aspect="equal", xlabel=xlabel, ylabel=ylabel)
    title_and_legend(ax, title)
    return figure_of(ax)


LEVELS = 20  # contour lines, each between equal areas of the window,
FLOOR = (4e-3, 1.6e-2)  # and, below the first of them, around these shares of it
RESOLUTION = 400  # evaluation points per side


def _draw_line(
    ax: Axes,
    name: str,
    weights: np.ndarray,
    bias: float,
    index: int,
    centre: np.ndarray,
    size: float,
) -> None:
    """Draws w · x + b = 0, and the direction of w from its point nearest to ``centre``."""
    finite(np.append(weights, bias), f"line {name!r}")
    length = float(np.hypot(*weights))
    if length == 0:
        raise ConfigError(f"line {name!r} has w = 0: it defines no line")
    normal = weights / length
    foot = centre - (weights @ centre + bias) / length * normal
    style = {"color": "black", "linestyle": ("-", "--", "-.", ":")[index % 4]}
    ax.axline(foot, foot + np.array([-normal[1], normal[0]]), **style, label=name)
    arrow = {"arrowstyle": "->", "color": "black"}
    ax.annotate("", foot + 0.5 * size * normal, foot, arrowprops=arrow, annotation_clip=True)


def _on_grid(
    f: Callable[[Any], Any], xlim: tuple[float, float], ylim: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import jax

    x, y = np.meshgrid(np.linspace(*xlim, RESOLUTION), np.linspace(*ylim, RESOLUTION))
    at = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    values = np.asarray(jax.vmap(f)(at)).astype(np.float64)
    if values.shape != (at.shape[0],):
        raise ShapeError(f"f gives shape {values.shape[1:]} for a point: it must be a scalar")
    return x, y, values.reshape(x.shape)


@styled
def contours_with_paths(
    f: Callable[[Any], Any],
    paths: Mapping[str, ArrayLike],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    minima: ArrayLike | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws optimiser paths over the contours of their objective; a square marks each start.

    Contour levels are quantiles of the function over the window, denser at the lowest values, so
    they show the floor of a ravine as well as its walls.

    Args:
        f: A function JAX can trace, from a point (2,) to a scalar.
        paths: Points of shape (T, 2) by name, starting point first.
        xlim: Limits of the window in the first coordinate.
        ylim: Limits of the window in the second coordinate.
        minima: Points to mark, shape (M, 2).

    Example:
        >>> figure = contours_with_paths(
        ...     lambda x: 2 * x[0] ** 2 + x[1] ** 2,
        ...     {"steepest descent": [[1, 1], [-1 / 9, 4 / 9], [2 / 27, 2 / 27]]},
        ...     (-1.5, 1.5), (-1.5, 1.5), minima=[[0, 0]],
        ... )
        >>> len(figure.axes[0].get_lines()[0].get_xdata())
        3
    """
    if not (xlim[0] < xlim[1] and ylim[0] < ylim[1]):
        raise ConfigError(f"xlim={xlim}, ylim={ylim}: the first must be below the second")
    ax = axes_or_new(ax, (0.8 * WIDTH, 0.7 * WIDTH))
    x, y, values = _on_grid(f, xlim, ylim)
    shown = np.ma.masked_invalid(values)
    if shown.count() and shown.min() < shown.max():  # a constant has no contours
        shares = np.append(FLOOR, np.linspace(0, 1, LEVELS + 2)[1:-1])
        heights = np.unique(np.quantile(shown.compressed(), shares))
        look = {"colors": "#9AA5B1", "linewidths": 0.7, "linestyles": "solid"}
        ax.contour(x, y, shown, heights, **look)
    for index, (name, given) in enumerate(paths.items()):
        path = points(given, f"path {name!r}")
        style = {"color": colour(index), "marker": marker(index)}
        ax.plot(*path.T, **style, markersize=2.5, label=name)
        ax.plot(*path[0], marker="s", color=colour(index), markersize=6)
    if minima is not None:
        star = {"marker": "*", "linestyle": "none", "color": "black", "markersize": 10}
        ax.plot(*points(minima, "minima").T, **star, label="minimum", zorder=3)
    ax.grid(visible=False)
    ax.set(xlim=xlim, ylim=ylim, xlabel="$x_1$", ylabel="$x_2$")
    title_and_legend(ax, title)
    return figure_of(ax)
