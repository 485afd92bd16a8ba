from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ShapeError
from jaxdl.nn import activations

ELEMENTWISE = {
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "relu": activations.relu,
    "leaky_relu": activations.leaky_relu,
    "leaky_relu_0.2": lambda x: activations.leaky_relu(x, 0.2),
    "elu": activations.elu,
    "elu_0.5": lambda x: activations.elu(x, alpha=0.5),
    "sign": activations.sign,
}


@pytest.fixture(scope="module")
def reference():
    """PyTorch's activations and gradients, made by references/make_activations.py."""
    with np.load(Path(__file__).parents[1] / "references" / "activations.npz") as arrays:
        return dict(arrays)


def assert_matches(function, x, cotangent, value, gradient):
    @jax.jit
    def both(x, cotangent):
        found, pullback = jax.vjp(function, x)
        return found, *pullback(cotangent)

    found, slope = both(x, cotangent)
    np.testing.assert_allclose(found, value, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(slope, gradient, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_matches_pytorch_up_to_infinity(name, reference):
    x, cotangent = reference["elementwise/x"], reference["elementwise/cotangent"]
    assert_matches(
        ELEMENTWISE[name], x, cotangent, reference[f"{name}/value"], reference[f"{name}/gradient"]
    )


def test_prelu_and_the_gradient_of_its_slope_match_pytorch():
    """torch.nn.PReLU (2.13) on the same numbers."""
    layer, x = activations.Activation("prelu"), jnp.array([-2.0, -0.5, 0.0, 3.0])

    @jax.jit
    def run(x, cotangent):
        params = layer.init(jax.random.key(0), x)
        value, pullback = jax.vjp(layer.apply, params, x)
        return value, *pullback(cotangent)

    value, by_params, by_x = run(x, jnp.array([1.0, 2.0, 3.0, 4.0]))
    assert value.tolist() == [-0.5, -0.125, 0.0, 3.0]
    assert by_x.tolist() == [0.25, 0.5, 0.75, 4.0]
    assert by_params["params"]["slope"].tolist() == [-3.0]


def test_step_matches_heaviside_with_0_at_0(reference):
    x = reference["elementwise/x"]
    np.testing.assert_array_equal(activations.step(x), reference["step/value"])
    gradient = jax.jit(jax.grad(lambda x: activations.step(x).sum()))(x)
    np.testing.assert_array_equal(gradient, np.zeros_like(x))


@pytest.mark.parametrize("axis", [1, 2, -1, -2])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_matches_pytorch(name, axis, reference):
    positive = axis % 3
    part = slice(60, None) if positive == 1 else slice(None)
    assert_matches(
        lambda x: getattr(activations, name)(x, axis=axis),
        reference["softmax/x"][part],
        reference["softmax/cotangent"][part],
        reference[f"{name}_{positive}/value"],
        reference[f"{name}_{positive}/gradient"],
    )


def test_softmax2d_matches_pytorch(reference):
    nchw = ("x", "cotangent", "value", "gradient")
    arrays = [reference[f"softmax2d/{key}"].transpose(0, 2, 3, 1) for key in nchw]
    assert_matches(activations.softmax2d, *arrays)
    softmax2d = jax.jit(activations.softmax2d)
    np.testing.assert_array_equal(softmax2d(arrays[0][0]), np.asarray(softmax2d(arrays[0]))[0])


def test_softmax_of_huge_logits():
    x = np.array([[1e4, 1e4, -1e4], [-1e4, -2e4, -1e4], [1e38, -1e38, 0]])
    expected = [[0.5, 0.5, 0], [0.5, 0, 0.5], [1, 0, 0]]
    np.testing.assert_array_equal(activations.softmax(x), expected)
    np.testing.assert_allclose(
        activations.log_softmax(x[0]), [-np.log(2), -np.log(2), -2e4 - np.log(2)], rtol=1e-6
    )


def test_values_and_slopes_at_the_kinks():
    cases = {
        activations.relu: (0, 0),
        activations.leaky_relu: (0, 0.01),
        activations.elu: (0, 1),
        activations.step: (0, 0),
        activations.sign: (0, 0),
        activations.sigmoid: (0.5, 0.25),
        activations.tanh: (0, 1),
    }
    for function, expected in cases.items():
        found = jax.jit(jax.value_and_grad(function))(0.0)
        np.testing.assert_allclose(found, expected, err_msg=function.__name__)


SLOPES = {
    "sigmoid": lambda x: np.exp(-abs(x)) / (1 + np.exp(-abs(x))) ** 2,
    "tanh": lambda x: 4 * np.exp(-2 * abs(x)) / (1 + np.exp(-2 * abs(x))) ** 2,
    "elu": lambda x: np.where(x > 0, 1, np.exp(x)),
    "elu_0.5": lambda x: np.where(x > 0, 1, 0.5 * np.exp(x)),
    "leaky_relu": lambda x: np.where(x > 0, 1, 0.01),
    "relu": lambda x: np.where(x > 0, 1, 0),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_keep_their_digits_far_out(name):
    """Float32 against the formula in float64, as far out as float32 has numbers for the slope."""
    magnitudes = np.float32(np.geomspace(1e-6, 40, 200))
    x = np.concatenate([-magnitudes, magnitudes])
    found = jax.jit(jax.vmap(jax.grad(ELEMENTWISE[name])))(x)
    np.testing.assert_allclose(found, SLOPES[name](np.float64(x)), rtol=2e-6)


@pytest.mark.parametrize("function", [*ELEMENTWISE.values(), activations.step])
def test_nan_stays_nan_and_types_are_kept(function):
    half, integers, floats = jnp.ones(2, jnp.bfloat16), np.array([-1, 2]), np.array([-1.0, 2.0])
    given = (jnp.nan, half, integers, floats)
    nan, of_half, of_integers, of_floats = jax.jit(lambda: [function(x) for x in given])()
    assert np.isnan(nan)
    assert of_half.dtype == jnp.bfloat16
    assert of_integers.dtype == jnp.float32
    np.testing.assert_array_equal(of_integers, of_floats)


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"softmax2d needs images .* got shape \(2, 3\)"):
        activations.softmax2d(jnp.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"softmax: .*\(2, 3\) has no axis 2"):
        activations.softmax(jnp.ones((2, 3)), axis=2)
    with pytest.raises(ShapeError, match=r"log_softmax: .*\(\) has no axis -1"):
        activations.log_softmax(1.0)
