import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ShapeError
from jaxdl.models.linear import LinearRegression, least_squares


def test_the_prediction_is_a_weighted_sum_of_the_targets_shape():
    params = {"dense_1": {"kernel": jnp.array([[2.0], [-1.0]]), "bias": jnp.array([0.5])}}
    x = jnp.array([[1.0, 1.0], [0.0, 3.0]])
    prediction = LinearRegression().apply({"params": params}, x, train=True, axis_name=None)
    assert prediction.tolist() == [1.5, -2.5]


def test_the_initial_weights_are_pytorch_s():
    start = jax.jit(lambda key: LinearRegression().init(key, jnp.zeros((1, 400)), train=False))
    kernel = np.asarray(start(jax.random.key(0))["params"]["dense_1"]["kernel"])
    assert kernel.shape == (400, 1)
    assert 0.045 < np.abs(kernel).max() <= 0.05


def test_least_squares_is_numpy_s_in_double_precision(rng):
    inputs = rng.uniform(size=(60, 13)) + 100
    targets = inputs @ rng.normal(size=13) + 5 + 0.1 * rng.normal(size=60)
    variables = least_squares(inputs, targets)
    expected = np.linalg.lstsq(np.c_[inputs, np.ones(60)], targets, rcond=None)[0]
    np.testing.assert_allclose(
        np.asarray(variables["params"]["dense_1"]["kernel"])[:, 0], expected[:13], atol=2e-3
    )
    predict = jax.jit(lambda x: LinearRegression().apply(variables, x, train=False))
    predictions = predict(inputs)
    np.testing.assert_allclose(predictions, np.c_[inputs, np.ones(60)] @ expected, atol=2e-3)


def test_gradient_descent_approaches_the_closed_form(rng):
    inputs = rng.normal(size=(40, 3)).astype(np.float32)
    targets = inputs @ np.float32([1.0, -2.0, 0.5]) + 3
    model, exact = LinearRegression(), least_squares(inputs, targets)

    def loss(params):
        return jnp.square(model.apply({"params": params}, inputs, train=True) - targets).mean()

    def step(params, _):
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params)), None

    start = jax.jit(lambda key: model.init(key, inputs, train=False)["params"])
    params = start(jax.random.key(0))
    params, _ = jax.lax.scan(step, params, length=200)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), params, exact["params"])


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"\(N, D\)"):
        LinearRegression().init(jax.random.key(0), jnp.zeros(3), train=False)
    with pytest.raises(ShapeError, match=r"\(4, 1\)"):
        least_squares(jnp.zeros((4, 2)), jnp.zeros((4, 1)))
    with pytest.raises(ShapeError):
        least_squares(jnp.zeros((0, 2)), jnp.zeros(0))
