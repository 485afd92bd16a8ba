import math

import jax
import numpy as np
import pytest
from scipy.stats import chisquare

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative import class_histogram


def test_all_classes_alike():
    found = class_histogram(np.eye(10)[np.arange(50) % 10])
    np.testing.assert_array_equal(found.counts, [5] * 10)
    assert (found.chi_square, found.sure) == (0, 1)
    assert found.entropy == pytest.approx(math.log(10), rel=1e-12)


def test_one_class():
    found = class_histogram(np.eye(4)[[2] * 8])
    assert (found.entropy, found.chi_square) == (0, 8 * 3)  # n (C − 1)
    assert not math.copysign(1, found.entropy) < 0


def test_dropped_classes_are_noticed(rng):
    shares = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    labels = rng.choice(10, 2000, p=shares / shares.sum())
    whole, part = (class_histogram(np.eye(10)[x], shares) for x in (labels, labels % 8))
    assert whole.chi_square < 25 < 200 < part.chi_square
    assert part.entropy < whole.entropy
    expected = chisquare(whole.counts, 2000 * shares / shares.sum()).statistic
    assert whole.chi_square == pytest.approx(expected, rel=1e-12)


def test_unsure_samples(rng):
    rows = np.array([[0.5, 0.5], [0.9, 0.1], [0.91, 0.09], [0.0, 1.0]], np.float32)
    assert class_histogram(rows[:1]).sure == 0
    assert class_histogram(rows[2:]).sure == 1
    probabilities = jax.nn.softmax(rng.normal(size=(100, 10)).astype("f4"))
    assert class_histogram(probabilities).sure == 0


def test_what_is_no_probability_is_refused():
    good = np.eye(3)
    with pytest.raises(ConfigError, match="softmax of logits"):
        class_histogram(4 * good)
    with pytest.raises(ConfigError, match="softmax of logits"):
        class_histogram([[1.5, -0.5]])
    with pytest.raises(ConfigError, match="NaN or infinite values in 1 of 3 samples"):
        class_histogram(np.where(good[:, :1] > 0, np.nan, good))
    for bad in (good[0], good[:0]):
        with pytest.raises(ShapeError, match="samples, classes"):
            class_histogram(bad)
    with pytest.raises(ShapeError, match=r"shares has shape \(2,\): need \(3,\)"):
        class_histogram(good, [1, 1])
    with pytest.raises(ConfigError, match=r"shares has the value 0\.0"):
        class_histogram(good, [1, 1, 0])
