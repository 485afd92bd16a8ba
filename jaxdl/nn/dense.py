"""The dense layer, with gradients in the order that is fastest on a CPU."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from jaxdl.nn.initializers import torch_linear_init, torch_uniform_init


class Dense(nn.Module):
    """A dense layer x·W + b with parameters `kernel` (C_in, C_out) and, optionally, `bias`.

    Maps (…, C_in) to (…, C_out). Parameters are float32; the layer computes in the input's type, or
    in float32 for integers.

    Attributes:
        features: C_out.
        kernel_init: PyTorch's initialiser by default.
        bias_init: None for PyTorch's, U(±1/√C_in).

    Example:
        >>> layer = Dense(3)
        >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4)))
        >>> jax.tree.map(jnp.shape, variables["params"])
        {'bias': (3,), 'kernel': (4, 3)}
    """

    features: int
    use_bias: bool = True
    kernel_init: Initializer = torch_linear_init
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer."""
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(jnp.float32)
        inputs = x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (inputs, self.features), jnp.float32)
        rows = dense_product(x.reshape(-1, inputs), kernel.astype(x.dtype))
        if self.use_bias:
            bias_init = self.bias_init or torch_uniform_init(inputs)
            bias = self.param("bias", bias_init, (self.features,), jnp.float32)
            rows = rows + bias.astype(x.dtype).reshape(1, -1)
        return rows.reshape(*x.shape[:-1], self.features)


@jax.custom_vjp
def dense_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Product x·W of a batch (N, C_in) and a kernel (C_in, C_out), differentiable in reverse mode.

    The gradients are ȳ·Wᵀ for x and xᵀ·ȳ for W. The first is computed as (W·ȳᵀ)ᵀ, which gives the
    same numbers: XLA's CPU backend is a fifth faster when the large matrix comes first and is not
    transposed (2.2 against 2.7 ms for six 700×700 kernels and a batch of 64, two cores). That
    speeds up the course's MLP by about 5%.

    Example:
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
