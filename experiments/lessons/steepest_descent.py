"""Steepest descent: exact line search in fractions, in floats, and on a harder function.

What:     minimises the course's f = 2·x₁² + x₂² from (1, 1) until the gradient norm is at most
          0.1, beside the same steps in exact fractions; compares exact line search with
          backtracking, also on Rosenbrock's function.
Source:   course document 004, level 5.
Command:  python -m experiments.lessons.steepest_descent     seconds
Expected: three steps, 5/18, 5/12 and 5/18, through (-1/9, 4/9) and (2/27, 2/27). On Rosenbrock's
          function, a bent ravine, the exact search takes about a thousand steps and backtracking
          some fifty: the best step now need not be best for the steps to come.

After an exact search the new gradient is orthogonal to the old one (otherwise the search could have
gone further), so the path zigzags. The course does the algebra symbolically for this f; jaxdl only
needs f itself, in jax.numpy.
"""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import optim, plot
from jaxdl.optim import Descent

THEME = "Building blocks"

START = (1.0, 1.0)
ROSENBROCK_START = (-1.2, 1.0)
SEARCHES = ("exact", "backtracking")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SteepestDescentConfig(Config):
    """Where to stop."""

    tolerance: float = option(0.1, "gradient norm at which to stop on the course's f", low=1e-5)
    rosenbrock_tolerance: float = option(0.1, "the same on Rosenbrock's function", low=1e-3)
    max_steps: int = option(5000, "steps after which to give up", low=1, high=100_000)


def course_function(x: jax.Array) -> jax.Array:
    """f(x) = 2·x₁² + x₂², with its minimum 0 at the origin."""
    return 2 * x[0] ** 2 + x[1] ** 2


def rosenbrock(x: jax.Array) -> jax.Array:
    """(1 - x₁)² + 100·(x₂ - x₁²)², with its minimum 0 at (1, 1), in a bent ravine."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def descend_in_fractions(tolerance: float) -> list[tuple[Fraction, Fraction, Fraction | None]]:
    """The course's descent without rounding: x₁, x₂ and the next step t (None at the end).

    With g = ∇f = (4·x₁, 2·x₂), f(x - t·g) is a parabola in t with its minimum at t = (g₁² +
    g₂²)/(4·g₁² + 2·g₂²).
    """
    x1, x2 = Fraction(1), Fraction(1)
    rows = []
    while True:
        g1, g2 = 4 * x1, 2 * x2
        if math.hypot(g1, g2) <= tolerance:
            return [*rows, (x1, x2, None)]
        t = (g1**2 + g2**2) / (4 * g1**2 + 2 * g2**2)
        rows.append((x1, x2, t))
        x1, x2 = x1 - t * g1, x2 - t * g2


def iterates(found: Descent, tolerance: float) -> list[tuple[object, ...]]:
    """Each point of jaxdl's descent, in floats, beside the exact one."""
    rows = []
    exact = descend_in_fractions(tolerance)
    steps = [*found.steps.tolist(), None]
    for k, ((x1, x2, t), point, step) in enumerate(zip(exact, found.path, steps, strict=False)):
        rows.append(
            (
                *(k, f"({point[0]:.6f}, {point[1]:.6f})", f"({x1}, {x2})"),
                *(f"{step:.6f}" if step else "", str(t or ""), f"{found.gradient_norms[k]:.4f}"),
            )
        )
    return rows


def largest_difference(found: Descent, tolerance: float) -> float:
    """Largest difference between the coordinates in floats and the exact ones."""
    exact = np.array([(float(a), float(b)) for a, b, _ in descend_in_fractions(tolerance)])
    together = min(len(exact), len(found.path))
    return float(np.abs(found.path[:together] - exact[:together]).max())


def descend(config: SteepestDescentConfig) -> dict[str, dict[str, Descent]]:
    """Both functions, each with both line searches."""
    problems = {
        "2x₁² + x₂²": (course_function, START, config.tolerance),
        "Rosenbrock": (rosenbrock, ROSENBROCK_START, config.rosenbrock_tolerance),
    }
    return {
        name: {
            search: optim.steepest_descent(
                f, start, line_search=search, tolerance=tolerance, max_steps=config.max_steps
            )
            for search in SEARCHES
        }
        for name, (f, start, tolerance) in problems.items()
    }


