"""The geometry of L1 and L2: why one penalty makes weights zero and the other makes them small.

What:     a loss of two weights with each penalty: its contours, the ball that the penalty confines
          the weights to, and where they touch; the same for many losses drawn at random, with the
          share of weights that end at zero, by penalty and strength.
Source:   course document 004, level 9 (its figure 2).
Command:  python -m experiments.lessons.penalties     seconds
Expected: L1 sets weights to exactly 0, the more the stronger it is, because its ball has corners on
          the axes; L2 sets none. Plain gradient descent with L1 jumps to and fro about 0 instead:
          exact zeros take a step that stops there.

The loss is a parabola, f(w) = (w - m)·A(w - m) / 2. The penalties are λ(|w₁| + |w₂|) and
λ(w₁² + w₂²) / 2. What minimises the sum of both also minimises the loss alone within the ball
on whose border it lies.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import plot
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Regularisation"

STRENGTHS = (0.1, 0.3, 1.0)
STEPS = 1000
NEAR = 0.01  # a weight below this is near 0
# The loss in the picture: curvature and minimum.
SHOWN_CURVATURE, SHOWN_MINIMUM = np.array([[1.0, -0.6], [-0.6, 2.0]]), np.array([0.5, 1.4])
SHOWN_STRENGTH = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PenaltiesConfig(Config):
    """The random losses."""

    draws: int = option(1000, "losses drawn at random", low=10, high=100_000)
    ratio: float = option(5.0, "ratio of a loss's two curvatures", low=1, high=100)


def draw_losses(config: PenaltiesConfig) -> tuple[np.ndarray, np.ndarray]:
    """Curvatures A (draws, 2, 2), turned at random, and minima m (draws, 2), normal."""
    key = stream(root_key(config.seed), Stream.MADE_UP)
    keys = [jax.random.fold_in(key, i) for i in range(2)]
    angle = np.asarray(jax.random.uniform(keys[0], (config.draws,)), float) * np.pi
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    curvature = np.einsum("ikn,k,jkn->nij", turn, [1.0, config.ratio], turn)
    return curvature, np.asarray(jax.random.normal(keys[1], (config.draws, 2)), float)


def with_l2(curvature: np.ndarray, minimum: np.ndarray, strength: float) -> np.ndarray:
    """The weights (…, 2) of loss and L2: (A + λ)⁻¹ A m."""
    right = curvature @ minimum[..., None]
    return np.linalg.solve(curvature + strength * np.eye(2), right)[..., 0]


def descend(
    curvature: np.ndarray, minimum: np.ndarray, move: Callable[[np.ndarray, float], np.ndarray]
) -> np.ndarray:
    """Gradient descent on the loss from its minimum; after each step ``move`` sees to the penalty.

    Args:
        curvature: A, (…, 2, 2).
        minimum: m, (…, 2).
        move: weights and step size to weights.
    """
    rate = 1 / np.linalg.eigvalsh(curvature).max()
    weights = minimum
    for _ in range(STEPS):
        slope = (curvature @ (weights - minimum)[..., None])[..., 0]
        weights = move(weights - rate * slope, rate)
    return weights


def with_l1(curvature: np.ndarray, minimum: np.ndarray, strength: float) -> np.ndarray:
    """The weights (…, 2) of loss and L1, by steps that stop at 0 (proximal, or ISTA)."""

    def towards_zero(weights: np.ndarray, rate: float) -> np.ndarray:
        return np.sign(weights) * np.maximum(abs(weights) - rate * strength, 0)

    return descend(curvature, minimum, towards_zero)


def with_l1_slope(curvature: np.ndarray, minimum: np.ndarray, strength: float) -> np.ndarray:
    """Where plain steps end that add the slope of L1, λ·sign(w), to the loss's."""

    def down(weights: np.ndarray, rate: float) -> np.ndarray:
        return weights - rate * strength * np.sign(weights)

    return descend(curvature, minimum, down)


TITLES = {"L1": "L1: λ(|w₁| + |w₂|)", "L2": "L2: λ(w₁² + w₂²)/2"}
METHODS = {"L2": with_l2, "L1": with_l1, "L1, plain descent": with_l1_slope}


