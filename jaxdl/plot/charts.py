"""Charts of unordered values: repeated runs, distributions, bars, predictions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError
from jaxdl.plot.checks import finite, known_names, not_empty, vector
from jaxdl.plot.style import (
    GREY,
    WIDTH,
    axes_or_new,
    colour,
    figure_of,
    reference_lines,
    styled,
    title_and_legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jaxdl.metrics.statistics import Summary


def _name_ticks(ax: Axes, names: Mapping[str, object]) -> None:
    """Labels the ticks 0, 1, 2, … with names, wrapped to fit."""
    characters = max(6, int(figure_of(ax).get_figwidth() * 13 / (len(names) + 1)))
    texts = [textwrap.fill(str(name), characters, break_long_words=False) for name in names]
    ax.set_xticks(range(len(names)), texts)
    ax.tick_params(axis="x", length=0)
    ax.grid(visible=False, axis="x")


@styled
def values_per_seed(
    values: Mapping[str, ArrayLike],
    *,
    ylabel: str,
    title: str | None = None,
    references: Mapping[str, float] | None = None,
    run_references: Mapping[str, float] | None = None,
    run_reference_label: str = "reference",
    possible: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plots every run of repeated experiments, with means and 95% intervals.

    Args:
        values: One result per seed, shape (R,), by experiment name; R may differ.
        run_references: A value to compare an experiment with, such as a published figure, drawn as
            a diamond beside its runs.
        run_reference_label: Legend entry of those diamonds.
        possible: Smallest and largest possible value; intervals are cut off there. They are also
            cut, with an arrow and their half width, where they are much wider than the runs.

    Example:
        >>> figure = values_per_seed({"L2": [0.91, 0.93], "none": [0.90]}, ylabel="Accuracy")
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['L2', 'none']
    """
    from jaxdl.metrics.statistics import summarize

    not_empty(values, "values")
    known_names(run_references or {}, values, "run_references")
    ax = axes_or_new(ax)
    found = {}
    for place, (name, given) in enumerate(values.items()):
        runs = finite(vector(given, f"values {name!r}"), f"values {name!r}")
        found[place + 0.24] = summarize(runs)
        # Spread in seed order, not at random, so the same runs give the same picture.
        spread = np.linspace(-0.1, 0.1, runs.size) if runs.size > 1 else np.zeros(1)
        dots = {"color": colour(0), "alpha": 0.55, "markeredgewidth": 0}
        ax.plot(place + spread, runs, "o", **dots, label=None if place else "one run")
    if run_references:
        places = [list(values).index(name) for name in run_references]
        diamond = {"marker": "D", "linestyle": "none", "color": colour(1)}
        where = np.array(places) - 0.24
        ax.plot(where, list(run_references.values()), **diamond, label=run_reference_label)
    reference_lines(ax, references)
    _means(ax, found, possible)
    _name_ticks(ax, values)
    ax.set_xlim(-0.6, len(values) - 0.4)
    ax.set_ylabel(ylabel)
    title_and_legend(ax, title)
    return figure_of(ax)


def _means(ax: Axes, found: Mapping[float, Summary], possible: tuple[float, float] | None) -> None:
    """Draws means and intervals by place; those much longer than the axis has to be are cut."""
    low, high = ax.dataLim.intervaly
    room = 0.5 * (high - low) or 0.05 * abs(high) or 0.5
    least, greatest = possible or (-np.inf, np.inf)
    limits = np.clip([low - room, high + room], least, greatest)
    bar = {"color": "black", "markersize": 11, "capsize": 3, "elinewidth": 1.2}
    for index, (place, one) in enumerate(found.items()):
        ends = np.array([one.low, one.high])
        inside = np.clip(ends, *limits)
        half = None if np.isnan(ends).any() else np.abs(inside - one.mean)[:, None]
        label = None if index else "mean and its 95 % interval"
        ax.errorbar(place, one.mean, half, fmt="_", **bar, label=label)
        for end, cut, mark in zip(ends, inside, "v^", strict=True):
            if end != cut and cut not in (least, greatest) and not np.isnan(end):
                ax.plot(place, cut, mark, color="black", markersize=5)
                ax.text(place + 0.05, cut, f"±{one.half_width:.2g}", fontsize=7, va="center")
    if possible is not None:
        margin = 0.02 * (greatest - least)
        ax.set_ylim(np.clip(ax.get_ylim(), least - margin, greatest + margin))


