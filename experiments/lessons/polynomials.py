"""Polynomials through noisy points: a degree too small, right, and too large.

What:     points of a parabola with noise, fitted by a line, by a parabola and by a polynomial of
          high degree (least squares), with and without L2; the error at the points and at new ones,
          by degree and by the strength of L2, from many draws of the points.
Source:   course document 004, levels 8 and 9 (the picture of under- and overfitting).
Command:  python -m experiments.lessons.polynomials     seconds
Expected: the error at the points falls with every degree; at new points it is lowest at degree 2,
          where only the noise is left. L2 takes half of the excess from the high degree. What a
          network does about it is measured by experiments.practice.model_bias and
          experiments.practice.overfitting; experiments.lessons.penalties shows why L1 differs.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebvander

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.findings import Findings
from experiments.common.table import text_table
from jaxdl import plot
from jaxdl.errors import ConfigError
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Practice"
RIGHT = 2  # the degree of the curve itself
NEW_POINTS = 200  # to measure the error at
STRENGTHS = tuple(10 ** (n / 2) for n in range(-8, 5))  # of L2, from 0.0001 to 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolynomialsConfig(Config):
    """The points and the degrees."""

    points: int = option(15, "points to fit", low=4, high=1000)
    noise: float = option(0.2, "standard deviation of the noise", above=0, high=10)
    degree: int = option(11, "the highest degree", low=3, high=40)
    l2: float = option(1.0, "strength λ of L2, on the sum of squared errors", above=0)
    draws: int = option(200, "draws of the points", low=2, high=10_000)


def draw_points(config: PolynomialsConfig, draw: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of y = x² with noise, x from -1 to 1: x and y, each (count,)."""
    key = jax.random.fold_in(stream(root_key(config.seed), Stream.MADE_UP), draw)
    x = np.linspace(-1, 1, count)
    noise = np.asarray(jax.random.normal(key, (count,)), float)
    return x, x**2 + config.noise * noise


def fit_with_l2(x: np.ndarray, y: np.ndarray, degree: int, strength: float) -> Chebyshev:
    """The polynomial with the least sum of squared errors and λ times its squared coefficients.

    The constant is left alone. Coefficients are those of Chebyshev's polynomials, which lie between
    -1 and 1 as the powers do, but are not as alike.
    """
    table = chebvander(x, degree)
    penalty = strength * np.diag([0.0] + [1.0] * degree)
    return Chebyshev(np.linalg.solve(table.T @ table + penalty, table.T @ y))


def error(fit: Chebyshev, x: np.ndarray, y: np.ndarray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((fit(x) - y) ** 2)))


def errors(config: PolynomialsConfig) -> Findings:
    """Errors at the points and at new ones, in every draw, of each degree and strength of L2."""
    degrees = range(1, config.degree + 1)
    values: dict[str, dict[str, list[float]]] = {}

    def note(name: str, fit: Chebyshev) -> None:
        own = values.setdefault(name, {"training_loss": [], "new_loss": []})
        own["training_loss"].append(error(fit, x, y))
        own["new_loss"].append(error(fit, *new))

    for draw in range(config.draws):
        x, y = draw_points(config, 2 * draw, config.points)
        new = draw_points(config, 2 * draw + 1, NEW_POINTS)
        for degree in degrees:
            note(name_of(degree), Chebyshev.fit(x, y, degree))
        for strength in dict.fromkeys((config.l2, *STRENGTHS)):
            note(name_of_l2(strength), fit_with_l2(x, y, config.degree, strength))
    return Findings(values, [])


def name_of(degree: int) -> str:
    """The name of the polynomials of a degree."""
    return f"degree {degree}"


def name_of_l2(strength: float) -> str:
    """The name of the polynomials of the highest degree with L2."""
    return f"L2 {strength:.4g}"


def sentence(config: PolynomialsConfig, found: Findings) -> str:
    """What the errors at new points show, draw by draw."""
    highest, with_l2 = name_of(config.degree), name_of_l2(config.l2)
    pairs = [
        (name_of(1), name_of(RIGHT), name_of(1)),
        (highest, name_of(RIGHT), highest),
        (with_l2, highest, f"{highest} with L2"),
    ]
    said = [
        f"{shown} {found.verdict(run, against, 'new_loss')} against {against}"
        for run, against, shown in pairs
    ]
    best = min(STRENGTHS, key=lambda s: found.mean(name_of_l2(s), "new_loss"))
    text = f"Error at new points, draw by draw: {'; '.join(said)}. Of the strengths tried, λ = "
    return f"{text}{best:.2g} has the least error there.".replace("seeds", "draws")


def draw(config: PolynomialsConfig, found: Findings) -> dict[str, Any]:
    """The three fits to one draw of the points, and the errors by degree."""
    x, y = draw_points(config, 0, config.points)
    fine = np.linspace(-1, 1, 400)
    fits = {name_of(d): Chebyshev.fit(x, y, d)(fine) for d in (1, RIGHT, config.degree)}
    with_l2 = fit_with_l2(x, y, config.degree, config.l2)
    fits[f"{name_of(config.degree)} with L2"] = with_l2(fine)
    figure, (ax, below, strengths) = plot.figure_with_panels(3, share_x=False, panel_height=2.8)
    ax.plot(x, y, "o", color="black", label="points", zorder=3)
    plot.curves(fine, fits, xlabel="x", ylabel="y", ax=ax)
    ax.set_ylim(y.min() - 0.3, y.max() + 0.3)
    degrees = range(1, config.degree + 1)
    draw_errors(config, found, below, {d: name_of(d) for d in degrees}, "Degree")
    label = f"Strength λ of L2 on degree {config.degree}"
    draw_errors(config, found, strengths, {s: name_of_l2(s) for s in STRENGTHS}, label)
    strengths.set_xscale("log")
    return {"polynomials": figure}


def draw_errors(
    config: PolynomialsConfig, found: Findings, ax: Any, names: dict[float, str], label: str
) -> None:
    """The mean errors of fits, which ``names`` gives by what stands on the x axis."""
    plot.curves(
        list(names),
        {
            told: [found.mean(name, metric) for name in names.values()]
            for told, metric in (("at the points", "training_loss"), ("at new points", "new_loss"))
        },
        xlabel=label,
        ylabel=f"Error (RMS),\nmean of {config.draws} draws",
        references={"noise": config.noise},
        ax=ax,
    )


def run(config: PolynomialsConfig) -> lesson.Result:
    """Fits, prints the table, draws, and writes the folder."""
    if config.degree >= config.points:
        raise ConfigError(
            f"--degree {config.degree} with --points {config.points}: a polynomial of degree d "
            "needs more than d points"
        )
    found = errors(config)
    folder = lesson.begin("polynomials", config, __doc__)
    rows = [
        (name, *(f"{found.mean(name, metric):.3f}" for metric in found.metrics))
        for name in found.values
    ]
    print(f"L2 with its λ is on degree {config.degree}; the noise is {config.noise:g}.\n")
    print(text_table(("fit", "error at the points", "at new points"), rows))
    means = {name: {m: found.mean(name, m) for m in found.metrics} for name in found.values}
    summary = {"noise": config.noise, "errors": means, "shown": sentence(config, found)}
    return lesson.finish(folder, summary, draw(config, found))


if __name__ == "__main__":
    command_line.main("lessons.polynomials", PolynomialsConfig, run, __doc__)