def shares(config: PenaltiesConfig) -> dict[str, dict[str, list[float]]]:
    """By method: the shares of weights at 0 and near 0, and their mean size, for each strength."""
    drawn = draw_losses(config)
    found = {}
    for name, method in METHODS.items():
        ends = [abs(method(*drawn, strength)) for strength in STRENGTHS]
        found[name] = {
            "at 0": [float((end == 0).mean()) for end in ends],
            "near 0": [float((end < NEAR).mean()) for end in ends],
            "mean size": [float(end.mean()) for end in ends],
        }
    return found


def sentence(config: PenaltiesConfig, found: dict[str, dict[str, list[float]]]) -> str:
    """What the lesson has shown."""
    told = [
        f"{name} {', '.join(f'{share:.0%}' for share in entry['at 0'])}"
        for name, entry in found.items()
    ]
    strengths = ", ".join(f"{strength:g}" for strength in STRENGTHS)
    plain = found["L1, plain descent"]["near 0"][-1]
    return (
        f"Share of weights at exactly 0, over {config.draws} random losses with λ = {strengths}: "
        f"{'; '.join(told)}. Plain descent leaves {plain:.0%} within {NEAR:g} of 0 with the last λ."
    )


@plot.style.styled
def draw() -> Any:
    """One loss with each penalty's ball, and the weights as the penalty grows."""
    curvature, minimum = SHOWN_CURVATURE, SHOWN_MINIMUM
    strengths = [0.0, *np.geomspace(0.03, 10, 40)]
    circle = np.linspace(0, 2 * np.pi, 200)
    diamond = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1], [1, 0]])
    balls = {"L1": diamond, "L2": np.stack([np.cos(circle), np.sin(circle)], axis=1)}
    sizes = {"L1": lambda w: abs(w).sum(), "L2": lambda w: np.sqrt((w**2).sum())}

    def loss(weights: jax.Array) -> jax.Array:
        off = weights - jnp.array(minimum, jnp.float32)
        return off @ jnp.array(curvature, jnp.float32) @ off / 2

    figure, panels = plot.figure_with_panels(1, 2, share_x=False, panel_height=3.8)
    for ax, (name, ball) in zip(panels, balls.items(), strict=True):
        path = [METHODS[name](curvature, minimum, strength) for strength in strengths]
        end = METHODS[name](curvature, minimum, SHOWN_STRENGTH)
        limits = (-1.2, 1.6), (-1.2, 1.9)
        border = ball * sizes[name](end)
        ax.fill(*border.T, color="black", alpha=0.15, label=f"ball of {name}")
        ax.axhline(0, color=plot.style.GREY, linewidth=0.8)
        ax.axvline(0, color=plot.style.GREY, linewidth=0.8)
        look = {"color": plot.PALETTE[1], "markersize": 7, "zorder": 4}
        ax.plot(*end, "D", **look, label=f"λ = {SHOWN_STRENGTH:g}")
        paths = {"λ from 0 to 10": np.array(path)}
        plot.contours_with_paths(loss, paths, *limits, [minimum], title=TITLES[name], ax=ax)
        ax.set(aspect="equal", xlabel="Weight $w_1$", ylabel="Weight $w_2$")
    return figure


def run(config: PenaltiesConfig) -> lesson.Result:
    """Minimises, prints the table, draws, and writes the folder."""
    folder = lesson.begin("penalties", config, __doc__)
    found = shares(config)
    rows = [
        (name, strength, f"{zero:.1%}", f"{near:.1%}", f"{size:.3f}")
        for name, entry in found.items()
        for strength, zero, near, size in zip(STRENGTHS, *entry.values(), strict=True)
    ]
    print(text_table(("penalty", "λ", "at 0", f"below {NEAR:g}", "mean size"), rows))
    summary = {
        "strengths": STRENGTHS,
        "weights": found,
        "shown": sentence(config, found),
    }
    return lesson.finish(folder, summary, {"penalties": draw()})


if __name__ == "__main__":
    command_line.main("lessons.penalties", PenaltiesConfig, run, __doc__)
