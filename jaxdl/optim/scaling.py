"""Parts of PyTorch's optimisers that optax has otherwise or not, as optax transformations."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


def scale_by_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    r"""Adam's direction, with bias corrections to full precision.

    1 - β₂ᵗ computed as it stands, as optax does, loses four of float32's seven digits while β₂ᵗ
    is near 1: for β₂ = 0.999 the first steps come out wrong by 1e-5 of their length.

    Args:
        b1: β₁, share of the running mean that is kept at a step.
        b2: β₂, likewise of the running mean of squares.
        eps: ε, outside the root.

    Returns:
        An optax transformation with optax's own state.

    Example:
        >>> direction = scale_by_adam(0.9, 0.999, 0.0)
        >>> update, _ = direction.update(jnp.array(3.0), direction.init(jnp.array(1.0)))
        >>> print(f"{update:.6f}")
        1.000000
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        # Two trees of zeros: one array in both places could not be donated.
        mean, square = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), mean, square)

    def update(
        gradients: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        count = optax.safe_increment(state.count)
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradients)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, gradients)
        share1, share2 = _one_minus_power(b1, count), _one_minus_power(b2, count)

        def direction(m: jax.Array, v: jax.Array) -> jax.Array:
            return m / share1.astype(m.dtype) / (jnp.sqrt(v / share2.astype(v.dtype)) + eps)

        return jax.tree.map(direction, mean, square), optax.ScaleByAdamState(count, mean, square)

    return optax.GradientTransformation(init, update)


def _one_minus_power(base: float, exponent: jax.Array) -> jax.Array:
    """Computes 1 - base^exponent without the cancellation near base = 1."""
    logarithm = math.log(base) if base > 0 else -math.inf
    return -jnp.expm1(exponent * logarithm)


class DampenedMomentumState(NamedTuple):
    """The momentum and whether it has seen a gradient."""

    trace: optax.Updates
    started: jax.Array


def dampened_momentum(momentum: float, dampening: float) -> optax.GradientTransformation:
    """Momentum that takes the first gradient whole and 1 - dampening of each one after it."""

    def init(params: optax.Params) -> DampenedMomentumState:
        return DampenedMomentumState(jax.tree.map(jnp.zeros_like, params), jnp.zeros((), bool))

    def update(
        gradients: optax.Updates, state: DampenedMomentumState, params: optax.Params = None
    ) -> tuple[optax.Updates, DampenedMomentumState]:
        del params
        share = jnp.where(state.started, 1 - dampening, 1.0)
        trace = jax.tree.map(
            lambda b, g: momentum * b + share.astype(g.dtype) * g, state.trace, gradients
        )
        return trace, DampenedMomentumState(trace, jnp.ones((), bool))

    return optax.GradientTransformation(init, update)


def scale_by_root_of_sum(initial: float, eps: float) -> optax.GradientTransformation:
    """Divides by √(sum of squares) + eps; optax's `scale_by_rss` has eps inside the root."""

    def init(params: optax.Params) -> optax.ScaleByRssState:
        return optax.ScaleByRssState(jax.tree.map(lambda p: jnp.full_like(p, initial), params))

    def update(
        gradients: optax.Updates, state: optax.ScaleByRssState, params: optax.Params = None
    ) -> tuple[optax.Updates, optax.ScaleByRssState]:
        del params
        sums = jax.tree.map(lambda s, g: s + jnp.square(g), state.sum_of_squares, gradients)
        scaled = jax.tree.map(lambda s, g: g / (jnp.sqrt(s) + eps), sums, gradients)
        return scaled, optax.ScaleByRssState(sums)

    return optax.GradientTransformation(init, update)
