"""Data splits: hold-out, three-way and k-fold, also stratified.

All functions except the course's return int32 indices of shape (n,), and put every sample into
exactly one part. A typed random ``key`` shuffles the samples first; the same key gives the same
parts.

References:
    Course document 004, level 11 (splits); course document 001 (k-fold cross-validation).
"""

import math
import random
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, DataError, ShapeError


def train_test_split(
    num_examples: int, train: float = 0.6, *, key: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Random training and test indices; ``train`` is the training share, rounded down.

    Raises:
        ConfigError: the share is not between 0 and 1, or a part would be empty.

    Example:
        >>> train, test = train_test_split(10, 0.8, key=jax.random.key(0))
        >>> len(train), len(test), sorted([*train.tolist(), *test.tolist()])
        (8, 2, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    return _cut(_order(num_examples, key), _part_sizes(num_examples, (train, 1 - train)))


def three_way_split(
    num_examples: int,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    *,
    key: jax.Array,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random training, validation and test indices.

    The fractions sum to 1. The first two parts are rounded down; the test part takes the rest.

    Raises:
        ConfigError: the fractions do not sum to 1, or a part would be empty.

    Example:
        >>> [len(part) for part in three_way_split(11, key=jax.random.key(0))]
        [6, 2, 3]
    """
    return _cut(_order(num_examples, key), _part_sizes(num_examples, fractions))


def stratified_train_test_split(
    labels: ArrayLike, train: float = 0.6, *, key: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Random training and test indices with the same class proportions in both parts.

    Every class gets ⌊train · N_class⌋ training samples; the remainder up to ⌊train · N⌋ goes to the
    classes with the largest fractional parts. Labels are integers (N,).

    Raises:
        ShapeError: labels are not a one-dimensional integer array.
        ConfigError: the share is not between 0 and 1, or a part would be empty.

    Example:
        >>> labels = np.array([0] * 10 + [1] * 5)
        >>> train, test = stratified_train_test_split(labels, 0.8, key=jax.random.key(0))
        >>> np.bincount(labels[train]).tolist(), np.bincount(labels[test]).tolist()
        ([8, 4], [2, 1])
    """
    labels = _check_labels(labels)
    num_train = _part_sizes(len(labels), (train, 1 - train))[0]
    classes, counts = np.unique(labels, return_counts=True)
    quotas = _largest_remainders(counts, num_train)
    order = _order(len(labels), key)
    shuffled = labels[order]
    in_train = np.zeros(len(labels), bool)
    for label, quota in zip(classes, quotas, strict=True):
        in_train[np.flatnonzero(shuffled == label)[:quota]] = True
    return order[in_train], order[~in_train]


def k_fold(
    num_examples: int, num_folds: int = 5, *, key: jax.Array | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields sorted training and validation indices for each of k folds.

    Each fold is the validation part once. Sizes match scikit-learn's ``KFold``: the first N mod k
    folds have one more sample. Without a key, folds are consecutive samples.

    Raises:
        ConfigError: ``num_folds`` is not in 2..N.

    Example:
        >>> [(train.tolist(), val.tolist()) for train, val in k_fold(3, 2)]
        [([2], [0, 1]), ([0, 1], [2])]
    """
    _check_num_folds(num_folds, num_examples)
    order = np.arange(num_examples) if key is None else _order(num_examples, key)
    fold_of = np.empty(num_examples, np.int32)
    for fold, members in enumerate(np.array_split(order, num_folds)):
        fold_of[members] = fold
    return _folds(fold_of, num_folds)


def stratified_k_fold(
    labels: ArrayLike, num_folds: int = 5, *, key: jax.Array | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields sorted training and validation indices for k folds, each class spread evenly.

    Without a key, the folds match scikit-learn's ``StratifiedKFold``. If the labels were sorted,
    fold i would get samples i, i + k, i + 2k, …; each class assigns that many of its samples to
    each fold, in their original order. Labels are integers (N,).

    Raises:
        ShapeError: labels are not a one-dimensional integer array.
        ConfigError: ``num_folds`` is not in 2..N.
        DataError: a class has fewer samples than there are folds.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> [labels[val].tolist() for _, val in stratified_k_fold(labels, 2)]
        [[0, 0, 1], [0, 0, 1]]
    """
    labels = _check_labels(labels)
    _check_num_folds(num_folds, len(labels))
    classes, first, counts = np.unique(labels, return_index=True, return_counts=True)
    if counts.min() < num_folds:
        rarest = classes[counts.argmin()]
        raise DataError(
            f"class {rarest} has {counts.min()} samples, fewer than the {num_folds} folds; use "
            f"at most {counts.min()} folds or more samples of it"
        )
    order = np.arange(len(labels)) if key is None else _order(len(labels), key)
    fold_of = np.empty(len(labels), np.int32)
    start = 0
    for index in first.argsort():  # classes by first appearance, as scikit-learn numbers them
        # The sorted labels give this class the positions start..start + count - 1.
        shares = np.bincount(np.arange(start, start + counts[index]) % num_folds)
        members = order[labels[order] == classes[index]]
        fold_of[members] = np.repeat(np.arange(len(shares)), shares)
        start += counts[index]
    return _folds(fold_of, num_folds)


def course_train_test_split(
    dataset: Sequence, train: float = 0.6, seed: int | None = None
) -> tuple[list, list]:
    """The course's own split of a list of rows; the same seed gives the same draws.

    Draws rows with Python's ``random.randrange`` until the training part has *at least* ``train``
    of them (so it rounds up, where :func:`train_test_split` rounds down). The test part is the rest
    in its original order; the input is not modified. Without a seed, every call draws differently.

    Raises:
        ConfigError: the share is not between 0 and 1.

    Example:
        >>> course_train_test_split([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.8, seed=666)
        ([8, 7, 9, 3, 6, 1, 5, 2], [4, 10])

    References:
        Course document 004, level 11.
    """
    if not 0 <= train <= 1:
        raise ConfigError(f"train is {train}: it must be between 0 and 1")
    generator = random.Random(seed)
    rest, chosen = list(dataset), []
    while len(chosen) < train * len(dataset):
        chosen.append(rest.pop(generator.randrange(len(rest))))
    return chosen, rest


def _order(num_examples: int, key: jax.Array) -> np.ndarray:
    return np.asarray(jax.random.permutation(key, num_examples), np.int32)


def _part_sizes(num_examples: int, fractions: Sequence[float]) -> list[int]:
    """Part sizes that sum to ``num_examples``: rounded down, with the rest in the last part."""
    if not all(0 < fraction < 1 for fraction in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"shares are {tuple(fractions)}: each must be between 0 and 1, and their sum 1"
        )
    # 0.29 * 100 is 28.999999999999996: the small term undoes the rounding of the product.
    sizes = [math.floor(fraction * num_examples + 1e-9) for fraction in fractions[:-1]]
    sizes.append(num_examples - sum(sizes))
    if min(sizes) < 1:
        raise ConfigError(
            f"{num_examples} samples in shares {tuple(fractions)} give parts of {sizes}: every "
            "part needs a sample"
        )
    return sizes


def _cut(order: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    return tuple(np.split(order, np.cumsum(sizes)[:-1]))


def _largest_remainders(counts: np.ndarray, total: int) -> np.ndarray:
    """Distributes ``total`` over classes in proportion to ``counts``, in integer arithmetic."""
    quotas, remainders = np.divmod(counts * total, counts.sum())
    lacking = total - quotas.sum()
    quotas[np.argsort(-remainders, kind="stable")[:lacking]] += 1
    return quotas


def _folds(fold_of: np.ndarray, num_folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for fold in range(num_folds):
        in_fold = fold_of == fold
        yield (
            np.flatnonzero(~in_fold).astype(np.int32),
            np.flatnonzero(in_fold).astype(np.int32),
        )


def _check_num_folds(num_folds: int, num_examples: int) -> None:
    if not 2 <= num_folds <= num_examples:
        raise ConfigError(f"num_folds is {num_folds}: it must be in 2..{num_examples}")


def _check_labels(labels: ArrayLike) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(
            f"labels are {labels.dtype} of shape {labels.shape}: need integers of shape (N,)"
        )
    return labels
