import random

import jax
import numpy as np
import pytest

from jaxdl.data import (
    course_train_test_split,
    k_fold,
    stratified_k_fold,
    stratified_train_test_split,
    three_way_split,
    train_test_split,
)
from jaxdl.errors import ConfigError, DataError, ShapeError

KEY = jax.random.key(11)


def _assert_partition(parts, num_examples):
    """Every sample in exactly one part."""
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(num_examples))
    assert all(part.dtype == np.int32 for part in parts)


@pytest.mark.parametrize(
    ("num_examples", "share", "num_train"),
    [
        (10, 0.6, 6),
        (10, 0.75, 7),
        (100, 0.29, 29),
        (10, 0.7, 7),
        (2, 0.5, 1),
        (70_000, 0.9, 63_000),
    ],
)
def test_train_test_split(num_examples, share, num_train):
    parts = train_test_split(num_examples, share, key=KEY)
    _assert_partition(parts, num_examples)
    assert [len(part) for part in parts] == [num_train, num_examples - num_train]
    again = train_test_split(num_examples, share, key=KEY)
    np.testing.assert_array_equal(parts[0], again[0])


def test_other_keys_give_other_parts():
    first, _ = train_test_split(100, key=KEY)
    second, _ = train_test_split(100, key=jax.random.key(12))
    assert set(first) != set(second)
    assert first.tolist() != sorted(first)


def test_sizes_are_those_of_scikit_learn():
    from sklearn.model_selection import train_test_split as reference

    for num_examples in (5, 17, 100):
        for share in (0.25, 0.5, 0.6, 0.75):
            expected = [len(part) for part in reference(range(num_examples), train_size=share)]
            own = [len(part) for part in train_test_split(num_examples, share, key=KEY)]
            assert own == expected


def test_three_way_split():
    parts = three_way_split(101, (0.6, 0.2, 0.2), key=KEY)
    _assert_partition(parts, 101)
    assert [len(part) for part in parts] == [60, 20, 21]


@pytest.mark.parametrize(("num_examples", "num_folds"), [(10, 5), (11, 3), (7, 7), (8, 2), (23, 5)])
def test_k_fold_is_that_of_scikit_learn(num_examples, num_folds):
    from sklearn.model_selection import KFold

    expected = KFold(num_folds).split(np.zeros(num_examples))
    for own, reference in zip(k_fold(num_examples, num_folds), expected, strict=True):
        np.testing.assert_array_equal(own[0], reference[0])
        np.testing.assert_array_equal(own[1], reference[1])
    shuffled = list(k_fold(num_examples, num_folds, key=KEY))
    _assert_partition([validation for _, validation in shuffled], num_examples)
    for train, validation in shuffled:
        _assert_partition([train, validation], num_examples)


def test_stratified_k_fold_is_that_of_scikit_learn(rng):
    from sklearn.model_selection import StratifiedKFold

    for num_folds in (2, 3, 5):
        for _ in range(10):
            labels = np.concatenate([np.repeat(np.arange(4) * 3, 5), rng.integers(0, 4, 33) * 3])
            labels = rng.permutation(labels)
            expected = StratifiedKFold(num_folds).split(labels, labels)
            shuffled = stratified_k_fold(labels, num_folds, key=KEY)
            for own, other, reference in zip(
                stratified_k_fold(labels, num_folds), shuffled, expected, strict=True
            ):
                np.testing.assert_array_equal(own[0], reference[0])
                np.testing.assert_array_equal(own[1], reference[1])
                counts = np.bincount(labels[reference[1]], minlength=10)
                np.testing.assert_array_equal(np.bincount(labels[other[1]], minlength=10), counts)
                _assert_partition(other, len(labels))


def test_shuffled_folds_differ_from_consecutive_ones():
    assert next(k_fold(50, 5, key=KEY))[1].tolist() != list(range(10))
    labels = np.arange(50) % 2
    assert next(stratified_k_fold(labels, 5, key=KEY))[1].tolist() != list(range(10))


def test_stratified_split_keeps_the_shares(rng):
    for _ in range(10):
        labels = rng.choice(5, 200, p=[0.5, 0.2, 0.15, 0.1, 0.05])
        train, test = stratified_train_test_split(labels, 0.7, key=KEY)
        _assert_partition((train, test), 200)
        assert len(train) == 140
        ideal = np.bincount(labels, minlength=5) * 0.7
        assert (np.abs(np.bincount(labels[train], minlength=5) - ideal) < 1).all()


def test_stratified_split_is_random_within_a_class():
    labels = np.zeros(100, int)
    train, _ = stratified_train_test_split(labels, 0.5, key=KEY)
    assert 15 < np.sum(train < 50) < 35


def test_labels_may_be_a_list():
    labels = [0, 1] * 5
    for cut in (stratified_train_test_split, stratified_k_fold):
        for of_list, of_array in zip(
            cut(labels, key=KEY), cut(np.array(labels), key=KEY), strict=True
        ):
            np.testing.assert_array_equal(np.hstack(of_list), np.hstack(of_array))


def test_course_split():
    rows = [[i] for i in range(1, 11)]
    train, test = course_train_test_split(rows, 0.8, seed=666)
    assert train == [[8], [7], [9], [3], [6], [1], [5], [2]]
    assert test == [[4], [10]]
    assert rows == [[i] for i in range(1, 11)]
    # The course seeds Python's global generator: the same draws, row for row.
    random.seed(666)
    rest = list(rows)
    assert train == [rest.pop(random.randrange(len(rest))) for _ in range(8)]
    assert [len(part) for part in course_train_test_split(rows, 0.75, seed=1)] == [8, 2]
    assert [len(part) for part in course_train_test_split(rows)] == [6, 4]
    assert course_train_test_split([], 0.5) == ([], [])


def test_refuses():
    for share in (0.0, 1.0, -0.5, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            train_test_split(10, share, key=KEY)
    with pytest.raises(ConfigError, match="every part needs a sample"):
        train_test_split(1, 0.5, key=KEY)
    with pytest.raises(ConfigError, match="sum 1"):
        three_way_split(10, (0.6, 0.3, 0.3), key=KEY)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        course_train_test_split([1], 1.5)
    for num_folds in (0, 1, 6):
        with pytest.raises(ConfigError, match=r"2\.\.5"):
            k_fold(5, num_folds)
    with pytest.raises(DataError, match="class 7 has 1 samples"):
        stratified_k_fold(np.array([3, 3, 3, 7]), 2)
    for labels in (np.zeros((4, 1), int), np.zeros(4)):
        with pytest.raises(ShapeError, match="integers"):
            stratified_train_test_split(labels, key=KEY)
