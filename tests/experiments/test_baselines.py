"""scikit-learn's baselines on real digits: better than chance, within their budget."""

import numpy as np
import pytest

from experiments.common import baselines
from experiments.common.baselines import linear_baseline, svm_baseline
from jaxdl.data import Split
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def parts():
    digits = load_embedded()
    return [Split(p.images[:300], p.labels[:300]) for p in (digits.train, digits.test)]


@pytest.mark.parametrize(
    ("fit", "name", "least"),
    [(linear_baseline, "linear model", 0.7), (svm_baseline, "support vector machine", 0.8)],
)
def test_digits_are_learnt(parts, fit, name, least):
    found = fit(*parts, seconds=60)
    assert found.name == name
    assert found.examples == 300
    assert found.train_accuracy == 1.0
    assert least < found.val_accuracy < 1
    assert found.seconds > 0


def test_the_same_seed_gives_the_same_figures(parts):
    one, other = (svm_baseline(*parts, seconds=1e-6, seed=3) for _ in range(2))
    assert one[:4] == other[:4]


def test_the_budget_decides_on_how_many_images(parts, monkeypatch):
    monkeypatch.setattr(baselines, "FIRST", 20)
    assert svm_baseline(*parts, seconds=1e-6).examples == 20
    assert svm_baseline(*parts, seconds=1000).examples == 300


def test_a_rare_class_is_among_the_first(monkeypatch, parts):
    monkeypatch.setattr(baselines, "FIRST", 20)
    labels = np.zeros(300, np.int32)
    labels[200] = 1
    found = svm_baseline(Split(parts[0].images, labels), parts[1], seconds=1e-6)
    assert found.examples == 20


def test_what_cannot_be_fitted_is_refused(parts):
    train, validation = parts
    sevens = Split(train.images, np.full(300, 7))
    with pytest.raises(DataError, match="all training images are of class 7"):
        linear_baseline(sevens, validation)
    with pytest.raises(DataError, match="one part is empty"):
        svm_baseline(train, Split(train.images[:0], train.labels[:0]))
    with pytest.raises(ConfigError, match="seconds is 0"):
        svm_baseline(train, validation, seconds=0)
