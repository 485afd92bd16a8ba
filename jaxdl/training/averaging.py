"""Exponential moving averages of a network's variables."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError

PyTree = Any


def ema_decay(half_life: float, examples_per_step: int) -> float:
    """The decay of an average that forgets half of the past every ``half_life`` examples.

    Raises:
        ConfigError: the half-life is not positive.

    Example:
        >>> ema_decay(200, 100) ** 2
        0.5000000000000001
    """
    if not half_life > 0:
        raise ConfigError(f"half_life is {half_life}: expected a positive number of examples")
    return 0.5 ** (examples_per_step / half_life)


def update_ema(average: PyTree, new: PyTree, decay: float, step: jax.Array) -> PyTree:
    """Moves an average towards new values, both pytrees of the same structure.

    At the start the decay is at most (1 + step) / (10 + step), so that the initial values, which
    are no better than noise, are soon forgotten.

    Args:
        decay: the weight of the old average, see :func:`ema_decay`.
        step: updates before this one, a scalar integer.

    Example:
        >>> round(float(update_ema(jnp.float32(1), jnp.float32(0), 0.99, jnp.int32(0))), 6)
        0.1
        >>> round(float(update_ema(jnp.float32(1), jnp.float32(0), 0.99, jnp.int32(10**4))), 6)
        0.99
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(
        lambda old, now: now + (decay * (old - now)).astype(old.dtype), average, new
    )
