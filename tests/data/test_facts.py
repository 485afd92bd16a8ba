"""Facts of data with planted faults, and balanced weights against scikit-learn's."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from jaxdl.data import Split, balanced_class_weights, data_facts


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
