"""Classification metrics: accuracy, top-k accuracy, and the confusion matrix.

Predictions are logits or probabilities (..., C), of which the first largest counts, or integer
classes (...); labels are integers (...).
"""

from typing import Self

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.losses.reduction import as_array
from jaxdl.metrics.accumulation import Metric, WeightedSum, weighted


@struct.dataclass
class Accuracy(WeightedSum):
    """Share of samples whose predicted class is the label.

    A label that no prediction can equal counts as wrong.

    Example:
        >>> logits = jnp.array([[0.1, 2.0], [3.0, 0.2], [0.0, 1.0]])
        >>> print(f"{Accuracy.from_batch(logits, jnp.array([1, 0, 0])).compute():.4f}")
        0.6667
    """

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
    ) -> Self:
        """Accumulates a batch."""
        labels = as_array(labels, "labels")
        return cls.accumulate(_predicted_classes(predictions, labels) == labels, weights)


@struct.dataclass
class TopKAccuracy(WeightedSum):
    """Share of samples whose label is among the k largest logits.

    Among equal logits the lower class comes first, as in argmax.

    Example:
        >>> logits = jnp.array([[0.1, 2.0, 1.0], [3.0, 0.2, 0.1]])
        >>> print(TopKAccuracy.from_batch(logits, jnp.array([2, 2]), k=2).compute())
        0.5
    """

    @classmethod
    def from_batch(
        cls, logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, *, k: int = 5
    ) -> Self:
        """Accumulates a batch of logits; ConfigError if k, a Python int, is not in 1..C."""
        logits, labels = as_array(logits, "logits"), as_array(labels, "labels")
        if logits.shape[:-1] != labels.shape or logits.ndim == 0:
            raise ShapeError(f"logits {logits.shape} and labels {labels.shape} do not fit")
        if not 1 <= k <= logits.shape[-1]:
            raise ConfigError(f"k = {k} of {logits.shape[-1]} classes: k must be 1 to that number")
        best = lax.top_k(logits, k)[1]
        return cls.accumulate((best == labels[..., None]).any(-1), weights)


@struct.dataclass
class ConfusionMatrix(Metric):
    """Counts of (label, predicted class), with precision, recall and F1.

    These three take ``average``: "macro" (mean over all C classes, absent ones included), "micro"
    (over all samples; with one label per sample all three equal the accuracy), or None (per class,
    shape (C,)). ``zero_division`` replaces 0/0, which occurs for a class never predicted, never a
    label, or neither; NaN leaves the class out of the macro average, like scikit-learn with
    ``labels=range(C)``.

    Attributes:
        counts: (C, C), rows are labels, columns predictions; sums of weights.

    Example:
        >>> labels, predictions = jnp.array([0, 0, 1, 2]), jnp.array([0, 1, 1, 1])
        >>> matrix = ConfusionMatrix.from_batch(predictions, labels, num_classes=3)
        >>> print(matrix.compute())
        [[1. 1. 0.]
         [0. 1. 0.]
         [0. 1. 0.]]
        >>> print(matrix.recall(average=None), f"{matrix.f1():.4f}")
        [0.5 1.  0. ] 0.3889
    """

    counts: jax.Array

    @classmethod
    def empty(cls, num_classes: int) -> Self:
        """Returns the matrix of no samples."""
        return cls(jnp.zeros((num_classes, num_classes)))

    @classmethod
    def from_batch(
        cls,
        predictions: ArrayLike,
        labels: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        num_classes: int,
    ) -> Self:
        """Accumulates a batch.

        A label or class outside 0..C-1, unless its weight is 0, makes an entry NaN.
        """
        labels = as_array(labels, "labels")
        predictions = _predicted_classes(predictions, labels)
        pairs = jnp.stack([labels, predictions]).astype(jnp.int32)
        known = ((pairs >= 0) & (pairs < num_classes)).all(0)
        # Weight 0 makes the entry 0, known or not; any other weight scales 1 or NaN.
        values, weights = weighted(jnp.where(known, 1.0, jnp.nan), weights)
        rows, columns = jnp.where(known, pairs, 0).reshape(2, -1)
        return cls(cls.empty(num_classes).counts.at[rows, columns].add((values * weights).ravel()))

    def compute(self) -> jax.Array:
        """Returns the counts (C, C)."""
        return self.counts

    def accuracy(self) -> jax.Array:
        """Returns the share on the diagonal, NaN without samples."""
        return jnp.trace(self.counts) / self.counts.sum()

    def precision(self, average: str | None = "macro", *, zero_division: float = 0.0) -> jax.Array:
        """Returns tp/(tp + fp): how many samples predicted as a class belong to it."""
        return _averaged(self._hits(), self.counts.sum(0), average, zero_division)

    def recall(self, average: str | None = "macro", *, zero_division: float = 0.0) -> jax.Array:
        """Returns tp/(tp + fn): how many samples of a class are predicted as it."""
        return _averaged(self._hits(), self.counts.sum(1), average, zero_division)

    def f1(self, average: str | None = "macro", *, zero_division: float = 0.0) -> jax.Array:
        """Returns the harmonic mean of precision and recall, 2·tp/(2·tp + fp + fn).

        Macro is the mean of the classes' F1, not the F1 of the means.
        """
        both = self.counts.sum(0) + self.counts.sum(1)
        return _averaged(2 * self._hits(), both, average, zero_division)

    def _hits(self) -> jax.Array:
        return jnp.diagonal(self.counts)


def _predicted_classes(predictions: ArrayLike, labels: jax.Array) -> jax.Array:
    predictions = as_array(predictions, "predictions")
    integers = jnp.issubdtype(predictions.dtype, jnp.integer)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ShapeError(f"labels must be integers, got {labels.dtype}: use astype('int32')")
    if integers and predictions.shape == labels.shape:
        return predictions
    if not integers and predictions.ndim > 0 and predictions.shape[:-1] == labels.shape:
        return predictions.argmax(-1)
    raise ShapeError(
        f"predictions {predictions.dtype}{predictions.shape} and labels {labels.shape} do not "
        f"fit: floating logits of shape (*{labels.shape}, C) or integers of the labels' shape"
    )


def _averaged(
    hits: jax.Array, totals: jax.Array, average: str | None, zero_division: float
) -> jax.Array:
    if average not in ("macro", "micro", None):
        raise ConfigError(f"average {average!r} is unknown: use 'macro', 'micro' or None")
    if average == "micro":
        hits, totals = hits.sum(), totals.sum()
    quotients = jnp.where(totals == 0, zero_division, hits / jnp.where(totals == 0, 1, totals))
    if average != "macro":
        return quotients
    # Leave out 0/0 only, not NaN from labels out of range.
    left_out = (totals == 0) & jnp.isnan(zero_division)
    return quotients.mean(where=~left_out)
