"""Steepest descent with a line search, for any differentiable function of an array."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.errors import ConfigError, ShapeError, TrainingError

Function = Callable[[jax.Array], jax.Array]

_MAX_TRIALS = 100  # per line search; 2^100 covers float32's range
_ARMIJO_SHARE = 1e-4  # of the decrease the slope promises
_SHRINKAGE = 0.5


class Descent(NamedTuple):
    """The path of a descent of k steps.

    Attributes:
        path: The start and the point after each step, (k + 1, …).
        steps: Step lengths t, in gradients: x ← x - t·∇f(x), (k,).
        values: f along the path, (k + 1,).
        gradient_norms: ‖∇f‖ along the path, (k + 1,).
        converged: Whether the last gradient norm is within the tolerance; if False, max_steps ended
            the search.
    """

    path: np.ndarray
    steps: np.ndarray
    values: np.ndarray
    gradient_norms: np.ndarray
    converged: bool


class _Bracket(NamedTuple):
    """A search under way: φ falls from 0 to `low`, and a minimum lies below `high` (∞: unknown)."""

    low: jax.Array
    value_at_low: jax.Array
    high: jax.Array
    trial: jax.Array
    done: jax.Array
    count: jax.Array


def steepest_descent(
    f: Function,
    x0: jax.Array | np.ndarray,
    *,
    line_search: str = "exact",
    tolerance: float = 1e-4,
    max_steps: int = 1000,
) -> Descent:
    r"""Descends along the negative gradient, with step lengths from a line search.

    .. math::
        x_{k+1} = x_k - t_k \nabla f(x_k), \qquad \text{until } \lVert\nabla f\rVert \le
        \text{tolerance}

    "exact" takes a t > 0 that minimises φ(t) = f(x - t·g), g = ∇f(x). It first tries Newton's
    ‖g‖² / gᵀHg, from the gradient's derivative along the ray (a Hessian-vector product); for a
    quadratic f that is the minimiser, up to rounding. Otherwise it doubles the trial until φ rises
    and closes in on the minimum with Newton's method on φ′, bisecting whenever that leaves the
    bracket, to the precision of the numbers. If the ray has several minima it finds one no higher
    than f(x), not always the lowest.

    "backtracking" starts at t = 1 and halves it until Armijo's condition holds, f(x - t·g) ≤ f(x) -
    10⁻⁴·t·‖g‖².

    Args:
        f: A differentiable function from an array of x0's shape to a scalar, in jax.numpy.
        x0: Finite starting point; integers are converted.
        line_search: "exact" or "backtracking".
        tolerance: Gradient norm at which to stop, at least 0. In float32 it cannot get below about
            1e-6 of the numbers inside f.
        max_steps: Steps after which to give up, at least 1.

    Returns:
        The path, as NumPy arrays. Check `converged`.

    Raises:
        ConfigError: An argument is out of range, or f or its gradient is not finite at x0.
        ShapeError: f does not return a scalar.
        TrainingError: f does not decrease along -∇f (a wrong gradient, a kink, or rounding),
            decreases without bound, or becomes non-finite.

    Example:
        >>> def f(x):
        ...     return 2 * x[0] ** 2 + x[1] ** 2
        >>> found = steepest_descent(f, [1.0, 1.0], tolerance=0.1)
        >>> found.steps.round(4), found.converged  # 5/18, 5/12, 5/18
        (array([0.2778, 0.4167, 0.2778], dtype=float32), True)
        >>> found.path[1].round(4)  # (-1/9, 4/9)
        array([-0.1111,  0.4444], dtype=float32)

    References:
        Nocedal and Wright, Numerical Optimization, 2006, chapter 3; course document 004, level 5.
    """
    _check_arguments(line_search, tolerance, max_steps)
    x = jnp.asarray(x0)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
    _check_scalar(f, x)
    evaluate = jax.jit(jax.value_and_grad(f))
    search = jax.jit(functools.partial(_LINE_SEARCHES[line_search], f))
    value, gradient = evaluate(x)
    _check_start(x, value, gradient)
    path, steps, values, norms = [x], [], [value], [_norm(gradient)]
    while norms[-1] > tolerance and len(steps) < max_steps:
        t = search(x, value, gradient)
        x, before = x - t * gradient, x
        value, gradient = evaluate(x)
        _check_step(len(steps) + 1, t, before, x, value, gradient)
        path.append(x)
        steps.append(t)
        values.append(value)
        norms.append(_norm(gradient))
    return Descent(
        np.stack(path),
        np.array(steps, x.dtype),
        np.array(values),
        np.array(norms),
        bool(norms[-1] <= tolerance),
    )


def _exact(f: Function, x: jax.Array, value: jax.Array, gradient: jax.Array) -> jax.Array:
    """A minimiser t of f(x - t·gradient); 0 if f does not decrease, ∞ if it is unbounded."""

    def along(t: jax.Array) -> jax.Array:
        return f(x - t * gradient)

    slope_along = jax.grad(along)
    curvature_along = jax.grad(slope_along)
    zero = jnp.zeros((), x.dtype)
    epsilon = jnp.finfo(x.dtype).eps
    flat = 16 * epsilon * jnp.abs(slope_along(zero))
    newton = -slope_along(zero) / curvature_along(zero)

    def improve(bracket: _Bracket) -> _Bracket:
        low, value_at_low, high, t, _, count = bracket
        value, slope, curvature = along(t), slope_along(t), curvature_along(t)
        # The slack is for minima: there φ is flat to rounding while its slope still informs.
        # Comparisons with NaN are False, so leaving f's domain counts as uphill.
        descended = value <= value_at_low + 8 * epsilon * jnp.abs(value_at_low)
        arrived = descended & (jnp.abs(slope) <= flat)
        advance = arrived | (descended & (slope < 0))
        low, value_at_low = _select(advance, (t, value), (low, value_at_low))
        high = jnp.where(advance, high, t)
        done = arrived | (jnp.isfinite(high) & (high - low <= 4 * epsilon * high))
        guess = t - slope / curvature
        # Every third trial bisects, so the bracket shrinks whatever Newton's method does.
        usable = (curvature > 0) & (low < guess) & (guess < high) & (count % 3 != 2)
        trial = jnp.where(usable, guess, low + (high - low) / 2)
        return _Bracket(
            low, value_at_low, high, jnp.where(jnp.isinf(high), 2 * t, trial), done, count + 1
        )

    first = jnp.where((newton > 0) & jnp.isfinite(newton), newton, 1.0)
    start = _Bracket(zero, value, jnp.full_like(zero, jnp.inf), first, jnp.array(False), 0)
    end = lax.while_loop(lambda b: ~b.done & (b.count < _MAX_TRIALS), improve, start)
    # A wrong gradient leaves a sliver within the slack where neither φ nor its slope decreases.
    steep = jnp.abs(slope_along(end.low)) > jnp.abs(slope_along(zero)) / 2
    t = jnp.where(steep & (end.value_at_low >= value), zero, end.low)
    return jnp.where(jnp.isinf(end.high) & ~end.done, jnp.inf, t)


def _backtracking(f: Function, x: jax.Array, value: jax.Array, gradient: jax.Array) -> jax.Array:
    """The first of t = 1, 1/2, 1/4, … with Armijo's sufficient decrease; 0 if there is none."""
    promised = _ARMIJO_SHARE * jnp.square(gradient).sum()

    def insufficient(t: jax.Array) -> jax.Array:
        # Not "f > bound": NaN, outside f's domain, must count as insufficient.
        return ~(f(x - t * gradient) <= value - t * promised) & (t > 0)

    return lax.while_loop(insufficient, lambda t: _SHRINKAGE * t, jnp.ones((), x.dtype))


