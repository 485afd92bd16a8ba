"""Spectral normalisation of a layer's weight, with the rules of PyTorch's ``spectral_norm``."""

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-12  # least length that a vector is divided by


def spectrally_normalized(layer: nn.Module, weight: jax.Array, train: bool) -> jax.Array:
    r"""Divides a layer's weight by an estimate of its largest singular value.

    With the weight as a matrix W (inputs, C_out), each pass in training first takes one step of
    power iteration, then divides:

    .. math::
        v \leftarrow \frac{W u}{\|W u\|}, \quad u \leftarrow \frac{W^\top v}{\|W^\top v\|}, \quad
        \sigma = v^\top W u, \quad \bar W = W / \sigma

    Gradients pass through W in σ, not through u and v. In evaluation the stored vectors serve. The
    layer has them in its collection `batch_stats`: `u` (C_out,) and `v` (inputs,), float32. They
    are functions of the weights alone, so they need no averaging over devices.

    Args:
        layer: the layer, inside its compact call.
        weight: (…, C_out).
        train: take a step of power iteration.

    Example:
        >>> from jaxdl.nn import Conv
        >>> layer, x = Conv(2, 1, spectral=True, use_bias=False), jnp.ones((1, 1, 1, 2))
        >>> variables = layer.init(jax.random.key(0), x)
        >>> kernel = jnp.array([[3.0, 0.0], [0.0, 1.0]]).reshape(1, 1, 2, 2)
        >>> variables = {**variables, "params": {"kernel": kernel}}
        >>> for _ in range(20):
        ...     y, vectors = layer.apply(variables, x, train=True, mutable=["batch_stats"])
        ...     variables = {**variables, **vectors}
        >>> print(y.ravel().round(3))
        [1.    0.333]

    References:
        Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018,
        https://arxiv.org/abs/1802.05957.
    """
    matrix = weight.reshape(-1, weight.shape[-1])
    matrix = matrix.astype(jnp.promote_types(weight.dtype, jnp.float32))
    u = layer.variable("batch_stats", "u", lambda: _random_direction(layer, matrix.shape[1]))
    v = layer.variable("batch_stats", "v", lambda: _direction(matrix @ u.value))
    if train and not layer.is_initializing():
        fixed = jax.lax.stop_gradient(matrix)
        v.value = _direction(fixed @ u.value)
        u.value = _direction(v.value @ fixed)
    sigma = v.value @ matrix @ u.value
    return (weight / sigma).astype(weight.dtype)


def _random_direction(layer: nn.Module, size: int) -> jax.Array:
    return _direction(jax.random.normal(layer.make_rng("params"), (size,)))


def _direction(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), EPSILON)