def draw(found: dict[str, dict[str, Descent]], config: SteepestDescentConfig) -> dict[str, Any]:
    """Contours and paths of both functions, and the values along Rosenbrock's."""
    quadratic, bent = (
        {search: searches[search].path for search in reversed(SEARCHES)}  # exact on top
        for searches in found.values()
    )
    figures = {
        "steepest_descent": plot.contours_with_paths(
            *(course_function, quadratic, (-1.2, 1.2), (-0.6, 1.2), [[0, 0]]),
            title=f"f = 2x₁² + x₂², until ‖∇f‖ ≤ {config.tolerance:g}",
        ),
        "rosenbrock": plot.contours_with_paths(
            *(rosenbrock, bent, (-1.5, 1.5), (-0.5, 1.6), [[1, 1]]),
            title="Rosenbrock's function (1−x₁)²+100(x₂−x₁²)², "
            f"until ‖∇f‖ ≤ {config.rosenbrock_tolerance:g}",
        ),
    }
    longest = max(len(d.values) for d in found["Rosenbrock"].values())
    values = {
        search: np.pad(d.values, (0, longest - len(d.values)), constant_values=np.nan)
        for search, d in found["Rosenbrock"].items()
    }
    figures["rosenbrock_values"] = plot.curves(
        np.arange(longest), values, xlabel="Step", ylabel="f(x)", title="Down Rosenbrock's ravine"
    )
    figures["rosenbrock_values"].axes[0].set_yscale("log", nonpositive="mask")
    return figures


def shown(found: dict[str, dict[str, Descent]]) -> str:
    """What the lesson has shown, from its numbers."""
    words, fewer = [], []
    for name, searches in found.items():
        exact, other = (len(searches[search].steps) for search in SEARCHES)
        words.append(f"{exact} steps on {name} (backtracking {other})")
        fewer.append(exact < other)
    saved = {(True,): "always", (False,): "never"}.get(tuple(set(fewer)), "only sometimes")
    return (
        f"The exact search takes {' and '.join(words)}: going as far down as possible in every "
        f"step {saved} saves steps."
    )


def run(config: SteepestDescentConfig) -> lesson.Result:
    """Descends, prints both tables, draws, and writes the folder."""
    folder = lesson.begin("steepest_descent", config, __doc__)
    found = descend(config)
    exact = found["2x₁² + x₂²"]["exact"]
    print("f = 2x₁² + x₂² from (1, 1), exact line search:\n")
    header = ("k", "jaxdl: x", "exactly", "jaxdl: t", "exactly", "‖∇f‖")
    print(text_table(header, iterates(exact, config.tolerance)))
    rows = [
        (
            *(name, search, len(d.steps), f"({d.path[-1][0]:.4f}, {d.path[-1][1]:.4f})"),
            *(f"{d.values[-1]:.2e}", f"{d.gradient_norms[-1]:.3g}", "yes" if d.converged else "no"),
        )
        for name, searches in found.items()
        for search, d in searches.items()
    ]
    header = ("function", "line search", "steps", "x at the end", "f there", "‖∇f‖", "arrived")
    print("\nBoth searches:\n\n" + text_table(header, rows))
    summary = {
        "steps": exact.steps.tolist(),
        "path": exact.path.tolist(),
        "largest_difference_to_fractions": largest_difference(exact, config.tolerance),
        "searches": {
            name: {
                search: {
                    "steps": len(d.steps),
                    "end": d.path[-1].tolist(),
                    "value": float(d.values[-1]),
                    "converged": d.converged,
                }
                for search, d in searches.items()
            }
            for name, searches in found.items()
        },
    }
    summary["shown"] = shown(found)
    return lesson.finish(folder, summary, draw(found, config))


if __name__ == "__main__":
    command_line.main("lessons.steepest_descent", SteepestDescentConfig, run, __doc__)
