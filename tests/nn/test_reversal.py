"""Gradient reversal against finite differences, and the strength's schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl.nn import reversal_strength, reverse_gradient


def head(x):
    """Something that curves, so that its slope depends on the point."""
    return (jnp.sin(x) * x**2).sum()


def slope_by_differences(function, x, step=1e-5):
    slopes = np.zeros(x.size)
    for i in range(x.size):
        shift = np.zeros(x.size)
        shift[i] = step
        shift = shift.reshape(x.shape)
        slopes[i] = (function(x + shift) - function(x - shift)) / (2 * step)
    return slopes.reshape(x.shape)


@pytest.mark.parametrize("strength", [0, 0.3, 1.0, 2.5])
def test_the_gradient_is_minus_lambda_times_that_of_finite_differences(rng, strength):
    with jax.enable_x64(True):
        x = rng.normal(size=(3, 2))
        found = jax.jit(jax.grad(lambda x: head(reverse_gradient(x, strength))))(x)
        np.testing.assert_allclose(found, -strength * slope_by_differences(head, x), atol=1e-8)


def test_forwards_it_changes_nothing(rng):
    x = rng.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(reverse_gradient)(x, 0.7), x)


def test_a_strength_of_minus_one_is_the_identity():
    with jax.enable_x64(True):
        x = np.array([0.3, -1.2, 2.0])
        check_grads(lambda x: head(reverse_gradient(x, -1.0)), (x,), order=1, modes=["rev"])


def test_what_precedes_the_layer_climbs_and_what_follows_it_descends(rng):
    """The saddle point of the paper: E = label loss − λ · domain loss for the features."""
    strength = 0.4

    def losses(features, heads):
        return jnp.tanh(features @ heads[0]).sum(), jnp.sin(features @ heads[1]).sum()

    def trained_on(features, heads):
        labels, _ = losses(features, heads)
        return labels + losses(reverse_gradient(features, strength), heads)[1]

    with jax.enable_x64(True):
        features, heads = rng.normal(size=(5, 3)), rng.normal(size=(2, 3, 2))
        of_features, of_heads = jax.grad(trained_on, (0, 1))(features, heads)
        np.testing.assert_allclose(
            of_features,
            slope_by_differences(
                lambda x: losses(x, heads)[0] - strength * losses(x, heads)[1], features
            ),
            atol=1e-8,
        )
        np.testing.assert_allclose(
            of_heads, slope_by_differences(lambda h: sum(losses(features, h)), heads), atol=1e-8
        )


def test_a_traced_strength_in_a_batch_has_no_gradient_itself():
    def loss(strength, x):
        return reverse_gradient(x, strength) ** 2

    strengths, x = jnp.array([0.0, 1.0, 2.0]), jnp.array([3.0, 3.0, 3.0])
    of_strength, of_x = jax.jit(jax.vmap(jax.grad(loss, (0, 1))))(strengths, x)
    assert of_strength.tolist() == [0, 0, 0]
    assert of_x.tolist() == [0, -6, -12]


def test_bfloat16_stays_bfloat16():
    x = jnp.ones(3, jnp.bfloat16)
    assert jax.grad(lambda x: reverse_gradient(x, 0.1).sum())(x).dtype == jnp.bfloat16


def test_the_strength_is_the_papers():
    progress = np.linspace(0, 1, 11)
    with jax.enable_x64(True):
        wanted = 2 / (1 + np.exp(-10 * progress)) - 1
        np.testing.assert_allclose(reversal_strength(progress), wanted, rtol=1e-12)
    assert reversal_strength(0).item() == 0
