"""Python lists, nested or not, are taken where arrays are; what makes no array is refused."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.errors import DataError, ShapeError

LOGITS, LABELS, BINARY = [[0.1, 2.0], [3.0, 0.2]], [1, 0], [[0, 1], [1, 0]]
SHARES = [[0.25, 0.75], [0.5, 0.5]]
CASES = {
    "cross_entropy": (losses.cross_entropy, LOGITS, LABELS),
    "cross_entropy of probabilities": (losses.cross_entropy, LOGITS, SHARES),
    "cross_entropy without class 1": (
        partial(losses.cross_entropy, ignore_index=1),
        LOGITS,
        LABELS,
    ),
    "weighted cross_entropy": (
        partial(losses.cross_entropy, class_weights=[1.0, 2.0]),
        LOGITS,
        LABELS,
    ),
    "negative_log_likelihood": (losses.negative_log_likelihood, LOGITS, LABELS),
    "focal": (partial(losses.focal, alpha=[0.5, 1.0]), LOGITS, LABELS),
    "binary_cross_entropy_with_logits": (
        partial(losses.binary_cross_entropy_with_logits, pos_weight=[1, 2]),
        LOGITS,
        BINARY,
    ),
    "binary_cross_entropy": (losses.binary_cross_entropy, SHARES, BINARY),
    "binary_focal": (losses.binary_focal, LOGITS, BINARY),
    "squared_error": (losses.squared_error, LOGITS, SHARES),
    "mean_squared_error": (losses.mean_squared_error, LOGITS, BINARY),
    "absolute_error": (losses.absolute_error, LOGITS, SHARES),
    "smooth_l1": (losses.smooth_l1, LOGITS, SHARES),
}


@pytest.mark.parametrize("case", CASES)
def test_lists_are_taken_for_arrays(case):
    loss, predictions, targets = CASES[case]
    arrays = np.array(predictions), np.array(targets)
    expected, of_lists = jax.jit(lambda: (loss(*arrays), loss(predictions, targets)))()
    np.testing.assert_array_equal(of_lists, expected)
    under_jit = jax.jit(lambda x: loss(x, targets))(arrays[0])
    np.testing.assert_allclose(under_jit, expected, rtol=1e-6)


def test_a_list_of_traced_labels():
    found = jax.jit(lambda a, b: losses.cross_entropy(LOGITS, [a, b]))(1, 0)
    np.testing.assert_allclose(found, losses.cross_entropy(LOGITS, LABELS), rtol=1e-6)


def test_a_listed_label_out_of_range_is_seen_even_under_jit():
    for run in (lambda f: f(), lambda f: jax.jit(f)()):
        with pytest.raises(DataError, match=r"label 2 is outside 0\.\.1"):
            run(lambda: losses.cross_entropy(LOGITS, [0, 2]))


@pytest.mark.parametrize("labels", [[1, [0]], ["one", "two"]])
def test_what_makes_no_array_is_refused(labels):
    for loss in (losses.cross_entropy, losses.focal, losses.squared_error):
        with pytest.raises(ShapeError, match="cannot become an array of numbers"):
            loss(LOGITS, labels)
    with pytest.raises(ShapeError, match="losses cannot become an array of numbers"):
        losses.top_k(labels, 1)
