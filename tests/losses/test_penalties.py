import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import losses

PARAMS = {
    "dense": {"kernel": jnp.array([[1.0, -2.0], [0.0, 3.0]]), "bias": jnp.array([-4.0, 5.0])},
    "norm": {"scale": jnp.array([6.0])},
}


def test_every_leaf_counts_unless_told_otherwise():
    assert losses.l1_penalty(PARAMS) == 21
    assert losses.l1_penalty(PARAMS, biases=False) == 6
    assert losses.l2_penalty(PARAMS) == 0.5 * 91
    assert losses.l2_penalty(PARAMS, biases=False) == 0.5 * 14


def test_gradients_are_the_sign_and_the_weight():
    gradient = jax.jit(jax.grad(losses.l2_penalty))(PARAMS)
    jax.tree.map(np.testing.assert_array_equal, gradient, PARAMS)
    gradient = jax.grad(losses.l1_penalty)(PARAMS)
    jax.tree.map(np.testing.assert_array_equal, gradient, jax.tree.map(jnp.sign, PARAMS))


def test_nothing_weighs_nothing():
    assert losses.l1_penalty({}) == losses.l2_penalty({}) == 0
