"""Penalties on weights, to be added to a loss with a coefficient.

``biases=True`` counts every leaf, as PyTorch's weight decay does; False leaves out those with fewer
than two axes (biases, normalisation scales). The penalty of an empty tree is 0.

References:
    course document 004, level 9.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.losses.reduction import absolute


def l1_penalty(params: Any, *, biases: bool = True) -> jax.Array:
    """Sum of absolute weights Σ|w|, whose constant pull drives weights to 0 or close to it.

    The slope at w = 0 is 0.

    Example:
        >>> print(l1_penalty({"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([4.0])}))
        7.0
    """
    return sum((absolute(leaf).sum() for leaf in _penalised(params, biases)), jnp.zeros(()))


def l2_penalty(params: Any, *, biases: bool = True) -> jax.Array:
    """Half the sum of squared weights 0.5·Σw², so its gradient is w.

    With the factor 0.5, ``weight_decay * l2_penalty(params)`` in the loss is the ``weight_decay``
    of PyTorch's SGD and Adam (coupled, not AdamW).

    Example:
        >>> print(l2_penalty({"kernel": jnp.array([[3.0, 0.0]]), "bias": jnp.array([4.0])}))
        12.5
    """
    squares = (jnp.square(leaf).sum() for leaf in _penalised(params, biases))
    return 0.5 * sum(squares, jnp.zeros(()))


def _penalised(params: Any, biases: bool) -> list[jax.Array]:
    return [leaf for leaf in jax.tree.leaves(params) if biases or jnp.ndim(leaf) >= 2]
