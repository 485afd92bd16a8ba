"""BatchNorm against PyTorch, over devices, and at its extremes."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ShapeError
from jaxdl.nn import BatchNorm

REFERENCES = np.load(Path(__file__).parents[1] / "references" / "layers.npz")
LAYER = BatchNorm()


def channels_last(array):
    return np.moveaxis(array, 1, -1)


def variables_of(scale, bias):
    stats = {"mean": np.zeros(scale.shape, np.float32), "var": np.ones(scale.shape, np.float32)}
    return {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}


@partial(jax.jit, static_argnames="axis_name")
def train(variables, x, axis_name=None):
    y, updates = LAYER.apply(variables, x, train=True, axis_name=axis_name, mutable=["batch_stats"])
    return y, {**variables, **updates}


@pytest.fixture(params=["batch_norm_2d", "batch_norm_1d"])
def reference(request):
    prefix = request.param + "/"
    return {k.removeprefix(prefix): v for k, v in REFERENCES.items() if k.startswith(prefix)}


def test_steps_and_evaluation_equal_pytorchs(reference):
    variables = variables_of(reference["weight"], reference["bias"])
    for x in reference["inputs"]:
        y, variables = train(variables, channels_last(x))
    stats = variables["batch_stats"]
    evaluate = jax.jit(partial(LAYER.apply, train=False))
    evaluated = evaluate(variables, channels_last(reference["inputs"][-1]))
    np.testing.assert_allclose(y, channels_last(reference["y"]), atol=5e-6)
    np.testing.assert_allclose(stats["mean"], reference["running_mean"], rtol=2e-6)
    np.testing.assert_allclose(stats["var"], reference["running_var"], rtol=2e-6)
    np.testing.assert_allclose(evaluated, channels_last(reference["y_eval"]), atol=5e-6)


def test_gradients_equal_pytorchs(reference):
    variables = variables_of(reference["weight"], reference["bias"])
    cotangent = channels_last(reference["cotangent"])

    def inner_product(params, x):
        return (train({**variables, "params": params}, x)[0] * cotangent).sum()

    x = channels_last(reference["inputs"][-1])
    gradients = jax.jit(jax.grad(inner_product, (0, 1)))
    params, x_gradient = gradients(variables["params"], x)
    np.testing.assert_allclose(x_gradient, channels_last(reference["x_gradient"]), atol=5e-6)
    np.testing.assert_allclose(params["scale"], reference["weight_gradient"], atol=2e-5)
    np.testing.assert_allclose(params["bias"], reference["bias_gradient"], atol=2e-5)


def test_eight_devices_equal_one(rng):
    x = rng.normal(5, 3, (16, 4, 4, 3)).astype(np.float32)
    target = rng.normal(size=x.shape).astype(np.float32)
    variables = variables_of(np.float32([1.0, -2.0, 0.5]), np.float32([0.0, 1.0, 3.0]))

    def step(x, target, axis_name=None):
        def loss(params):
            y, updated = train({**variables, "params": params}, x, axis_name)
            return jnp.square(jnp.tanh(y) - target).mean(), updated["batch_stats"]

        gradients, stats = jax.grad(loss, has_aux=True)(variables["params"])
        if axis_name:
            gradients = jax.lax.pmean(gradients, axis_name)
        return gradients, stats

    one = jax.jit(step)(x, target)
    shards = [a.reshape(8, 2, *a.shape[1:]) for a in (x, target)]
    eight = jax.pmap(lambda x, t: step(x, t, "batch"), axis_name="batch")(*shards)
    eight = jax.tree.map(np.asarray, eight)
    for device in range(8):
        replica = jax.tree.map(lambda a, device=device: a[device], eight)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), replica, one)


def test_input_gradient_over_devices_equals_that_on_one(rng):
    x = rng.normal(size=(16, 3)).astype(np.float32)
    weight = rng.normal(size=x.shape).astype(np.float32)
    variables = variables_of(np.float32([1.0, -2.0, 0.5]), np.float32([0.0, 1.0, 3.0]))

    def loss(x, weight, axis_name=None):
        return (jnp.square(train(variables, x, axis_name)[0]) * weight).sum()

    one = jax.jit(jax.grad(loss))(x, weight)
    shards = [a.reshape(8, 2, 3) for a in (x, weight)]
    eight = jax.pmap(lambda x, w: jax.grad(loss)(x, w, "batch"), axis_name="batch")(*shards)
    np.testing.assert_allclose(np.asarray(eight).reshape(16, 3), one, atol=5e-6)


def test_large_mean_and_small_deviation_survive(rng):
    x = rng.normal(1000, 0.1, (64, 8, 8, 2)).astype(np.float32)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean((0, 1, 2))) / exact.std((0, 1, 2))
    y, variables = train(variables_of(np.ones(2, np.float32), np.zeros(2, np.float32)), x)
    np.testing.assert_allclose(y, exact, atol=3e-3)
    np.testing.assert_allclose(variables["batch_stats"]["var"], 0.9 + 0.1 * 0.01, rtol=1e-4)


def test_bfloat16_input_has_float32_statistics(rng):
    x = jnp.asarray(rng.normal(3, 2, (32, 4, 4, 2)), jnp.bfloat16)
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    y, variables = train(variables_of(ones, zeros), x)
    expected, wide = train(variables_of(ones, zeros), x.astype(jnp.float32))
    assert y.dtype == jnp.bfloat16
    assert variables["batch_stats"]["var"].dtype == jnp.float32
    np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=8e-3, atol=1e-6)
    np.testing.assert_allclose(variables["batch_stats"]["mean"], wide["batch_stats"]["mean"])
    np.testing.assert_allclose(variables["batch_stats"]["var"], wide["batch_stats"]["var"])


def test_float64_input_is_computed_in_float64_and_leaves_the_parameters_types(rng):
    x = rng.normal(3, 2, (32, 2))
    with jax.enable_x64(True):
        ones = np.ones(2, np.float32)
        y, updated = train(variables_of(ones, np.zeros(2, np.float32)), x)
        gradient = jax.grad(lambda scale: train(variables_of(scale, scale), x)[0].sum())
        assert jax.jit(gradient)(ones).dtype == np.float32
    exact = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(y, exact, rtol=1e-12, atol=1e-14)
    assert {leaf.dtype for leaf in jax.tree.leaves(updated)} == {np.dtype("float32")}


def test_constant_channel_gives_the_bias():
    y, variables = train(variables_of(np.ones(1), np.full(1, 7.0)), np.full((4, 1), 3.0))
    np.testing.assert_array_equal(y, 7.0)
    np.testing.assert_allclose(variables["batch_stats"]["var"], 0.9)


def test_initialisation_uses_its_initializers_and_leaves_statistics():
    layer = BatchNorm(
        scale_init=lambda key, shape, dtype: jnp.full(shape, 2, dtype),
        bias_init=lambda key, shape, dtype: jnp.full(shape, 3, dtype),
    )
    x = jnp.full((1, 1, 1, 2), 9.0)
    variables = layer.init(jax.random.key(0), x, train=True, axis_name="batch")
    expected = {
        "params": {"scale": jnp.full(2, 2.0), "bias": jnp.full(2, 3.0)},
        "batch_stats": {"mean": jnp.zeros(2), "var": jnp.ones(2)},
    }
    jax.tree.map(np.testing.assert_array_equal, dict(variables), expected)
    y = layer.apply(variables, x, train=False, axis_name="batch")
    np.testing.assert_allclose(y, 21, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3)])
def test_one_value_a_channel_is_refused_in_training(shape):
    with pytest.raises(ShapeError, match="no variance"):
        train(variables_of(jnp.ones(3), jnp.zeros(3)), jnp.ones(shape))


def test_one_value_a_device_is_enough_over_eight(rng):
    x = rng.normal(size=(8, 1, 3)).astype(np.float32)
    variables = variables_of(np.ones(3), np.zeros(3))
    y, _ = jax.pmap(lambda x: train(variables, x, "batch"), axis_name="batch")(x)
    np.testing.assert_allclose(np.asarray(y).mean(0), 0, atol=1e-6)


def test_vector_input_is_refused():
    with pytest.raises(ShapeError, match=r"got shape \(3,\)"):
        train(variables_of(jnp.ones(3), jnp.zeros(3)), jnp.ones(3))
