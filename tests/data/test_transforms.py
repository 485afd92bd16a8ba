import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import normalize, to_signed_range, to_uint8, to_unit_range
from jaxdl.errors import ConfigError, ShapeError

GREY = np.arange(256, dtype=np.uint8)
UNIT = GREY.astype(np.float32) / np.float32(255)


def _both(function):
    """Runs as it is and jitted: XLA must not change a bit."""
    return [function(GREY), jax.jit(function)(GREY)]


def test_unit_range_has_the_bits_of_a_true_division():
    for result in _both(to_unit_range):
        np.testing.assert_array_equal(result, UNIT)
        assert result.dtype == jnp.float32


def test_signed_range_has_the_bits_of_to_tensor_and_normalize():
    for result in _both(to_signed_range):
        np.testing.assert_array_equal(result, (UNIT - np.float32(0.5)) / np.float32(0.5))
    assert (result[0], result[-1]) == (-1.0, 1.0)


def test_normalize_has_the_bits_of_a_true_division():
    for result in _both(normalize):
        np.testing.assert_array_equal(result, (UNIT - np.float32(0.1307)) / np.float32(0.3081))


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    unit = torch.from_numpy(GREY).to(torch.float32).div(255)
    np.testing.assert_array_equal(to_signed_range(GREY), unit.clone().sub_(0.5).div_(0.5))
    mean, std = torch.tensor(0.1307), torch.tensor(0.3081)
    np.testing.assert_array_equal(normalize(GREY), unit.clone().sub_(mean).div_(std))


def test_normalize_each_channel(rng):
    images = rng.integers(0, 256, (2, 4, 5, 3), np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    expected = (images / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(normalize(images, mean, std), expected, atol=1e-6)
    np.testing.assert_allclose(normalize(images, mean, 2.0), (images / 255 - mean) / 2, atol=1e-6)


def test_to_uint8_inverts_and_clips():
    np.testing.assert_array_equal(to_uint8(to_signed_range(GREY)), GREY)
    extremes = jnp.array([-jnp.inf, -2.0, 2.0, jnp.inf, -1 + 1 / 255 + 1e-4, -1 + 1 / 255 - 1e-4])
    assert to_uint8(extremes).tolist() == [0, 0, 255, 255, 1, 0]
    assert to_uint8(jnp.ones(1, jnp.bfloat16)).tolist() == [255]


@pytest.mark.parametrize("function", [to_unit_range, to_signed_range, normalize])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int8])
def test_only_uint8_is_scaled(function, dtype):
    with pytest.raises(ShapeError, match="uint8"):
        function(np.zeros((2, 3, 3, 1), dtype))


def test_refuses():
    with pytest.raises(ShapeError, match="floating"):
        to_uint8(GREY)
    images = np.zeros((2, 4, 4, 3), np.uint8)
    for std in (0.0, -1.0, (1.0, 0.0, 1.0), float("nan")):
        with pytest.raises(ConfigError, match="positive"):
            normalize(images, 0.5, std)
    for mean, std in (((0.1, 0.2), 1.0), ((0.1, 0.2, 0.3), (1.0, 2.0)), ([[0.1] * 3], 1.0)):
        with pytest.raises(ShapeError):
            normalize(images, mean, std)
