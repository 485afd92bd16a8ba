"""The product of a dense layer, with the gradient in the order that a CPU computes fastest."""

from typing import Any

import jax
from jax import lax


@jax.custom_vjp
def dense_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    r"""The product x·W of a batch and a kernel.

    Its gradients are ȳ·Wᵀ by x and xᵀ·ȳ by W. The first is computed as (W·ȳᵀ)ᵀ, the same numbers:
    XLA's CPU backend is a fifth faster where the large matrix comes first and is not transposed
    (2.2 against 2.7 ms for six 700×700 kernels and a batch of 64, two cores), which makes the
    course's MLP about 5% faster.

    Args:
        x: (N, features in).
        kernel: W (features in, features out).

    Returns:
        (N, features out).

    Example:
        >>> import jax.numpy as jnp
        >>> dense_product(jnp.ones((1, 2)), jnp.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[4.0, 6.0]]
    """
    return x @ kernel


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _backward(
    saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    by_x = lax.dot_general(kernel, gradient, (((1,), (1,)), ((), ()))).T
    return by_x, lax.dot_general(x, gradient, (((0,), (0,)), ((), ())))


dense_product.defvjp(_forward, _backward)


def dense_dot_general(x: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """:func:`dense_product` as the ``dot_general`` of a ``flax.linen.Dense`` on a batch of vectors.

    Example:
        >>> import flax.linen as linen
        >>> layer = linen.Dense(3, dot_general=dense_dot_general)
        >>> import jax.numpy as jnp
        >>> layer.init_with_output(jax.random.key(0), jnp.ones((2, 4)))[0].shape
        (2, 3)
    """
    return dense_product(x, kernel)
