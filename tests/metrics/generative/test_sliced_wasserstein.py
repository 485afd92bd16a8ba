import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import wasserstein_distance

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative import sliced_wasserstein

KEY = jax.random.key(0)
module = importlib.import_module("jaxdl.metrics.generative.sliced_wasserstein")


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((28, 28, 1), [28, 14]),
        ((32, 32, 3), [32, 16]),
        ((64, 56, 1), [64, 32, 16]),
        ((9, 50, 1), [9]),
    ],
)
def test_levels_of_a_pyramid_by_scipy(rng, shape, sides):
    image = rng.normal(size=shape).astype("f4")
    levels = jax.jit(module._pyramid)(image)
    assert [level.shape[0] for level in levels] == sides

    def blur(x):
        for axis in (0, 1):
            x = ndimage.correlate1d(x, module.BLUR, axis=axis, mode="mirror")
        return x

    for level in levels[:-1]:
        small = blur(image)[::2, ::2]
        spread = np.zeros_like(image)
        spread[::2, ::2] = 4 * small
        np.testing.assert_allclose(level, image - blur(spread), atol=1e-5)
        image = small
    np.testing.assert_allclose(levels[-1], image, atol=1e-5)


def test_patches_are_cut_anywhere(rng):
    image = jnp.arange(9 * 8.0).reshape(9, 8, 1)
    patches = np.asarray(jax.jit(module._cut, static_argnums=2)(image, KEY, 100))
    corners = set(patches[:, 0, 0, 0].astype(int).tolist())
    assert corners == {0, 1, 8, 9, 16, 17}
    first = patches[0, 0, 0, 0]
    np.testing.assert_array_equal(patches[0, :, :, 0] - first, image[:7, :7, 0])


def test_distance_is_scipys(rng):
    # 1 × 1 "patches" of one channel have one direction.
    a, b = rng.normal(size=(2, 40, 3, 1, 1, 1)).astype("f4") + 1
    b = 2 * b
    found = module._distance(jnp.asarray(a), jnp.asarray(b), KEY, 5)
    expected = wasserstein_distance(a.ravel(), b.ravel()) / b.std()
    assert found == pytest.approx(expected, rel=1e-5)


def test_it_tells_images_apart(rng):
    smooth = ndimage.gaussian_filter(rng.normal(size=(200, 28, 28, 1)), (0, 1.5, 1.5, 0))
    a, b = (smooth * 200 + 128).clip(0, 255).astype("u1").reshape(2, 100, 28, 28, 1)

    def score(x):
        return sliced_wasserstein(x, b, KEY, directions=32)

    floor, same = score(a), score(np.repeat(a[:1], 100, 0))
    blurred = score(ndimage.gaussian_filter(a, (0, 1, 1, 0)))
    noise = score(rng.integers(0, 256, a.shape).astype("u1"))
    assert floor.mean < 0.5 * min(same.mean, blurred.mean, noise.mean)
    assert noise.levels[0] > noise.levels[1]  # fine detail is what noise has too much of
    assert score(a) == floor
    as_floats = sliced_wasserstein(a / np.float32(255), b / np.float32(255), KEY, directions=32)
    np.testing.assert_allclose(as_floats.levels, floor.levels, rtol=1e-3)
    constant = np.full_like(a, 7)
    assert sliced_wasserstein(constant, constant, KEY).mean == 0


def test_what_it_cannot_compare_is_refused(rng):
    good = rng.random((4, 28, 28, 1), np.float32)
    for bad in (good[0], good[:0], good[:, :6]):
        with pytest.raises(ShapeError, match="7 × 7 pixels or more"):
            sliced_wasserstein(good, bad, KEY)
    with pytest.raises(ShapeError, match="take as many of the same size"):
        sliced_wasserstein(good[:3], good, KEY)
    with pytest.raises(ShapeError, match="take as many of the same size"):
        sliced_wasserstein(np.repeat(good, 3, 3), good, KEY)
    bad = good.copy()
    bad[2, 0, 0, 0] = np.nan
    with pytest.raises(ConfigError, match="images has NaN or infinite values in 1 of 4 samples"):
        sliced_wasserstein(bad, good, KEY)
    with pytest.raises(ConfigError, match="0 patches"):
        sliced_wasserstein(good, good, KEY, patches=0)