@styled
def intervals(
    values: Mapping[str, tuple[float, float, float]],
    *,
    xlabel: str,
    title: str | None = None,
    reference: float | None = 0.0,
    ax: Axes | None = None,
) -> Figure:
    """Draws means with their intervals, a row for each name, from the top.

    Args:
        values: Low end, mean and high end by name; ends may be NaN, then only the mean is drawn.
        reference: Where to draw a vertical line; None for none. Intervals that contain it are grey.

    Example:
        >>> figure = intervals({"L2": (-0.1, 0.2, 0.5), "wide": (1, 2, 3)}, xlabel="Difference")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['L2', 'wide']
    """
    not_empty(values, "values")
    rows = {name: vector(ends, f"values {name!r}", 3) for name, ends in values.items()}
    finite(vector([row[1] for row in rows.values()], "values"), "values")
    ax = axes_or_new(ax, (WIDTH, 0.8 + 0.22 * len(rows)))
    if reference is not None:
        ax.axvline(reference, color=GREY, linewidth=1.0, zorder=1.5)
    for place, (low, mean, high) in enumerate(rows.values()):
        contains = reference is not None and not (low > reference or high < reference)
        shown = {"color": GREY if contains else colour(0), "capsize": 3, "markersize": 5}
        ends = None if np.isnan([low, high]).any() else [[mean - low], [high - mean]]
        ax.errorbar(mean, place, xerr=ends, fmt="o", elinewidth=1.2, **shown)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(xlabel)
    title_and_legend(ax, title, [])
    return figure_of(ax)


@styled
def histogram(
    values: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    bins: int = 60,
    density: bool = False,
    log_y: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws distributions as outlines over common bins.

    Args:
        values: Values by name, any shape (they are flattened).
        bins: Number of bins between the smallest and the largest value overall.
        density: Scale each outline to area 1 instead of counting.
        log_y: Use a logarithmic y axis.

    Example:
        >>> figure = histogram({"w": [0.0, 0.0, 1.0]}, xlabel="Weight", bins=2)
        >>> figure.axes[0].patches[0].get_data().values.tolist()
        [2.0, 1.0]
    """
    not_empty(values, "values")
    if bins < 1:
        raise ConfigError(f"a histogram of {bins} bins: it must be at least 1")
    flat = {
        name: finite(vector(np.ravel(given), f"values {name!r}"), f"values {name!r}")
        for name, given in values.items()
    }
    edges = np.histogram_bin_edges(np.concatenate(list(flat.values())), bins)
    ax = axes_or_new(ax)
    if log_y:
        ax.set_yscale("log", nonpositive="clip")
    for index, (name, data) in enumerate(flat.items()):
        heights = np.histogram(data, edges, density=density)[0].astype(np.float64)
        ax.stairs(heights, edges, color=colour(index), linewidth=1.3, label=name)
    if not log_y:
        ax.set_ylim(bottom=0)
    ax.set_xlabel(xlabel)
    ax.set_ylabel("Density" if density else "Count")
    title_and_legend(ax, title)
    return figure_of(ax)


@styled
def bars(
    values: Mapping[str, float],
    *,
    ylabel: str,
    errors: Mapping[str, float] | None = None,
    references: Mapping[str, float] | None = None,
    value_format: str = "{:.3g}",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draws bars from 0 and writes each value at the end of its bar.

    Args:
        values: Height of each bar by name.
        errors: Half width of the interval of each bar, by name.

    Example:
        >>> figure = bars({"CPU": 8.0, "GPU": 0.5}, ylabel="Seconds")
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['8', '0.5']
    """
    not_empty(values, "values")
    known_names(errors or {}, values, "errors")
    heights = finite(vector(list(values.values()), "values"), "values")
    ax = axes_or_new(ax)
    half = [(errors or {}).get(name, np.nan) for name in values] if errors else None
    style = {"ecolor": "black", "error_kw": {"capsize": 3, "elinewidth": 1.2}}
    drawn = ax.bar(range(len(heights)), heights, 0.6, yerr=half, color=colour(0), **style)
    ax.bar_label(drawn, [value_format.format(height) for height in heights], padding=2, fontsize=8)
    ax.axhline(0, color=GREY, linewidth=0.8)
    lines = reference_lines(ax, references)
    _name_ticks(ax, values)
    ax.margins(y=0.1)
    ax.set_ylabel(ylabel)
    title_and_legend(ax, title, lines)
    return figure_of(ax)


@styled
def scatter_with_diagonal(
    true: ArrayLike,
    predicted: ArrayLike,
    *,
    xlabel: str = "True",
    ylabel: str = "Predicted",
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plots predictions (N,) against true values (N,), with the diagonal on which they agree.

    Example:
        >>> figure = scatter_with_diagonal([1.0, 2.0], [1.5, 2.5])
        >>> figure.axes[0].get_xlim() == figure.axes[0].get_ylim()
        True
    """
    x = finite(vector(true, "true"), "true")
    y = finite(vector(predicted, "predicted", x.size), "predicted")
    ax = axes_or_new(ax, (0.65 * WIDTH, 0.65 * WIDTH))
    ax.plot(x, y, "o", color=colour(0), alpha=0.6, markeredgewidth=0, label="samples")
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    margin = 0.05 * (high - low) or 0.5
    ax.axline((low, low), slope=1, color=GREY, linestyle="--", linewidth=1.0, label="exact")
    ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    title_and_legend(ax, title)
    return figure_of(ax)
