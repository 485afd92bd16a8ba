from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn.pooling import avg_pool, global_average_pool, max_pool

# The geometries of references/make_pooling.py: window, stride, padding and, for some, dilation.
GEOMETRIES = [
    (2, None, 0),
    (2, None, 0),
    (3, None, 1),
    (3, 1, 1),
    (3, 2, 0),
    (3, 2, 1),
    (4, 3, 2),
    (2, 3, 1),
    ((3, 2), None, (1, 0)),
    ((1, 3), (2, 1), (0, 1)),
    (4, None, 0),
    (1, 2, 0),
    (2, 1, 0, 2),
    (3, 2, 1, 2),
    ((2, 3), (3, 1), (1, 0), (3, 2)),
]


@pytest.fixture(scope="module")
def reference():
    """PyTorch's poolings and gradients, made by references/make_pooling.py."""
    with np.load(Path(__file__).parents[1] / "references" / "pooling.npz") as arrays:
        return dict(arrays)


def nhwc(array):
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


@pytest.mark.parametrize("number", range(len(GEOMETRIES)))
def test_pooling_matches_pytorch(number, reference):
    geometry = GEOMETRIES[number]
    poolings = {
        "max": lambda x: max_pool(x, *geometry),
        "avg": lambda x: avg_pool(x, *geometry),
        "avg_inside": lambda x: avg_pool(x, *geometry, count_include_pad=False),
        "global": global_average_pool,
    }
    if len(geometry) == 4:  # PyTorch dilates max pooling only, as we do
        poolings = {"max": poolings["max"]}
    stored = {
        key: {name: nhwc(reference[f"{number}/{name}/{key}"]) for name in poolings}
        for key in ("value", "cotangent", "gradient")
    }

    @jax.jit
    def values_and_gradients(x, cotangents):
        pairs = {name: jax.vjp(pool, x) for name, pool in poolings.items()}
        return {
            name: (value, *pullback(cotangents[name])) for name, (value, pullback) in pairs.items()
        }

    found = values_and_gradients(nhwc(reference[f"{number}/x"]), stored["cotangent"])
    for name, (value, gradient) in found.items():
        expected = {key: stored[key][name] for key in stored}
        np.testing.assert_allclose(value, expected["value"], rtol=1e-6, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(
            gradient, expected["gradient"], rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_padding_never_wins_the_maximum():
    x = jnp.full((1, 2, 2, 1), -5.0)
    np.testing.assert_array_equal(max_pool(x, 2, 1, 1), jnp.full((1, 3, 3, 1), -5.0))


def test_half_precision_and_nan():
    x = jnp.ones((1, 3, 3, 1), jnp.bfloat16)
    spoilt = x.at[0, 0, 0, 0].set(jnp.nan)
    assert avg_pool(x, 2).dtype == jnp.bfloat16
    for dilation in (1, 2):
        assert max_pool(x, 2, dilation=dilation).dtype == jnp.bfloat16
        assert np.isnan(max_pool(spoilt, 2, dilation=dilation)).all()


IMAGES = np.ones((2, 4, 5, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: max_pool(IMAGES[0], 2), ShapeError, r"\(4, 5, 3\)"),
        (lambda: max_pool(IMAGES.astype(np.int32), 2), ShapeError, "int32"),
        (lambda: global_average_pool(IMAGES[0]), ShapeError, "global_average_pool"),
        (lambda: avg_pool(IMAGES, 5), ShapeError, r"smaller than the window \(5, 5\)"),
        (lambda: max_pool(IMAGES, 0), ConfigError, r"window \(0, 0\)"),
        (lambda: max_pool(IMAGES, 2, 0), ConfigError, r"stride \(0, 0\)"),
        (lambda: max_pool(IMAGES, 2, padding=2), ConfigError, "half the window"),
        (lambda: max_pool(IMAGES, 2, dilation=0), ConfigError, r"dilation \(0, 0\)"),
        (lambda: max_pool(IMAGES, 3, dilation=2), ShapeError, r"with dilation \(2, 2\)"),
        # The window of the first pixel would be padding and, beyond the image, padding.
        (lambda: max_pool(IMAGES, 2, padding=1, dilation=5), ShapeError, "smaller than the window"),
        (lambda: avg_pool(IMAGES, 2, padding=-1), ConfigError, "half the window"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
