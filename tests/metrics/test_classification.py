from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxdl import metrics
from jaxdl.errors import ConfigError, ShapeError

CLASSES = 4


@pytest.fixture(scope="module")
def cases():
    """Predictions, labels and weights (60, 6): random, one class, absent classes, all wrong."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, (300, 6))
    predictions = np.where(rng.random((300, 6)) < 0.5, labels, rng.integers(0, CLASSES, (300, 6)))
    labels[:40] = 2  # one class
    labels[40:80] = labels[40:80].clip(1, 2)  # absent classes
    predictions[80:100] = 3  # classes never predicted
    predictions[100:120] = (labels[100:120] + 1) % CLASSES  # all wrong
    predictions[120:130] = labels[120:130]
    weights = rng.uniform(0.1, 2, (300, 6))
    weights[200:, 3:] = 0  # padding
    weights[290:, 1:] = 0  # batch of one
    return predictions[::5], labels[::5], weights[::5]  # scikit-learn takes 3 ms for each


count = partial(metrics.ConfusionMatrix.from_batch, num_classes=CLASSES)


@pytest.fixture(scope="module")
def matrices(cases):
    return jax.jit(jax.vmap(count))(*cases)


def test_counts_match_scikit_learn(cases, matrices):
    expected = [
        sklearn_metrics.confusion_matrix(y, p, sample_weight=w, labels=range(CLASSES))
        for p, y, w in zip(*cases, strict=True)
    ]
    np.testing.assert_allclose(matrices.compute(), expected, rtol=1e-5)


@pytest.mark.parametrize("average", ["macro", "micro", None])
@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
def test_scores_match_scikit_learn(cases, matrices, average, zero_division):
    def scores(matrix):
        options = {"average": average, "zero_division": zero_division}
        return matrix.precision(**options), matrix.recall(**options), matrix.f1(**options)

    results = jax.jit(jax.vmap(scores))(matrices)
    expected = [
        sklearn_metrics.precision_recall_fscore_support(
            y, p, sample_weight=w, labels=range(CLASSES), average=average,
            zero_division=zero_division,
        )[:3]
        for p, y, w in zip(*cases, strict=True)
    ]  # fmt: skip
    for result, column in zip(results, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(result, column, rtol=1e-5, atol=1e-6)


def test_an_invalid_label_is_not_left_out_of_the_average():
    @jax.jit
    def recall(predictions, labels):
        return count(predictions, labels).recall(zero_division=np.nan)

    assert np.isnan(recall(np.array([0, 1]), np.array([0, 7])))
    assert recall(np.array([0, 1]), np.array([0, 1])) == 1


def test_lists_are_taken_for_arrays():
    logits, labels, weights = [[0.1, 2.0], [3.0, 0.2], [0.0, 1.0]], [1, 0, 0], [1, 1, 2]
    arrays = [np.array(each) for each in (logits, labels, weights)]
    for make in (
        metrics.Accuracy.from_batch,
        partial(metrics.TopKAccuracy.from_batch, k=1),
        partial(metrics.ConfusionMatrix.from_batch, num_classes=2),
    ):
        both = [lambda make=make: make(logits, labels, weights).compute()]
        both.append(lambda make=make: make(*arrays).compute())
        np.testing.assert_array_equal(*(jax.jit(value)() for value in both))
    with pytest.raises(ShapeError, match="labels cannot become an array of numbers"):
        metrics.Accuracy.from_batch(logits, [1, [0, 0]])


def test_accuracy_matches_scikit_learn(cases):
    def accuracies(p, y, w):
        direct = metrics.Accuracy.from_batch(p, y, w).compute()
        matrix = metrics.ConfusionMatrix.from_batch(p, y, w, num_classes=CLASSES)
        return direct, matrix.accuracy()

    expected = [
        sklearn_metrics.accuracy_score(y, p, sample_weight=w)
        for p, y, w in zip(*cases, strict=True)
    ]
    for result in jax.jit(jax.vmap(accuracies))(*cases):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k_accuracy_matches_scikit_learn(rng, k):
    logits, labels = rng.normal(size=(50, 9, 7)), rng.integers(0, 7, (50, 9))
    weights = rng.uniform(0, 2, (50, 9))
    metric = partial(metrics.TopKAccuracy.from_batch, k=k)
    result = jax.jit(jax.vmap(lambda x, y, w: metric(x, y, w).compute()))(logits, labels, weights)
    expected = [
        sklearn_metrics.top_k_accuracy_score(y, x, k=k, sample_weight=w, labels=range(7))
        for x, y, w in zip(logits, labels, weights, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_top_1_is_accuracy_with_ties():
    logits, labels = np.zeros((3, 4)), np.array([0, 1, 3])
    makes = (partial(metrics.TopKAccuracy.from_batch, k=1), metrics.Accuracy.from_batch)
    top, plain = (jax.jit(lambda x, y, m=make: m(x, y).compute())(logits, labels) for make in makes)
    assert top == plain
    assert top == pytest.approx(1 / 3)


def test_batches_merge_to_the_whole(cases):
    predictions, labels, _ = cases
    counted = jax.jit(count)
    whole = counted(predictions, labels)
    parts = metrics.ConfusionMatrix.empty(CLASSES)
    for rows in (slice(0, 50), slice(50, 60)):
        parts = parts.merge(counted(predictions[rows], labels[rows]))
    np.testing.assert_array_equal(parts.compute(), whole.compute())
    assert whole.compute().sum() == 360


def test_rows_are_labels():
    matrix = jax.jit(count)(np.array([[0.0, 1.0, 0.0, 0.0]]), np.array([2]))
    expected = np.zeros((CLASSES, CLASSES))
    expected[2, 1] = 1
    np.testing.assert_array_equal(matrix.compute(), expected)


def test_empty_batch():
    none = np.zeros(0, int)

    @jax.jit
    def measure():
        matrix = count(none, none)
        accuracies = matrix.accuracy(), metrics.Accuracy.from_batch(none, none).compute()
        scores = matrix.f1(), matrix.precision("micro"), matrix.recall(zero_division=1.0)
        return matrix.compute(), accuracies, scores

    counts, accuracies, scores = measure()
    np.testing.assert_array_equal(counts, np.zeros((CLASSES, CLASSES)))
    assert np.isnan(accuracies).all()
    assert np.array_equal(scores, [0, 0, 1])


@pytest.mark.parametrize("label", [-1, 3])
def test_label_out_of_range_is_nan_unless_it_is_padding(label):
    predictions, labels = np.array([0, 1]), np.array([0, label])

    @jax.jit
    def counted(weights):
        matrix = metrics.ConfusionMatrix.from_batch(predictions, labels, weights, num_classes=3)
        return matrix.compute(), matrix.f1()

    assert np.isnan(counted(np.array([1.0, 1.0]))[1])
    padded = np.asarray(counted(np.array([1.0, 0.0]))[0])
    assert padded[0, 0] == padded.sum() == 1


def test_unusable_arguments():
    labels = jnp.zeros(4, int)
    for build in (
        metrics.Accuracy.from_batch,
        partial(metrics.ConfusionMatrix.from_batch, num_classes=3),
        partial(metrics.TopKAccuracy.from_batch, k=1),
    ):
        with pytest.raises(ShapeError, match=r"\(4, 1\)"):
            build(jnp.zeros((4, 3)), labels[:, None])
    with pytest.raises(ShapeError, match="float32"):
        metrics.Accuracy.from_batch(jnp.zeros(4), labels)
    with pytest.raises(ShapeError, match="must be integers"):
        metrics.Accuracy.from_batch(jnp.zeros((4, 3)), jnp.zeros(4))
    with pytest.raises(ConfigError, match="k = 4 of 3"):
        metrics.TopKAccuracy.from_batch(jnp.zeros((4, 3)), labels, k=4)
    with pytest.raises(ConfigError, match="'weighted'"):
        metrics.ConfusionMatrix.empty(3).f1("weighted")
