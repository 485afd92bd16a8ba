"""Statistics of layers: against a plain gradient, and with planted dead units."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.losses import cross_entropy
from jaxdl.models import CNN, MLP
from jaxdl.training import NetworkState, Objective, layer_statistics


@jax.jit
def look(network, x, labels):
    return layer_statistics(network, x, labels, Objective())


def test_norms_are_those_of_the_gradient(rng):
    x, labels = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32), jnp.arange(6) % 3
    network = NetworkState.create(jax.random.key(0), MLP((5,), 3), optax.sgd(1.0), x)

    def loss(params):
        logits = network.model.apply({"params": params}, x, train=False)
        return cross_entropy(logits, labels, reduction="mean")

    value, gradients = jax.jit(jax.value_and_grad(loss))(network.params)
    found = look(network, x, labels)
    assert float(found["probe_loss"]) == pytest.approx(float(value), rel=1e-5)
    assert float(found["gradient_norm"]) == pytest.approx(
        float(optax.tree_utils.tree_norm(gradients)), rel=1e-5
    )
    one = found["layers"]["dense_1"]
    assert float(one["gradient_norm"]) == pytest.approx(
        float(optax.tree_utils.tree_norm(gradients["dense_1"])), rel=1e-5
    )
    assert "dead" not in found["layers"]["dense_2"]


def test_units_that_never_act_are_counted(rng):
    x, labels = jnp.asarray(rng.normal(size=(50, 4)), jnp.float32), jnp.arange(50) % 3
    network = NetworkState.create(jax.random.key(0), MLP((10, 10), 3), optax.sgd(1.0), x)
    bias = network.params["dense_1"]["bias"].at[:3].set(-1e3).at[3:].set(1e3)
    network.params["dense_1"]["bias"] = bias
    found = look(network, x, labels)
    assert float(found["layers"]["dense_1"]["dead"]) == pytest.approx(0.3)


def test_a_cnns_channels_are_looked_at_after_batch_norm(rng):
    x = jnp.asarray(rng.normal(size=(8, 8, 8, 1)), jnp.float32)
    network = NetworkState.create(
        jax.random.key(0), CNN((4, 8), 6, 3, 8, pool=False), optax.sgd(1.0), x
    )
    network.params["batch_norm_0"]["bias"] = jnp.array([-1e3, 1e3, 1e3, 1e3])
    found = look(network, x, jnp.arange(8) % 3)
    dead = {name: one.get("dead") for name, one in found["layers"].items()}
    assert dead["conv_0"] is None
    assert float(dead["batch_norm_0"]) == pytest.approx(0.25)
    assert np.isfinite(float(found["gradient_norm"]))


def test_a_saturated_unit_is_dead_whatever_its_activation(rng):
    x, labels = jnp.asarray(rng.normal(size=(50, 4)), jnp.float32), jnp.arange(50) % 3
    for activation, dead in {"tanh": 1.0, "sigmoid": 1.0, "elu": 0.5, "leaky_relu": 0.0}.items():
        model = MLP((10,), 3, activation=activation, normalize=True)
        network = NetworkState.create(jax.random.key(0), model, optax.sgd(1.0), x)
        network.params["batch_norm_1"]["bias"] = jnp.array([-20.0] * 5 + [20.0] * 5)
        found = look(network, x, labels)["layers"]
        assert float(found["batch_norm_1"]["dead"]) == pytest.approx(dead)
        assert "dead" not in found["dense_1"]
