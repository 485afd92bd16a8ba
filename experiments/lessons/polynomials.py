"""Polynomials through noisy points: a degree too small, right, and too large.

What:     points of a parabola with noise, fitted by a line, by a parabola and by a polynomial of
          high degree (least squares); the error at the points and at new ones, by degree, from many
          draws of the points.
Source:   course document 004, levels 8 and 9 (the picture of under- and overfitting).
Command:  python -m experiments.lessons.polynomials     seconds
Expected: the error at the points falls with every degree; at new points it is lowest at degree 2,
          where only the noise is left. What a network does about it is measured by
          experiments.practice.model_bias and experiments.practice.overfitting.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from numpy.polynomial import Chebyshev

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolynomialsConfig(Config):
    """The points and the degrees."""

    points: int = option(15, "points to fit", low=4, high=1000)
    noise: float = option(0.2, "standard deviation of the noise", above=0, high=10)
    degree: int = option(11, "the highest degree", low=3, high=40)
    draws: int = option(200, "draws of the points", low=2, high=10_000)


def draw_points(config: PolynomialsConfig, draw: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of y = x² with noise, x from -1 to 1: x and y, each (count,)."""
    key = jax.random.fold_in(stream(root_key(config.seed), Stream.MADE_UP), draw)
    x = np.linspace(-1, 1, count)
    noise = np.asarray(jax.random.normal(key, (count,)), float)
    return x, x**2 + config.noise * noise


def error(fit: Chebyshev, x: np.ndarray, y: np.ndarray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((fit(x) - y) ** 2)))


def errors(config: PolynomialsConfig) -> Findings:
    """Error at the points and at new ones, of each degree, in every draw."""
    degrees = range(1, config.degree + 1)
    values = {name_of(d): {"training_loss": [], "new_loss": []} for d in degrees}
    for draw in range(config.draws):
        x, y = draw_points(config, 2 * draw, config.points)
        new = draw_points(config, 2 * draw + 1, NEW_POINTS)
        for degree in degrees:
            fit = Chebyshev.fit(x, y, degree)
            values[name_of(degree)]["training_loss"].append(error(fit, x, y))
            values[name_of(degree)]["new_loss"].append(error(fit, *new))
    return Findings(values, [])


def name_of(degree: int) -> str:
    """The name of the polynomials of a degree."""
    return f"degree {degree}"


def sentence(config: PolynomialsConfig, found: Findings) -> str:
    """What the errors at new points show, draw by draw."""
    said = [
        f"degree {degree} {found.verdict(name_of(degree), name_of(RIGHT), 'new_loss')}"
        for degree in (1, config.degree)
    ]
    return f"Error at new points, against degree {RIGHT}, draw by draw: {'; '.join(said)}."


def draw(config: PolynomialsConfig, found: Findings) -> dict[str, Any]:
    """The three fits to one draw of the points, and the errors by degree."""
    x, y = draw_points(config, 0, config.points)
    fine = np.linspace(-1, 1, 400)
    fits = {name_of(d): Chebyshev.fit(x, y, d)(fine) for d in (1, RIGHT, config.degree)}
    figure, (ax, below) = plot.figure_with_panels(2, share_x=False, panel_height=3.0)
    ax.plot(x, y, "o", color="black", label="points", zorder=3)
    plot.curves(fine, fits, xlabel="x", ylabel="y", ax=ax)
    ax.set_ylim(y.min() - 0.3, y.max() + 0.3)
    plot.curves(
        range(1, config.degree + 1),
        {
            name: [found.mean(degree, metric) for degree in found.values]
            for name, metric in (("at the points", "training_loss"), ("at new points", "new_loss"))
        },
        xlabel="Degree",
        ylabel=f"Error (RMS), mean of {config.draws} draws",
        references={"noise": config.noise},
        ax=below,
    )
    return {"polynomials": figure}


def run(config: PolynomialsConfig) -> lesson.Result:
    """Fits, prints the table, draws, and writes the folder."""
    if config.degree >= config.points:
        raise ConfigError(
            f"--degree {config.degree} with --points {config.points}: a polynomial of degree d "
            "needs more than d points"
        )
    found = errors(config)
    folder = lesson.begin("polynomials", config)
    rows = [
        (name, *(f"{found.mean(name, metric):.3f}" for metric in found.metrics))
        for name in found.values
    ]
    print(text_table(("fit", "error at the points", "at new points"), rows))
    said = sentence(config, found)
    print(f"\nThe noise is {config.noise:g}. {said}")
    means = {name: {m: found.mean(name, m) for m in found.metrics} for name in found.values}
    summary = {"noise": config.noise, "errors": means, "sentence": said}
    return lesson.finish(folder, summary, draw(config, found))


if __name__ == "__main__":
    command_line.main("lessons.polynomials", PolynomialsConfig, run, __doc__)
