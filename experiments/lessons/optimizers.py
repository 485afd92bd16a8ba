"""Optimisers: ravines, rates too large and too small, and a minimum that momentum escapes.

What:     SGD, momentum, Nesterov, Adam and Adadelta on two functions of the plane, one with a
          long ravine, one with two minima; plain gradient descent at three rates.
Source:   course document 002 (optimisers).
Command:  python -m experiments.lessons.optimizers     seconds
Expected: along the ravine momentum needs fewer steps than plain SGD. Of the two minima, momentum
          and Nesterov reach the lower; the others stay in the nearer. Rates beyond 2/κ diverge.

Ravine: f(x) = (x₁² + κ·x₂²)/2. A step of size η multiplies x₁ by 1 - η and x₂ by 1 - κη. Both
shrink only if η < 2/κ, so the steep direction limits the rate and the flat one has to wait: even at
the best rate, 2/(1 + κ), each step keeps the share (κ - 1)/(κ + 1) of the error. How optimisers
compare on a real network is in `lessons.optimizers_on_digits`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import optim, plot

THEME = "Building blocks"
Function = Callable[[jax.Array], jax.Array]
RAVINE_START = (-4.0, 1.0)
MINIMA_START = (2.0, 0.8)
SHOWN = 150  # steps drawn on the landscapes


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizersConfig(Config):
    """Settings of the ravine and the optimisers."""

    kappa: float = option(50.0, "κ: how much steeper the ravine is across than along", above=1)
    momentum: float = option(0.9, "share of the previous step that is kept", above=0, high=0.99)
    tolerance: float = option(1e-3, "height above the minimum that counts as reached", above=0)
    steps: int = option(1000, "steps after which an optimiser gives up", low=1, high=20_000)


def ravine(kappa: float) -> Function:
    """f(x) = (x₁² + κ·x₂²)/2."""
    return lambda x: (x[0] ** 2 + kappa * x[1] ** 2) / 2


def two_minima(x: jax.Array) -> jax.Array:
    """(x₁² - 1)² + 0.3·x₁ + 2·x₂²: a minimum near x₁ = 0.96 and a lower one near -1.04."""
    return (x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + 2 * x[1] ** 2


def stationary_points() -> np.ndarray:
    """x₁ of the lower minimum, the ridge and the higher minimum: roots of 4x³ - 4x + 0.3."""
    return np.sort(np.roots([4, 0, -4, 0.3]).real)


def walk(optimizer: optax.GradientTransformation, f: Function, start: Any, steps: int) -> Any:
    """The points (steps + 1, 2) of an optimiser that sees the exact gradient."""

    def step(carry: tuple, _: None) -> tuple:
        x, state = carry
        update, state = optimizer.update(jax.grad(f)(x), state, x)
        x = optax.apply_updates(x, update)
        return (x, state), x

    start = jnp.array(start)
    _, points = jax.lax.scan(step, (start, optimizer.init(start)), length=steps)
    return np.concatenate([start[None], points])


def heights(f: Function, path: np.ndarray) -> np.ndarray:
    """Values of f along a path, ∞ where the path is no longer finite."""
    values = np.asarray(jax.vmap(f)(jnp.asarray(path)), np.float64)
    return np.where(np.isfinite(values), values, np.inf)


def steps_to(height: np.ndarray, tolerance: float) -> int | None:
    """Steps until the height stays within the tolerance; None if it never does."""
    outside = np.flatnonzero(height > tolerance)
    first = int(outside[-1]) + 1 if outside.size else 0
    return first if first < height.size else None


def contestants(config: OptimizersConfig) -> dict[str, tuple[float, Any]]:
    """Rate and optimiser by name.

    Optimisers whose steps grow with the gradient get a rate well below 2/κ. Adam's rate is roughly
    its step length. Adadelta has PyTorch's defaults; its first steps have a length of about √ε.
    """
    small, kept = 0.5 / config.kappa, config.momentum
    return {
        "SGD": (small, optim.sgd(small)),
        "momentum": (small, optim.sgd(small, momentum=kept)),
        "Nesterov": (small, optim.sgd(small, momentum=kept, nesterov=True)),
        "Adam": (0.2, optim.adam(0.2)),
        "Adadelta": (1.0, optim.adadelta()),
    }


def compare(config: OptimizersConfig) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Every optimiser on both functions: figures, paths in the ravine, paths on the other."""
    entries, along, across = {}, {}, {}
    ridge = stationary_points()[1]
    for name, (rate, optimizer) in contestants(config).items():
        along[name] = walk(optimizer, ravine(config.kappa), RAVINE_START, config.steps)
        across[name] = walk(optimizer, two_minima, MINIMA_START, config.steps)
        height = heights(ravine(config.kappa), along[name])
        crossed = np.flatnonzero(across[name][:, 0] < ridge)
        entries[name] = {
            "rate": rate,
            "ravine_steps": steps_to(height, config.tolerance),
            "ravine_height": float(height[-1]),
            "minima_end": float(across[name][-1, 0]),
            "minima_height": float(heights(two_minima, across[name])[-1]),
            "crossed_at_step": int(crossed[0]) if crossed.size else None,
        }
    return entries, along, across


