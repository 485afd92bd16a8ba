"""The dense product against numpy in float64, with its gradients."""

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
    arrays = [jnp.asarray(a, jnp.float32) for a in (x, kernel, gradient)]
    y, backward = jax.vjp(nn.dense_product, *arrays[:2])
    by_x, by_kernel = backward(arrays[2])
    for found, expected in (
        (y, x @ kernel),
        (by_x, gradient @ kernel.T),
        (by_kernel, x.T @ gradient),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_over_seeds():
    x, kernel = jnp.ones((4, 2, 3)), jnp.arange(60.0).reshape(4, 3, 5)
    loss = jax.vmap(jax.grad(lambda k, x: nn.dense_product(x, k).sum()))
    np.testing.assert_array_equal(loss(kernel, x), np.full((4, 3, 5), 2.0))
