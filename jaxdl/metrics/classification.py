"""Classification metrics: accuracy, top-k accuracy, and what a confusion matrix tells."""

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

    Example:
        >>> logits = jnp.array([[0.1, 2.0], [3.0, 0.2], [0.0, 1.0]])
        >>> print(f"{Accuracy.from_batch(logits, jnp.array([1, 0, 0])).compute():.4f}")
        0.6667
    """

    @classmethod
    def from_batch(
        cls, predictions: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
    ) -> Self:
        """Accumulates a batch.

        Args:
            predictions: logits or probabilities (..., C), of which the first largest counts, or
                integer classes (...).
            labels: integers of shape (...); one that no prediction can equal counts as wrong.
            weights: sample weights (...), 0 for padding; 1 each by default.

        Raises:
            ShapeError: if the shapes do not belong together.
        """
        labels = as_array(labels, "labels")
        return cls.accumulate(_predicted_classes(predictions, labels) == labels, weights)


@struct.dataclass
class TopKAccuracy(WeightedSum):
    """Share of samples whose label is among the k largest logits.

    Of equal logits the lower class comes first, as in argmax.

    Example:
        >>> logits = jnp.array([[0.1, 2.0, 1.0], [3.0, 0.2, 0.1]])
        >>> print(TopKAccuracy.from_batch(logits, jnp.array([2, 2]), k=2).compute())
        0.5
    """

    @classmethod
    def from_batch(
        cls, logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None, *, k: int = 5
    ) -> Self:
        """Accumulates a batch.

        Args:
            logits: logits or probabilities (..., C).
            labels: integers of shape (...).
            weights: sample weights (...), 0 for padding; 1 each by default.
            k: 1 to C, a Python int.

        Raises:
            ShapeError: if the shapes do not belong together.
            ConfigError: if k is not in 1..C.
        """
        logits, labels = as_array(logits, "logits"), as_array(labels, "labels")
        if logits.shape[:-1] != labels.shape or logits.ndim == 0:
            raise ShapeError(f"logits {logits.shape} and labels {labels.shape} do not fit")
        if not 1 <= k <= logits.shape[-1]:
            raise ConfigError(f"k = {k} of {logits.shape[-1]} classes: k must be 1 to that number")
        best = lax.top_k(logits, k)[1]
        return cls.accumulate((best == labels[..., None]).any(-1), weights)


@struct.dataclass
class ConfusionMatrix(Metric):
    """Counts of (label, predicted class), and precision, recall and F1 from them.

    The last three take ``average`` and return a scalar, or (C,) with None: "macro" (mean over all
    C classes, absent ones too), "micro" (over all samples; with one label a sample all three are
    the accuracy) or None (each class). A quotient 0/0 (a class never predicted, never a label, or
    neither) is ``zero_division``, and NaN leaves the class out of the macro average, as in
    scikit-learn given ``labels=range(C)``.

    Attributes:
        counts: (C, C), the label's row, the prediction's column; sums of weights.

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
        """Returns the matrix of no sample."""
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

        Args:
            predictions: logits or probabilities (..., C), or integer classes (...).
            labels: integers 0..C-1 of shape (...).
            weights: sample weights (...), 0 for padding; 1 each by default.
            num_classes: C.

        Returns:
            The matrix; a label or class out of range, unless its weight is 0, makes an entry NaN.

        Raises:
            ShapeError: if the shapes do not belong together.
        """
        labels = as_array(labels, "labels")
        predictions = _predicted_classes(predictions, labels)
        pairs = jnp.stack([labels, predictions]).astype(jnp.int32)
        known = ((pairs >= 0) & (pairs < num_classes)).all(0)
        # Of weight 0 the entry is 0, known or not; then the weight scales 1 or NaN.
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
        """Returns the share of right ones among the samples predicted as a class: tp/(tp + fp).

        The arguments are those of the class; ConfigError if the average is unknown.
        """
        return _averaged(self._hits(), self.counts.sum(0), average, zero_division)

    def recall(self, average: str | None = "macro", *, zero_division: float = 0.0) -> jax.Array:
        """Returns the share of right ones among the samples of a class: tp/(tp + fn).

        The arguments are those of the class; ConfigError if the average is unknown.
        """
        return _averaged(self._hits(), self.counts.sum(1), average, zero_division)

    def f1(self, average: str | None = "macro", *, zero_division: float = 0.0) -> jax.Array:
        """Returns the harmonic mean of precision and recall, 2·tp/(2·tp + fp + fn).

        Macro is the mean of the classes' F1, not the F1 of the means.

        The arguments are those of the class; ConfigError if the average is unknown.
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
    # Only 0/0 is left out, not what is NaN because a label was out of range.
    left_out = (totals == 0) & jnp.isnan(zero_division)
    return quotients.mean(where=~left_out)
