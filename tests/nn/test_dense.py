"""The dense product against numpy in float64, with its gradients; the layer against flax."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import nn


@pytest.mark.parametrize(("batch", "before", "after"), [(1, 1, 1), (64, 700, 10), (3, 17, 700)])
def test_values_and_gradients(batch, before, after):
    rng = np.random.default_rng(batch)
    x, kernel = rng.normal(size=(batch, before)), rng.normal(size=(before, after))
    gradient = rng.normal(size=(batch, after))

    @jax.jit
    def both(x, kernel, gradient):
        y, backward = jax.vjp(nn.dense_product, x, kernel)
        return y, *backward(gradient)

    y, by_x, by_kernel = both(*(a.astype(np.float32) for a in (x, kernel, gradient)))
    for found, expected in (
        (y, x @ kernel),
        (by_x, gradient @ kernel.T),
        (by_kernel, x.T @ gradient),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_over_seeds():
    x, kernel = jnp.ones((4, 2, 3)), jnp.arange(60.0).reshape(4, 3, 5)
    loss = jax.jit(jax.vmap(jax.grad(lambda k, x: nn.dense_product(x, k).sum())))
    np.testing.assert_array_equal(loss(kernel, x), np.full((4, 3, 5), 2.0))


def test_layer_draws_and_computes_like_linen_s_with_pytorchs_initialisers():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 12)), jnp.float32)
    linens = linen.Dense(
        3, kernel_init=nn.torch_linear_init, bias_init=nn.torch_uniform_init(12), name="dense"
    )
    key = jax.random.key(1)
    (ours, params), (theirs, expected) = (
        jax.jit(layer.init_with_output)(key, x) for layer in (nn.Dense(3, name="dense"), linens)
    )
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_layer_takes_any_leading_axes_and_keeps_floating_types():
    layer = nn.Dense(3, use_bias=False)
    x = np.arange(24).reshape(2, 3, 4)
    variables = jax.jit(layer.init)(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables["params"]) == {"kernel": (4, 3)}
    apply = jax.jit(layer.apply)
    y = apply(variables, x)
    assert (y.shape, y.dtype) == ((2, 3, 3), jnp.float32)
    np.testing.assert_allclose(y, np.asarray(x) @ np.asarray(variables["params"]["kernel"]), 1e-5)
    np.testing.assert_allclose(apply(variables, x[0, 0]), np.asarray(y)[0, 0], 1e-5)
    assert apply(variables, jnp.zeros((1, 4), jnp.bfloat16)).dtype == jnp.bfloat16
    slope = jax.jit(jax.grad(lambda x: layer.apply(variables, x).sum()))
    slopes = slope(x.astype(np.float32))
    assert slopes.shape == x.shape
