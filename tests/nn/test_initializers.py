"""Distributions of the initialisers: support, moments, dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import (
    dcgan_kernel_init,
    dcgan_scale_init,
    torch_conv_init,
    torch_conv_transpose_init,
    torch_linear_init,
    torch_uniform_init,
)

KEY = jax.random.key(0)


@pytest.mark.parametrize(("init", "mean"), [(dcgan_kernel_init, 0.0), (dcgan_scale_init, 1.0)])
def test_normal_initializers_have_dcgans_moments(init, mean):
    draw = init(KEY, (4, 4, 50, 100))
    np.testing.assert_allclose(draw.mean(), mean, atol=3e-4)
    np.testing.assert_allclose(draw.std(), 0.02, rtol=0.02)
    assert abs(draw - mean).max() > 0.07  # not uniform, not truncated at two deviations


@pytest.mark.parametrize(
    ("init", "shape", "bound"),
    [
        (torch_linear_init, (400, 90), 0.05),
        (torch_conv_init, (4, 4, 25, 90), 0.05),
        (torch_conv_transpose_init, (4, 4, 90, 25), 0.05),
        (torch_uniform_init(400), (36000,), 0.05),
    ],
)
def test_torch_initializers_fill_the_interval_of_their_fan_in(init, shape, bound):
    draw = init(KEY, shape)
    assert draw.shape == shape
    assert abs(draw).max() <= bound
    np.testing.assert_allclose([draw.min(), draw.max()], [-bound, bound], rtol=1e-3)
    np.testing.assert_allclose(draw.std(), bound / np.sqrt(3), rtol=0.02)


@pytest.mark.parametrize("init", [dcgan_kernel_init, dcgan_scale_init, torch_conv_init])
def test_initializers_honour_key_and_dtype(init):
    draw = init(KEY, (2, 2, 3, 4), jnp.bfloat16)
    assert draw.dtype == jnp.bfloat16
    assert (draw != init(jax.random.key(1), (2, 2, 3, 4), jnp.bfloat16)).any()