_LINE_SEARCHES = {"exact": _exact, "backtracking": _backtracking}


def _select(condition: jax.Array, chosen: tuple, other: tuple) -> tuple:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), chosen, other)


def _norm(gradient: jax.Array) -> float:
    return float(jnp.linalg.norm(gradient.ravel()))


def _check_arguments(line_search: str, tolerance: float, max_steps: int) -> None:
    if line_search not in _LINE_SEARCHES:
        raise ConfigError(
            f"steepest_descent: unknown line_search {line_search!r}; use "
            f"{' or '.join(map(repr, _LINE_SEARCHES))}"
        )
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(
            f"steepest_descent: tolerance is {tolerance}; it must be finite and at least 0"
        )
    if max_steps < 1:
        raise ConfigError(f"steepest_descent: max_steps is {max_steps}; it must be at least 1")


def _check_scalar(f: Function, x: jax.Array) -> None:
    shape = jax.eval_shape(f, x).shape
    if shape != ():
        raise ShapeError(
            f"steepest_descent: f must return a scalar; at x of shape {x.shape} it returned "
            f"shape {shape}; sum it or take its mean"
        )


def _check_start(x: jax.Array, value: jax.Array, gradient: jax.Array) -> None:
    if not (np.isfinite(x).all() and np.isfinite(value) and np.isfinite(gradient).all()):
        raise ConfigError(
            f"steepest_descent: start {x} has f = {value} and gradient {gradient}; start where "
            "all are finite"
        )


def _check_step(
    number: int,
    t: jax.Array,
    before: jax.Array,
    x: jax.Array,
    value: jax.Array,
    gradient: jax.Array,
) -> None:
    """Refuses a step that goes nowhere or leaves f's domain."""
    where = f"steepest_descent, step {number} from {before}"
    if np.isinf(t):
        raise TrainingError(
            f"{where}: f decreases without bound along -∇f; it has no minimum there"
        )
    if np.array_equal(before, x):
        raise TrainingError(
            f"{where}: no step along -∇f makes f smaller; its gradient is wrong, or f has a kink "
            "there, or the tolerance asks for more than the numbers' precision gives"
        )
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise TrainingError(f"{where} to {x}: f = {value} with gradient {gradient} is not finite")
