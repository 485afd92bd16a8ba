"""Facts of data with planted faults, and balanced weights against scikit-learn's."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.class_weight import compute_class_weight

from jaxdl.data import Split, balanced_class_weights, data_facts, neighbor_facts


def test_planted_repetitions_are_counted(rng):
    images = rng.integers(0, 50, (40, 3, 3, 1), np.uint8)
    labels = np.arange(40) % 4
    images[10] = images[3]  # another class's image: 3 is of class 3, 10 of class 2
    images[12] = images[8]
    test = Split(images[[0, 1, 2]].copy(), np.array([0, 1, 3]))
    test.images[0, 0, 0] = 255
    facts = data_facts(Split(images, labels), test, 5)
    assert facts["duplicates"] == {
        "within_train": 2,
        "relabelled": 1,
        "test_in_train": 2,
        "test_relabelled": 1,
        "within_test": 0,
    }
    assert facts["train"]["class_counts"] == [10, 10, 10, 10, 0]
    assert facts["train"]["max"] == images.max()
    assert np.isclose(facts["train"]["mean"], images.mean())
    assert np.isclose(facts["train"]["std"], images.std())
    assert facts["test"]["images"] == 3


def test_constant_images_are_counted():
    part = Split(np.full((2, 3, 3, 1), 7, np.uint8), np.zeros(2, int))
    assert data_facts(part, part, 1)["train"]["constant_images"] == 2


def test_balanced_weights_are_scikit_learns(rng):
    labels = rng.integers(0, 5, 200) ** 2 // 4
    classes = np.unique(labels)
    wanted = compute_class_weight("balanced", classes=classes, y=labels)
    found = balanced_class_weights(labels, int(labels.max()) + 2)
    np.testing.assert_allclose(found[classes], wanted, rtol=1e-6)
    assert found[-1] == 1


def test_repeated_test_images_are_counted(rng):
    part = Split(rng.integers(0, 50, (6, 3, 3, 1), np.uint8), np.zeros(6, int))
    twice = Split(np.concatenate([part.images, part.images[:2]]), np.zeros(8, int))
    assert data_facts(part, twice, 1)["duplicates"]["within_test"] == 2


def some_digits(load=200):
    """Small images in four classes that are far apart."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, load)
    images = rng.integers(0, 40, (load, 4, 4, 1)) + 50 * labels[:, None, None, None]
    return Split(images.astype(np.uint8), labels)


def test_neighbors_are_scikit_learn_s():
    train, test = some_digits(), some_digits(60)
    test = test._replace(images=np.flip(test.images, axis=1))
    wrong = train.labels.copy()
    wrong[::5] = (wrong[::5] + 1) % 4
    facts = neighbor_facts(train._replace(labels=wrong), test)
    flat = [np.reshape(part.images, (len(part.labels), -1)).astype(float) for part in (train, test)]
    search = NearestNeighbors().fit(flat[0])
    distances, nearest = search.kneighbors(flat[1], 10)
    assert facts["test"]["distance"] == pytest.approx(np.median(distances[:, 0]) / 4, abs=1e-3)
    assert facts["test"]["agreement"] == pytest.approx((wrong[nearest[:, 0]] == test.labels).mean())
    votes = np.stack([(wrong[nearest] == label).sum(axis=1) for label in range(4)], axis=1)
    clear = votes.max(axis=1) >= 6
    contradicted = votes.argmax(axis=1)[clear] != test.labels[clear]
    assert facts["test"]["contradicted"] == pytest.approx(contradicted.mean())
    distances, nearest = search.kneighbors(flat[0], 2)  # the first is the image itself
    assert facts["train"]["agreement"] == pytest.approx((wrong[nearest[:, 1]] == wrong).mean())
    assert facts["train"]["contradicted"] == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images_have_few_neighbors(count):
    facts = neighbor_facts(some_digits(count), some_digits(3))
    assert np.isfinite([value for part in facts.values() for value in part.values()]).all()


def test_large_images_are_averaged_down(rng):
    small = some_digits(50)
    large = small._replace(images=np.kron(small.images, np.ones((1, 10, 10, 1), np.uint8)))
    assert neighbor_facts(large, large)["train"] == neighbor_facts(small, small)["train"]