def compare_rates(config: OptimizersConfig) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Gradient descent down the ravine at three rates, with the theory's predictions."""
    kappa, start = config.kappa, heights(ravine(config.kappa), np.array([RAVINE_START]))[0]
    rates = {"too small": 0.1 / kappa, "best": 2 / (1 + kappa), "too large": 2.05 / kappa}
    entries, series = {}, {}
    for name, rate in rates.items():
        height = heights(
            ravine(kappa), walk(optim.sgd(rate), ravine(kappa), RAVINE_START, config.steps)
        )
        kept = max(abs(1 - rate), abs(1 - kappa * rate))
        # As if the whole starting height shrank by kept² per step.
        needed = math.log(config.tolerance / start) / (2 * math.log(kept)) if kept < 1 else None
        entries[name] = {
            "rate": rate,
            "kept": kept,
            "steps_by_theory": None if needed is None else max(0, math.ceil(needed)),
            "steps": steps_to(height, config.tolerance),
        }
        series[f"{name}: {rate:.3g}"] = height
    return entries, series


def first_steps(path: np.ndarray) -> np.ndarray:
    """The first points of a path, as long as they are finite."""
    path = path[: SHOWN + 1]
    return path[np.isfinite(path).all(axis=1)]


def draw(config: OptimizersConfig, along: dict, across: dict, rates: dict) -> dict[str, Any]:
    """Both landscapes with the paths, and the heights by step."""
    lower, _, higher = stationary_points()
    ends = [[lower, 0], [higher, 0]]
    formula = f"(x₁² + {config.kappa:g}·x₂²)/2"
    other = "(x₁² - 1)² + 0.3x₁ + 2x₂²"
    views = (
        ("ravine", formula, ravine(config.kappa), along, (-4.5, 1.5), (-1.3, 1.3), [[0, 0]]),
        ("two_minima", other, two_minima, across, (-1.8, 2.3), (-0.9, 0.9), ends),
    )
    figures = {
        name: plot.contours_with_paths(
            *(f, {n: first_steps(p) for n, p in paths.items()}, x, y, minima),
            title=f"f = {formula}: {SHOWN} steps",
        )
        for name, formula, f, paths, x, y, minima in views
    }
    figure, panels = plot.figure_with_panels(2, share_x=False, panel_height=3.2)
    paths = {name: heights(ravine(config.kappa), path) for name, path in along.items()}
    titles = (f"Down the ravine f = {formula}", "Gradient descent down it, at three rates")
    for ax, title, series in zip(panels, titles, (paths, rates), strict=True):
        count = min(400, config.steps + 1)
        series = {name: h[:count] for name, h in series.items()}
        labels = {"xlabel": "Step", "ylabel": "Height above the minimum"}
        target = {f"reached: {config.tolerance:g}": config.tolerance}
        plot.curves(np.arange(count), series, **labels, title=title, references=target, ax=ax)
        ax.set_yscale("log", nonpositive="mask")
        ax.set_ylim(config.tolerance * 1e-3, 1e4)
    return figures | {"heights": figure}


def shown(entries: dict[str, Any], rates: dict[str, Any]) -> str:
    """What the lesson has shown, from its numbers."""
    steps = {name: entry["ravine_steps"] for name, entry in entries.items()}
    arrived = {name: count for name, count in steps.items() if count is not None}
    crossed = [name for name, entry in entries.items() if entry["minima_end"] < 0]
    diverged = [name for name, entry in rates.items() if entry["kept"] >= 1]
    fastest = min(arrived, key=arrived.get, default="no optimiser")
    beside = "plain SGD does not arrive" if steps["SGD"] is None else f"plain SGD {steps['SGD']}"
    return (
        f"Down the ravine {fastest} is fastest ({arrived.get(fastest, 'no')} steps; {beside}); the "
        f"lower of two minima is reached by {' and '.join(crossed) or 'none'}; of three rates, "
        f"{', '.join(map(repr, diverged)) or 'none'} diverges. With other functions "
        "and rates the order may change: these are two pictures, not a law."
    )


def run(config: OptimizersConfig) -> lesson.Result:
    """Runs all optimisers, prints both tables, draws, and writes the folder."""
    folder = lesson.begin("optimizers", config, __doc__)
    entries, along, across = compare(config)
    never = f"not in {config.steps}"
    lower, ridge, higher = stationary_points()
    print(
        f"Minima at x1 = {lower:.3f} (the lower) and {higher:.3f}, with a ridge at {ridge:.3f}."
        f"\nRavine: steps until f stays below {config.tolerance:g}. Two minima: from x1 = 2.\n"
    )
    rows = [
        (
            *(name, f"{e['rate']:.3g}"),
            *(never if e["ravine_steps"] is None else e["ravine_steps"], f"{e['minima_end']:.3f}"),
            *(f"{e['minima_height']:.3f}", e["crossed_at_step"] or "never"),
        )
        for name, e in entries.items()
    ]
    header = ("optimiser", "rate", "ravine: steps", "two minima: x1", "f there", "ridge crossed at")
    print(text_table(header, rows))
    rates, series = compare_rates(config)
    print("\nGradient descent down the ravine:\n")
    rows = [
        (
            *(name, f"{e['rate']:.4f}", f"{e['kept']:.4f}"),
            "never" if e["steps_by_theory"] is None else e["steps_by_theory"],
            never if e["steps"] is None else e["steps"],
        )
        for name, e in rates.items()
    ]
    print(text_table(("rate", "η", "share kept per step", "steps by theory", "steps"), rows))
    summary = {"stationary_points": [lower, ridge, higher], "optimisers": entries, "rates": rates}
    summary["shown"] = shown(entries, rates)
    return lesson.finish(folder, summary, draw(config, along, across, series))


if __name__ == "__main__":
    command_line.main("lessons.optimizers", OptimizersConfig, run, __doc__)
