"""Kernels that are not square, with stride: XLA's own convolution aborts the process on some."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import convolution, transposed_convolution

# Image side, kernel, stride, padding; with the first two and plain `lax` XLA's check fails.
CASES = [(4, (3, 2), 2, 1), (6, (2, 5), 2, 1), (5, (2, 3), 3, 2)]
ABORTED = """
import jax, jax.numpy as jnp
from jaxdl.nn import convolution, transposed_convolution
def run(function, x_shape, kernel_shape, **geometry):
    x, kernel = jnp.ones(x_shape), jnp.ones(kernel_shape)
    total = lambda *arrays: function(*arrays, **geometry).sum()
    jax.block_until_ready(jax.jit(jax.grad(total, (0, 1)))(x, kernel))
for method in ("auto", "lax"):
    run(convolution, (1, 4, 4, 1), (3, 2, 1, 1), stride=2, padding=1, method=method)
    run(transposed_convolution, (1, 4, 4, 1), (5, 2, 1, 1), stride=2, padding=1, method=method)
"""


def direct(x, kernel, stride, padding):
    """The definition, in float64."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    (height, width), (n, rows, columns, _) = kernel.shape[:2], x.shape
    y = np.zeros(
        (n, (rows - height) // stride + 1, (columns - width) // stride + 1, kernel.shape[3])
    )
    for i, j in np.ndindex(y.shape[1:3]):
        window = x[:, i * stride : i * stride + height, j * stride : j * stride + width]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


def gradient(function, at, cotangent):
    """The function is linear, so differences of unit steps are its gradient exactly."""
    zero = function(np.zeros_like(at))
    basis = np.eye(at.size).reshape(-1, *at.shape)
    slopes = [((function(unit) - zero) * cotangent).sum() for unit in basis]
    return np.reshape(slopes, at.shape)


@pytest.mark.slow
def test_no_geometry_ends_the_process():
    subprocess.run([sys.executable, "-c", ABORTED], check=True, timeout=300)


@pytest.mark.parametrize(("side", "size", "stride", "padding"), CASES)
def test_gradients_are_those_of_the_definition(side, size, stride, padding, rng):
    x, kernel = rng.normal(size=(2, side, side, 2)), rng.normal(size=(*size, 2, 3))
    expected = direct(x, kernel, stride, padding)
    cotangent = rng.normal(size=expected.shape)
    arrays = [jnp.asarray(a, jnp.float32) for a in (x, kernel, cotangent)]

    @jax.jit
    def run(x, kernel, cotangent):
        y, backward = jax.vjp(
            lambda *both: convolution(*both, stride=stride, padding=padding), x, kernel
        )
        return y, *backward(cotangent)

    y, by_x, by_kernel = run(*arrays)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    x_gradient = gradient(lambda x: direct(x, kernel, stride, padding), x, cotangent)
    np.testing.assert_allclose(by_x, x_gradient, atol=1e-5)
    kernel_gradient = gradient(lambda k: direct(x, k, stride, padding), kernel, cotangent)
    np.testing.assert_allclose(by_kernel, kernel_gradient, atol=2e-5)


@pytest.mark.parametrize(("side", "size", "stride", "padding"), CASES)
def test_the_transposed_convolution_is_the_gradient_by_the_images(side, size, stride, padding, rng):
    images, kernel = np.zeros((2, side, side, 2)), rng.normal(size=(*size, 2, 3))
    small = rng.normal(size=direct(images, kernel, stride, padding).shape)
    expected = gradient(lambda x: direct(x, kernel, stride, padding), images, small)
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    found = transposed_convolution(
        *(jnp.asarray(a, jnp.float32) for a in (small, turned)), stride=stride, padding=padding
    )
    # Rows and columns at the end that no window reaches have no gradient, and are not made here.
    cut = [side - (side + 2 * padding - k) % stride for k in size]
    inside = expected[:, : cut[0], : cut[1]]
    np.testing.assert_allclose(found, inside, atol=1e-5)
