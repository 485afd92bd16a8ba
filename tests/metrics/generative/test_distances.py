"""Mathematical facts of the Fréchet and kernel distances and of the neighbours' scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
    kernel_distance,
    nearest_neighbors,
    prdc,
)

KEY = jax.random.key(0)


def test_frechet_distance_of_gaussians_with_the_same_axes():
    a = FeatureStatistics(np.array([0.0, 1.0]), np.diag([1.0, 4.0]), 10)
    b = FeatureStatistics(np.array([3.0, 1.0]), np.diag([9.0, 1.0]), 10)
    assert frechet_distance(a, b) == pytest.approx(9 + (1 - 3) ** 2 + (2 - 1) ** 2, abs=1e-12)


def test_frechet_distance_of_scaled_features(rng):
    x = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))
    # Σ₂ = 4 Σ₁: Tr(Σ₁ + 4 Σ₁ − 4 Σ₁)
    expected = np.sum(x.mean(0) ** 2) + np.trace(np.cov(x.T))
    assert frechet_distance(x, 2 * x) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(x, x) < 1e-12
    assert frechet_distance(feature_statistics(x), 2 * x) == frechet_distance(x, 2 * x)


def test_frechet_distance_with_features_that_never_change(rng):
    x = np.zeros((50, 4))
    x[:, :2] = rng.normal(size=(50, 2))
    assert frechet_distance(x, x) < 1e-12
    same = np.ones((50, 4))  # one image fifty times: only the other's variance is left
    expected = np.sum((x.mean(0) - 1) ** 2) + np.trace(np.cov(x.T))
    assert frechet_distance(same, x) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(same, same) == 0


def test_frechet_distance_of_dependent_features(rng):
    x = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 20))  # rounding makes eigenvalues negative
    expected = np.sum(x.mean(0) ** 2) + np.trace(np.cov(x.T))
    assert frechet_distance(x, 2 * x) == pytest.approx(expected, rel=1e-6)


def test_statistics_need_more_samples_than_features(rng):
    feature_statistics(rng.normal(size=(5, 4)))
    with pytest.raises(ShapeError, match="need more than 4 samples"):
        feature_statistics(rng.normal(size=(4, 4)))


def test_statistics_keep_digits_of_features_far_from_zero(rng):
    x = rng.normal(size=(1000, 2)).astype("f4") * 2**-6 + 2**10
    expected = np.cov((x.astype("f8") - 2**10).T)
    np.testing.assert_allclose(feature_statistics(x).covariance, expected, rtol=1e-9)


def test_kernel_distance_by_hand():
    # d = 1, k(x, y) = (xy + 1)³. Within: k(0, 1) = 1, k(2, 2) = 125; between: 1, 1, 27, 27.
    found = kernel_distance([[0.0], [1.0]], [[2.0], [2.0]], KEY, 3, 2)
    assert found.mean == pytest.approx(1 + 125 - 2 * (1 + 1 + 27 + 27) / 4, rel=1e-6)


def test_kernel_distance_is_zero_in_the_mean_and_reproducible(rng):
    x, y = rng.normal(size=(2, 500, 8))
    found = kernel_distance(x, y, KEY, 30, 100)
    assert abs(found.mean) < found.sd
    assert kernel_distance(x, y, KEY, 30, 100) == found
    assert kernel_distance(x, y, jax.random.key(1), 30, 100).mean != found.mean
    assert kernel_distance(x, y + 0.3, KEY, 30, 100).mean > found.mean + 3 * found.sd


def test_kernel_distance_refuses_subsets_larger_than_a_set(rng):
    x = rng.normal(size=(50, 2))
    with pytest.raises(ConfigError, match="from 50 and 40 samples: subset_size"):
        kernel_distance(x, x[:40], KEY, 1, 41)
    with pytest.raises(ConfigError, match="0 subsets"):
        kernel_distance(x, x, KEY, 0, 10)


def plain_prdc(fake, real, k):
    distances = np.linalg.norm(real[:, None] - fake, axis=2)
    real_radii, fake_radii = (
        np.sort(np.linalg.norm(x[:, None] - x, axis=2))[:, k] for x in (real, fake)
    )
    inside = distances < real_radii[:, None]
    return (
        inside.any(0).mean(),
        (distances < fake_radii).any(1).mean(),
        inside.sum(0).mean() / k,
        (distances.min(1) < real_radii).mean(),
    )


@pytest.mark.parametrize(("sizes", "k"), [((300, 300), 5), ((7, 600), 3), ((520, 90), 1)])
def test_prdc_by_its_definition(rng, sizes, k):
    # Sizes above and below the rows of a block, and not a multiple of them.
    fake, real = rng.normal(size=(sizes[0], 6)), rng.normal(size=(sizes[1], 6)) + 20
    fake = fake * 1.2 + 20.3
    np.testing.assert_allclose(prdc(fake, real, k), plain_prdc(fake, real, k), rtol=1e-6)


def test_two_samples_of_one_distribution(rng):
    x, y = rng.normal(size=(2, 2000, 8))
    found = prdc(x, y)
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.coverage == pytest.approx(1 - 0.5**5, abs=0.01)  # 0.969
    assert prdc(x, y, 3).coverage == pytest.approx(1 - 0.5**3, abs=0.02)


def test_a_dropped_half_is_missed_by_recall_and_coverage(rng):
    real, fake = rng.normal(size=(2, 400, 4))
    real[200:] += 30
    found = prdc(fake, real)
    assert found.recall == pytest.approx(0.5, abs=0.02)
    assert found.coverage == pytest.approx(0.5, abs=0.02)
    assert found.precision > 0.9
    assert found.density > 0.9


def test_identical_images_cover_nothing(rng):
    real = rng.normal(size=(400, 4))
    found = prdc(np.repeat(real[:1], 400, 0), real)
    assert found.recall == 0  # balls of radius 0 hold nothing
    assert found.coverage < 0.05
    assert prdc(np.ones((20, 4)), np.ones((20, 4))) == (0, 0, 0, 0)
    with pytest.raises(ConfigError, match="nearest_k is 0"):
        prdc(real, real, 0)


def test_neighbours_by_their_definition(rng):
    x, y = rng.normal(size=(300, 5)) + 100, rng.normal(size=(70, 5)) + 100
    found = nearest_neighbors(x, y, 3)
    distances = np.linalg.norm(x[:, None] - y, axis=2)
    np.testing.assert_array_equal(found.indices, distances.argsort(1)[:, :3])
    np.testing.assert_allclose(found.distances, np.sort(distances)[:, :3], rtol=1e-6)
    copies = nearest_neighbors(y[::-1], y)
    np.testing.assert_array_equal(copies.indices[:, 0], np.arange(70)[::-1])
    assert not copies.distances.any()
    for k in (0, 71):
        with pytest.raises(ConfigError, match=f"k is {k}: .*70"):
            nearest_neighbors(x, y, k)


def test_half_precision_and_lists_are_features():
    found = prdc(jnp.ones((10, 2), jnp.bfloat16), [[float(i), 0.0] for i in range(10)])
    assert found.precision == 1
