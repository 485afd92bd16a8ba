"""Every lowering against XLA's convolution, both against PyTorch, and refusals."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn import Conv, ConvTranspose, convolution, transposed_convolution
from jaxdl.nn.lowerings.rule import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS

REFERENCES = np.load(Path(__file__).parents[1] / "references" / "layers.npz")
NAMES = sorted({name.split("/")[0] for name in REFERENCES if not name.startswith("batch_norm")})

# method: image shapes, kernel shapes, geometry
CASES = {
    "matmul": [
        ((3, 4, 4, 5), (4, 4, 5, 7), {"stride": 1, "padding": 0}),
        ((2, 3, 5, 2), (3, 5, 2, 1), {"stride": 2, "padding": 0}),
    ],
    "patches": [
        ((2, 8, 12, 1), (4, 4, 1, 6), {"stride": 2, "padding": 1}),
        ((3, 6, 2, 3), (4, 4, 3, 4), {"stride": 2, "padding": 1}),
    ],
    "winograd4": [
        ((2, 16, 16, 3), (4, 4, 3, 5), {"stride": 2, "padding": 1}),
        ((2, 16, 24, 8), (4, 4, 8, 4), {"stride": 2, "padding": 1}),
    ],
    "winograd": [
        ((2, 4, 4, 3), (4, 4, 3, 5), {"stride": 2, "padding": 1}),
        ((3, 8, 12, 5), (4, 4, 5, 2), {"stride": 2, "padding": 1}),
        ((1, 16, 8, 8), (4, 4, 8, 16), {"stride": 2, "padding": 1}),
    ],
}
TRANSPOSED_CASES = {
    "matmul": [
        ((3, 1, 1, 5), (4, 4, 5, 7), {"stride": 1, "padding": 0}),
        ((2, 1, 1, 3), (3, 5, 3, 2), {"stride": 2, "padding": 0}),
    ],
    "overlap_add": [
        ((2, 4, 6, 5), (4, 4, 5, 1), {"stride": 2, "padding": 1}),
        ((2, 3, 5, 4), (4, 4, 4, 3), {"stride": 2, "padding": 1}),
    ],
    "winograd4": [
        ((2, 8, 8, 3), (4, 4, 3, 5), {"stride": 2, "padding": 1}),
        ((2, 8, 12, 8), (4, 4, 8, 4), {"stride": 2, "padding": 1}),
    ],
    "winograd": [
        ((2, 2, 2, 3), (4, 4, 3, 5), {"stride": 2, "padding": 1}),
        ((3, 4, 6, 5), (4, 4, 5, 2), {"stride": 2, "padding": 1}),
        ((1, 8, 4, 16), (4, 4, 16, 8), {"stride": 2, "padding": 1}),
    ],
}


# Largest error in units of the largest value; direct float32 summation has about 5e-7.
TOLERANCE = {"winograd4": 1.5e-5}


def assert_close(ours, expected, method):
    ours, expected = np.asarray(ours), np.asarray(expected)
    error = abs(ours - expected).max() / abs(expected).max()
    assert error < TOLERANCE.get(method, 3e-6)


def flatten(cases):
    return [(method, *case) for method, group in cases.items() for case in group]


def value_and_gradients(function, x, kernel, cotangent):
    y, pullback = jax.vjp(function, x, kernel)
    return y, *pullback(cotangent)


def compare_with_lax(function, method, x_shape, kernel_shape, geometry, rng, dtype=jnp.float32):
    x, kernel = (jnp.asarray(rng.normal(size=s), dtype) for s in (x_shape, kernel_shape))
    shape = jax.eval_shape(lambda: function(x, kernel, **geometry, method="lax"))
    cotangent = jnp.asarray(rng.normal(size=shape.shape), dtype)

    @jax.jit
    def both(x, kernel, cotangent):
        runs = [partial(function, **geometry, method=name) for name in (method, "lax")]
        return [value_and_gradients(run, x, kernel, cotangent) for run in runs]

    return both(x, kernel, cotangent)


@pytest.mark.parametrize(("method", "x_shape", "kernel_shape", "geometry"), flatten(CASES))
def test_lowering_equals_lax(method, x_shape, kernel_shape, geometry, rng):
    ours, expected = compare_with_lax(convolution, method, x_shape, kernel_shape, geometry, rng)
    jax.tree.map(lambda a, b: assert_close(a, b, method), ours, expected)


@pytest.mark.parametrize(
    ("method", "x_shape", "kernel_shape", "geometry"), flatten(TRANSPOSED_CASES)
)
def test_transposed_lowering_equals_lax(method, x_shape, kernel_shape, geometry, rng):
    ours, expected = compare_with_lax(
        transposed_convolution, method, x_shape, kernel_shape, geometry, rng
    )
    jax.tree.map(lambda a, b: assert_close(a, b, method), ours, expected)


@pytest.mark.parametrize("cases", [CASES, TRANSPOSED_CASES])
def test_every_lowering_has_a_case(cases):
    table = CONVOLUTIONS if cases is CASES else TRANSPOSED_CONVOLUTIONS
    assert set(table) == {*cases, "lax"}


@pytest.mark.parametrize(
    ("function", "x_shape", "kernel_shape", "dtype", "expected"),
    [
        (convolution, (2, 64, 64, 1), (4, 4, 1, 64), "float32", "patches"),
        (convolution, (2, 32, 32, 64), (4, 4, 64, 128), "float32", "winograd4"),
        (convolution, (2, 32, 32, 64), (4, 4, 64, 128), "bfloat16", "winograd"),
        (convolution, (2, 8, 8, 256), (4, 4, 256, 512), "float32", "winograd"),
        (convolution, (2, 6, 6, 8), (4, 4, 8, 8), "float32", "lax"),
        (transposed_convolution, (2, 4, 4, 512), (4, 4, 512, 256), "float32", "winograd"),
        (transposed_convolution, (2, 8, 8, 256), (4, 4, 256, 128), "float32", "winograd4"),
        (transposed_convolution, (2, 32, 32, 64), (4, 4, 64, 1), "float32", "overlap_add"),
        (transposed_convolution, (2, 3, 3, 8), (4, 4, 8, 8), "float32", "lax"),
    ],
)
def test_automatic_choice_on_a_cpu(function, x_shape, kernel_shape, dtype, expected):
    x, kernel = (jax.ShapeDtypeStruct(s, dtype) for s in (x_shape, kernel_shape))

    def program(method):
        run = partial(function, stride=2, padding=1, method=method)
        return str(jax.make_jaxpr(run)(x, kernel))

    assert program("auto") == program(expected)


@pytest.mark.parametrize("name", NAMES)
def test_layers_equal_pytorchs(name):
    """Values and gradients of the modules, by the automatic choice."""
    ref = {key: REFERENCES[f"{name}/{key}"] for key in ("geometry", "x", "weight", "bias", "y")}
    transposed, stride, padding, output_padding, dilation = (int(i) for i in ref["geometry"])
    features, size = ref["bias"].size, ref["weight"].shape[-1]

    def kernel_of(weight):
        if transposed:
            return weight.transpose(2, 3, 0, 1)[::-1, ::-1]
        return weight.transpose(2, 3, 1, 0)

    def channels_last(array):
        return array.transpose(0, 2, 3, 1)

    if transposed:
        layer = ConvTranspose(features, size, stride, padding, output_padding)
    else:
        layer = Conv(features, size, stride, padding, dilation)
    x, cotangent = channels_last(ref["x"]), channels_last(REFERENCES[f"{name}/cotangent"])
    params = {"kernel": kernel_of(ref["weight"]), "bias": ref["bias"]}

    @jax.jit
    def run(params, x, cotangent):
        y, pullback = jax.vjp(lambda p, x: layer.apply({"params": p}, x), params, x)
        return y, *pullback(cotangent)

    y, gradients, x_gradient = run(params, x, cotangent)
    expected = {
        "kernel": kernel_of(REFERENCES[f"{name}/weight_gradient"]),
        "bias": REFERENCES[f"{name}/bias_gradient"],
    }
    np.testing.assert_allclose(y, channels_last(ref["y"]), atol=5e-6)
    np.testing.assert_allclose(
        x_gradient, channels_last(REFERENCES[f"{name}/x_gradient"]), atol=5e-6
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), gradients, expected)


@pytest.mark.parametrize("function", [convolution, transposed_convolution])
def test_bfloat16_winograd_stays_near_float32(function, rng):
    case = ((2, 8, 8, 16), (4, 4, 16, 16), {"stride": 2, "padding": 1})
    ours, expected = compare_with_lax(function, "winograd", *case, rng, dtype=jnp.bfloat16)
    for a, b in zip(ours, expected, strict=True):
        assert a.dtype == jnp.bfloat16
        a, b = (np.asarray(each, np.float32) for each in (a, b))
        assert abs(a - b).max() < 0.03 * abs(b).max()


def test_first_derivatives_are_differentiable_again(rng):
    """A gradient penalty needs the derivative of a gradient."""
    x = jnp.asarray(rng.normal(size=(2, 4, 4, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(4, 4, 3, 2)), jnp.float32)

    def penalty(kernel, method):
        def total(x):
            return jnp.tanh(convolution(x, kernel, stride=2, padding=1, method=method)).sum()

        return jnp.square(jax.grad(total)(x)).sum()

    second = jax.jit(jax.grad(penalty), static_argnums=1)
    np.testing.assert_allclose(second(kernel, "winograd"), second(kernel, "lax"), 1e-4, 1e-4)


def test_modules_make_their_parameters(rng):
    x = jnp.ones((1, 4, 4, 3))
    key = jax.random.key(0)
    conv = jax.jit(Conv(8, (4, 2), use_bias=False).init)(key, x)["params"]
    transposed = jax.jit(ConvTranspose(8, 4, 2, 1).init)(key, x)["params"]
    assert jax.tree.map(jnp.shape, conv) == {"kernel": (4, 2, 3, 8)}
    assert jax.tree.map(jnp.shape, transposed) == {"kernel": (4, 4, 3, 8), "bias": (8,)}
    bound = 1 / np.sqrt(4 * 4 * 8)  # PyTorch's fan-in of a transposed convolution: by C_out
    assert 0.9 * bound < abs(np.asarray(transposed["kernel"])).max() <= bound
    assert abs(np.asarray(transposed["bias"])).max() <= bound


X, KERNEL = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32), (4, 4, 3, 5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "fourier"}, ConfigError, "unknown method 'fourier'"),
        ({"method": "matmul"}, ConfigError, "as large as the image"),
        ({"method": "winograd", "stride": 1}, ConfigError, "stride 2"),
        ({"stride": 0}, ConfigError, "stride 0"),
        ({"padding": -1}, ConfigError, "padding -1"),
        ({"dilation": 0}, ConfigError, "dilation 0"),
        ({"dilation": 3}, ShapeError, "0×0"),
        ({"method": "winograd", "padding": 1, "dilation": 2}, ConfigError, "dilation=2"),
        ({"x": (2, 2, 2, 3)}, ShapeError, "-1×-1|0×0"),
        ({"x": (8, 8, 3)}, ShapeError, r"\(8, 8, 3\)"),
        ({"x": (2, 3, 8, 8)}, ShapeError, "NCHW"),
    ],
)
def test_convolution_refuses(arguments, error, message):
    settings = {"stride": 2, "padding": 0, "x": (2, 8, 8, 3)} | arguments
    x, kernel = (np.ones(shape, np.float32) for shape in (settings.pop("x"), KERNEL))
    with pytest.raises(error, match=message):
        convolution(x, kernel, **settings)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "fourier"}, ConfigError, "unknown method 'fourier'"),
        ({"method": "matmul"}, ConfigError, "images of one pixel"),
        ({"method": "overlap_add"}, ConfigError, "at most 4 output channels"),
        ({"output_padding": 2}, ConfigError, "output_padding 2"),
        ({"x": (2, 1, 1, 3), "padding": 2}, ShapeError, "0×0"),
    ],
)
def test_transposed_convolution_refuses(arguments, error, message):
    settings = {"stride": 2, "padding": 1, "x": (2, 8, 8, 3)} | arguments
    x, kernel = (np.ones(shape, np.float32) for shape in (settings.pop("x"), KERNEL))
    with pytest.raises(error, match=message):
        transposed_convolution(x, kernel, **settings)
