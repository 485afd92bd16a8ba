"""Gradient reversal: the layer that sets a network against a part of itself."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def reverse_gradient(x: jax.Array, strength: ArrayLike = 1.0) -> jax.Array:
    r"""Returns x, but multiplies the gradient that comes back by −strength.

    .. math:: R_\lambda(x) = x, \qquad \frac{dR_\lambda}{dx} = -\lambda I

    What follows the layer descends its loss; what precedes it climbs the same loss, λ times as
    fast. The strength itself has no gradient. Only reverse mode knows the rule: ``jax.jvp`` raises
    a TypeError.

    Args:
        x: floating point, any shape.
        strength: λ, a scalar, may be traced; 0 cuts the gradient off.

    Example:
        >>> slope = jax.grad(lambda x: (3 * reverse_gradient(x, 0.5)).sum())
        >>> slope(jnp.zeros(2)).tolist()
        [-1.5, -1.5]

    References:
        Ganin et al., Domain-Adversarial Training of Neural Networks, 2016, section 4.
    """
    return _reversed(x, jnp.asarray(strength, float))


@jax.custom_vjp
def _reversed(x: jax.Array, strength: jax.Array) -> jax.Array:
    del strength
    return x


def _forward(x: jax.Array, strength: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, strength


def _backward(strength: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -strength.astype(gradient.dtype) * gradient, jnp.zeros_like(strength)


_reversed.defvjp(_forward, _backward)


def reversal_strength(progress: ArrayLike) -> jax.Array:
    r"""The paper's λ for a share of the training that is done: from 0 at its start towards 1.

    .. math:: \lambda_p = \frac{2}{1 + e^{-10 p}} - 1

    An untrained domain classifier would only disturb the features, so λ starts at 0.

    Example:
        >>> [f"{reversal_strength(p):.3f}" for p in (0.0, 0.1, 0.5, 1.0)]
        ['0.000', '0.462', '0.987', '1.000']

    References:
        Ganin et al., Domain-Adversarial Training of Neural Networks, 2016, section 5.2.2.
    """
    return jnp.tanh(5 * jnp.asarray(progress, float))  # the same function, to every digit near 0
