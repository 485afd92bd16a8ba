import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ShapeError
from jaxdl.exercises.two_layer import (
    TwoLayerNet,
    clipped_cross_entropy,
    descend,
    loss,
    predict,
)

VALUE_AND_GRAD = jax.jit(jax.value_and_grad(loss, argnums=1), static_argnums=0)


def course_cross_entropy(y, p):
    p = np.clip(p, 1e-10, 1 - 1e-10)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def course_gradients(w1, b1, w2, b2, images, targets):
    """The course's backward pass in double precision, for a batch of any size."""
    a1 = images.T
    z2 = w1 @ a1 + b1
    a2 = np.maximum(0, z2)
    z3 = w2 @ a2 + b2
    a3 = np.maximum(0, z3)
    y = targets.T
    dz3 = (-y / a3 + (1 - y) / (1 - a3)) * (z3 >= 0)
    dz2 = (w2.T @ dz3) * (z2 >= 0)
    m = len(images)
    return dz2 @ a1.T / m, dz2.mean(1), dz3 @ a2.T / m, dz3.mean(1), a3


@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_the_course_s_where_outputs_are_probabilities(seed):
    rng = np.random.default_rng(seed)
    w1, w2 = rng.normal(size=(5, 8)), rng.uniform(0.01, 0.08, size=(10, 5))
    b1, b2 = rng.normal(size=(5, 1)), rng.uniform(0.1, 0.3, size=(10, 1))
    images = rng.uniform(size=(20, 8))
    targets = np.eye(10)[rng.integers(0, 10, 20)]
    dw1, db1, dw2, db2, outputs = course_gradients(w1, b1, w2, b2, images, targets)
    assert 0 < outputs.min() < outputs.max() < 1
    params = {
        "dense_1": {"kernel": w1.T, "bias": b1[:, 0]},
        "dense_2": {"kernel": w2.T, "bias": b2[:, 0]},
    }
    model = TwoLayerNet(hidden=5)
    value, ours = VALUE_AND_GRAD(model, params, images, targets)
    ours = jax.tree.map(np.asarray, ours)
    expected = course_cross_entropy(targets.T, outputs).sum(0).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for layer, dw, db in (("dense_1", dw1, db1), ("dense_2", dw2, db2)):
        np.testing.assert_allclose(ours[layer]["kernel"].T, dw, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours[layer]["bias"], db, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_course_s_at_the_clipped_ends_too():
    outputs = np.array([0.0, 1e-12, 1e-10, 0.3, 0.99, 1.0, 1.5, 40.0])
    for target in (0.0, 1.0):
        targets = np.full_like(outputs, target)
        ours = jax.jit(clipped_cross_entropy)(outputs, targets)
        np.testing.assert_allclose(
            ours, course_cross_entropy(targets, outputs), rtol=1e-5, atol=1e-9
        )


def test_gradients_are_finite_and_zero_where_clipped():
    slope = jax.jit(jax.vmap(jax.grad(lambda p, t: clipped_cross_entropy(p, t))))
    outputs = np.array([0.0, 0.25, 1.5])
    assert slope(outputs, np.ones(3)).tolist() == [0, -4, 0]
    assert slope(outputs, np.zeros(3)).tolist() == pytest.approx([0, 4 / 3, 0])


def test_initial_weights_and_biases_have_deviation_one_hundredth():
    model, example = TwoLayerNet(hidden=500), jnp.zeros((1, 784))
    variables = jax.jit(lambda key: model.init(key, example, train=False))(jax.random.key(0))
    first = jax.tree.map(np.asarray, variables["params"]["dense_1"])
    assert first["kernel"].shape == (784, 500)
    assert float(first["kernel"].std()) == pytest.approx(0.01, rel=0.02)
    assert float(first["bias"].std()) == pytest.approx(0.01, rel=0.1)


def test_outputs_pass_through_relu_on_both_layers():
    params = {
        "dense_1": {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)},
        "dense_2": {"kernel": jnp.array([[1.0, -1.0], [1.0, 1.0]]), "bias": jnp.zeros(2)},
    }
    model = TwoLayerNet(hidden=2, num_classes=2)
    images = jnp.array([[3.0], [-2.0]])
    outputs = model.apply({"params": params}, images, train=True, axis_name="batch")
    assert outputs.tolist() == [[3, 0], [2, 2]]
    assert predict(model, params, images).tolist() == [0, 0]


def test_gradient_descent_learns_exactly_the_digits_whose_neurons_live(rng):
    images = rng.uniform(size=(10, 20)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)
    model = TwoLayerNet(hidden=64)
    start = jax.jit(lambda key: model.init_with_output(key, images, train=False))
    outputs, variables = start(jax.random.key(1))
    params, alive = variables["params"], (np.asarray(outputs) > 0).any(0)
    assert 0 < int(alive.sum()) < 10

    def step(params, _):
        return descend(model, params, images, targets, learning_rate=0.03)

    params, values = jax.lax.scan(step, params, length=600)
    values = np.asarray(values)
    assert values[-1] < 0.8 * values[0]
    predicted = jax.jit(lambda params: predict(model, params, images))(params)
    assert (np.asarray(predicted) == np.arange(10)).tolist() == alive.tolist()


def test_labels_that_are_not_one_hot_are_refused():
    with pytest.raises(ShapeError, match="one-hot"):
        clipped_cross_entropy(jnp.zeros((4, 10)), jnp.zeros(4))
