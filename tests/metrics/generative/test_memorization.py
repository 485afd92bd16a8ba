"""Copies of training features are noticed, new ones are not suspected."""

import jax
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative import (
    authenticity,
    data_copying,
    feature_likelihood_divergence,
    likelihood,
    likelihood_baseline,
    memorization,
)

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def sets():
    """Train, test and new samples of one distribution with three far clusters."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(400, 6)) + 20 * rng.integers(3, size=(400, 1)) for _ in range(3)]


@pytest.fixture(scope="module")
def baseline(sets):
    return likelihood_baseline(sets[0], sets[1], KEY, len(sets[2]))


def test_new_samples_are_not_suspected(sets):
    train, test, new = sets
    assert abs(data_copying(new, test, train, KEY)) < 3
    assert 0.4 < authenticity(new, train) < 0.65
    found = feature_likelihood_divergence(new, test, train, KEY)
    assert found.score == 100 * (found.test_nll - found.baseline)
    assert abs(found.score) < 10
    assert found.gap > -15


@pytest.mark.parametrize("noise", [0, 0.02])
def test_copies_are_noticed(rng, sets, baseline, noise):
    train, test, _ = sets
    copies = train + noise * rng.normal(size=train.shape)
    assert data_copying(copies, test, train, KEY) < -10
    assert authenticity(copies, train) < 0.02
    found = feature_likelihood_divergence(copies, test, train, KEY, baseline)
    assert found.gap < -100
    assert found.score > 50


def test_poor_samples_are_no_copies(rng, sets, baseline):
    train, test, new = sets
    poor = new + rng.normal(size=new.shape)
    assert data_copying(poor, test, train, KEY) > 3
    assert authenticity(poor, train) > 0.7
    assert feature_likelihood_divergence(poor, test, train, KEY, baseline).score > 10


def test_the_score_rises_for_a_dropped_cluster_and_for_identical_samples(sets, baseline):
    train, test, new = sets
    few = new + 20 * (new.mean(1, keepdims=True) < 10)  # the first cluster is empty
    kept, dropped, same = (
        feature_likelihood_divergence(x, test, train, KEY, baseline).score
        for x in (new, few, np.repeat(new[:1], 400, 0))
    )
    assert kept < 10 < 30 < dropped
    assert same > dropped  # and it is finite


def test_features_that_never_change_in_the_test_set_are_not_scaled(sets):
    sets = [x * [1, 1, 1, 1, 1, 0] + [0, 0, 0, 0, 0, 3] for x in sets]
    train, test, new = sets
    found = feature_likelihood_divergence(new, test, train, KEY, 1.0)
    assert np.isfinite(found).all()
    assert abs(found.gap) < 20


def test_at_most_ten_thousand_are_drawn(monkeypatch, sets):
    train, test, new = sets
    monkeypatch.setattr(likelihood, "MOST", 150)
    sizes = []
    monkeypatch.setattr(likelihood, "_fit", lambda *sets: sizes.append([*map(len, sets)]) or (1, 1))
    feature_likelihood_divergence(new, test, train, KEY)
    assert sizes == [[150, 150, 400]] * 2  # the baseline and the samples
    with pytest.raises(ConfigError, match="samples is 1"):
        likelihood_baseline(train, test, KEY, 1)


def test_copying_is_judged_in_each_cell(sets):
    train, test, new = sets
    mixed = new.copy()
    first = train.mean(1) > 30
    mixed[: first.sum()] = train[first]  # only the third cluster's samples are copies ...
    alone = np.concatenate([mixed[: first.sum()], new[new.mean(1) < 30]])
    score = data_copying(alone, test, train, KEY)
    assert -10 < score < -3
    # ... and a cluster with no more than 20 samples does not count.
    rest = data_copying(np.concatenate([mixed[:20], new[new.mean(1) < 30]]), test, train, KEY)
    assert abs(rest) < 2
    assert np.isnan(data_copying(new[:15], test, train, KEY))
    with pytest.raises(ShapeError, match="has none of the"):
        data_copying(new, test[test.mean(1) < 30], train, KEY)


def test_standard_score_is_scipys_with_ties(rng):
    a, b = rng.integers(10, size=40), rng.integers(3, 12, size=30)
    u = mannwhitneyu(a, b).statistic
    expected = (u - 600 + 0.5) / np.sqrt(1200 * 71 / 12)
    assert memorization._standard_score(a, b) == pytest.approx(expected, rel=1e-12)


def test_components_are_those_of_largest_variance(rng):
    wide = rng.normal(size=(200, 70)) * np.r_[np.full(6, 1e-3), np.ones(64)]
    (kept,) = memorization._leading(wide)
    assert kept.shape == (200, 64)
    lost = np.sum((wide - wide.mean(0)) ** 2) - np.sum((kept - kept.mean(0)) ** 2)
    assert 0 <= lost < 1e-2


def test_authenticity_compares_with_the_training_points_own_neighbour():
    # Twins in the training set are no neighbours' distance of 0 to themselves only.
    train = [[0.0], [0.0], [10.0], [14.0]]
    assert authenticity([[0.5]], train) == 1
    assert authenticity([[10.5]], train) == 0
    with pytest.raises(ShapeError, match="train has 1 samples"):
        authenticity([[0.5]], [[0.0]])
