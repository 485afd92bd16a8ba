"""Activation functions: their values, their slopes, and the formulas that overflow.

What:     each activation beside the textbook formula, for ordinary and for huge inputs; softmax of
          large logits; softmax over the channels of an image.
Source:   course document 004, levels 1 to 4; course document 002, section 7.
Command:  python -m experiments.lessons.activations     seconds
Expected: jaxdl and PyTorch agree everywhere. The formulas agree for moderate inputs; at ±10,000
          tanh is NaN, and so are the slopes of sigmoid, tanh and ELU.

A NaN slope is worse than a wrong value: multiplied into the gradient, a single one turns every
weight of a network into NaN at the next step. At a kink the slope is a convention: at x = 0 the
formula of ReLU says 1, jaxdl and PyTorch say 0. LeakyReLU has the slope of the course's formula;
PReLU learns its slope. What the slopes do to training is in `lessons.activations_on_digits`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import plot
from jaxdl.nn import activations

THEME = "Building blocks"
Function = Callable[[jax.Array], jax.Array]
Table = dict[str, list[list[float]]]  # values and slopes of each function at POINTS

SLOPE = 0.1  # of LeakyReLU below 0
POINTS = (-1e4, -2.0, 0.0, 2.0, 1e4)
JAXDL: dict[str, Function] = {
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "ReLU": activations.relu,
    "LeakyReLU": lambda x: activations.leaky_relu(x, SLOPE),
    "ELU": activations.elu,
    "sign": activations.sign,
    "step": activations.step,
}
FORMULAS: dict[str, Function] = {
    "sigmoid": lambda x: 1 / (1 + jnp.exp(-x)),
    "tanh": lambda x: (jnp.exp(x) - jnp.exp(-x)) / (jnp.exp(x) + jnp.exp(-x)),
    "ReLU": lambda x: jnp.where(x < 0, 0.0, x),
    "LeakyReLU": lambda x: jnp.where(x > 0, x, SLOPE * x),
    "ELU": lambda x: jnp.where(x > 0, x, jnp.exp(x) - 1),
    "sign": lambda x: jnp.where(x > 0, 1.0, jnp.where(x < 0, -1.0, 0.0)),
    "step": lambda x: jnp.where(x > 0, 1.0, 0.0),
}
# PyTorch 2.13.0's values for POINTS, to seven digits, and slopes where it has them.
PYTORCH: dict[str, tuple[Sequence[float], Sequence[float] | None]] = {
    "sigmoid": ((0, 0.1192029, 0.5, 0.8807970, 1), (0, 0.1049936, 0.25, 0.1049936, 0)),
    "tanh": ((-1, -0.9640276, 0, 0.9640276, 1), (0, 0.0706508, 1, 0.0706508, 0)),
    "ReLU": ((0, 0, 0, 2, 1e4), (0, 0, 0, 1, 1)),
    "LeakyReLU": ((-1000, -0.2, 0, 2, 1e4), (0.1, 0.1, 0.1, 1, 1)),
    "ELU": ((-1, -0.8646647, 0, 2, 1e4), (0, 0.1353353, 1, 1, 1)),
    "sign": ((-1, -1, 0, 1, 1), (0, 0, 0, 0, 0)),
    "step": ((0, 0, 0, 1, 1), None),  # torch.heaviside(x, 0), which has no gradient
}
LOGITS = ((0.0, 1.0, 2.0), (1e4, 1e4, -1e4), (-1e4, -1e4, -1e4 - 1), (0.0, 0.0, -200.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivationsConfig(Config):
    """Settings of the figure."""

    limit: float = option(5.0, "plot inputs from -limit to limit", above=0, high=100)


def values_and_slopes(functions: Mapping[str, Function], inputs: Sequence[float]) -> Table:
    """Values f(x) and slopes f′(x) of each function at the inputs."""

    @jax.jit
    def compute(x: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        return [jax.vmap(jax.value_and_grad(function))(x) for function in functions.values()]

    found = compute(np.asarray(inputs, np.float32))
    rows = [[np.asarray(row).tolist() for row in both] for both in found]
    return dict(zip(functions, rows, strict=True))


def naive_softmax(logits: jax.Array) -> jax.Array:
    """The formula as printed: in float32 eˣ is ∞ from x = 89 on and 0 below x = -104."""
    return jnp.exp(logits) / jnp.exp(logits).sum()


def show(values: Sequence[float], digits: int = 4) -> list[str]:
    """Formats numbers for a table; +0.0 turns -0 into 0."""
    return [f"{value + 0.0:.{digits}g}" for value in values]


def comparison(ours: Table, formula: Table, which: int) -> list[tuple[str, ...]]:
    """Rows of values (which = 0) or slopes (1): jaxdl, the formula, PyTorch."""
    rows = []
    for name in JAXDL:
        rows.append((name, "jaxdl", *show(ours[name][which])))
        rows.append(("", "formula", *show(formula[name][which])))
        if PYTORCH[name][which] is not None:
            rows.append(("", "PyTorch", *show(PYTORCH[name][which])))
    return rows


def softmax_rows() -> list[tuple[str, ...]]:
    """Softmax and its logarithm, both ways, for ordinary, large, and far apart logits."""
    rows = []
    for logits in LOGITS:
        x = jnp.array(logits)
        computed = {
            "softmax": (activations.softmax(x), naive_softmax(x)),
            "log-softmax": (activations.log_softmax(x), jnp.log(naive_softmax(x))),
        }
        for name, ways in computed.items():
            rows.append((str(logits), name, *(", ".join(show(way.tolist())) for way in ways)))
    return rows


def softmax2d_rows() -> tuple[list[tuple[str, ...]], list[float]]:
    """A 2 × 2 image with 3 channels: the distribution at every pixel, and its sum."""
    image = jnp.array([[[0.0, 0.0, 0.0], [0.0, 1.0, 2.0]], [[9.0, 0.0, 0.0], [1e4, 1e4, 0.0]]])
    probabilities = activations.softmax2d(image)
    rows = [
        (
            f"({row}, {column})",
            ", ".join(show(image[row, column].tolist())),
            ", ".join(show(probabilities[row, column].tolist())),
        )
        for row in (0, 1)
        for column in (0, 1)
    ]
    return rows, probabilities.sum(-1).ravel().tolist()


def without_jumps(values: Sequence[float]) -> np.ndarray:
    """Puts NaN where a curve jumps, so that no vertical line is drawn."""
    y = np.array(values)
    y[1:][np.abs(np.diff(y)) > 0.3] = np.nan
    return y


@plot.style.styled
def draw(config: ActivationsConfig) -> Any:
    """A panel with value and slope of each function, and one for softmax."""
    x = np.linspace(-config.limit, config.limit, 500)
    figure, panels = plot.figure_with_panels(4, 2, panel_height=2.1)
    titles = {"LeakyReLU": f"LeakyReLU, slope {SLOPE:g} below 0", "ELU": "ELU, α = 1"}
    for (name, rows), ax in zip(values_and_slopes(JAXDL, x).items(), panels[:-1], strict=True):
        series = dict(zip(("value f(x)", "slope f′(x)"), map(without_jumps, rows), strict=True))
        plot.curves(x, series, xlabel="", ylabel="", ax=ax)
        ax.get_legend().remove()
        ax.set_title(titles.get(name, name))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    logits = jnp.stack([jnp.asarray(x), jnp.zeros(x.size), jnp.ones(x.size)], axis=-1)
    first, second, third = activations.softmax(logits).T
    series = {"$p_1$": first, "$p_2$": second, "$p_3$": third}
    plot.curves(x, series, xlabel="", ylabel="", ax=panels[-1])
    panels[-1].legend(loc="center left")
    panels[-1].set_title("softmax of (x, 0, 1)")
    for ax in panels[-2:]:
        ax.set_xlabel("x")
    return figure


def not_finite(table: Table) -> list[str]:
    """The values and slopes of a table that are infinite or NaN."""
    return [
        f"{name} {what} at {x:g}"
        for name, both in table.items()
        for what, row in zip(("value", "slope"), both, strict=True)
        for x, value in zip(POINTS, row, strict=True)
        if not np.isfinite(value)
    ]


def shown(ours: Table, formula: Table) -> str:
    """What the lesson has shown, from its numbers."""
    wrong, cells = not_finite(formula), sum(len(row) for both in ours.values() for row in both)
    names = dict.fromkeys(entry.split()[0] for entry in wrong)
    return (
        f"Written as in the textbook, {len(wrong)} of {cells} values and slopes are not finite, "
        f"all of them of {', '.join(names) or 'no function'}; jaxdl's: {len(not_finite(ours))}. "
        "A function that is exact on paper must still be computed with care."
    )


def run(config: ActivationsConfig) -> lesson.Result:
    """Prints the tables, draws, and writes the folder."""
    folder = lesson.begin("activations", config, __doc__)
    ours, formula = (values_and_slopes(functions, POINTS) for functions in (JAXDL, FORMULAS))
    header = ("function", "by", *(f"x = {x:g}" for x in POINTS))
    print("Values f(x), in float32:\n")
    print(text_table(header, comparison(ours, formula, 0)))
    print("\nSlopes f'(x), by automatic differentiation:\n")
    print(text_table(header, comparison(ours, formula, 1)))
    print("\nSoftmax: jaxdl subtracts the largest logit first, the formula does not:\n")
    print(text_table(("logits", "function", "jaxdl", "formula"), softmax_rows()))
    rows, sums = softmax2d_rows()
    print("\nSoftmax over the channels of an image, pixel by pixel:\n")
    print(text_table(("pixel", "logits of 3 channels", "probabilities"), rows))
    summary = {
        "points": POINTS,
        "jaxdl": ours,
        "formula_not_finite": not_finite(formula),
        "softmax2d_sums": sums,
        "shown": shown(ours, formula),
    }
    return lesson.finish(folder, summary, {"activations": draw(config)})


if __name__ == "__main__":
    command_line.main("lessons.activations", ActivationsConfig, run, __doc__)
