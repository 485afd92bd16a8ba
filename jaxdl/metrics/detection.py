"""Detection metrics: overlap of boxes and masks, average precision, and its mean over classes.

Overlaps use NumPy for NumPy arrays and JAX for others (also under jit). Average precision runs on
the host: every image has its own number of boxes, and compiling for each would cost more than
computing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, DataError, ShapeError


def box_iou(boxes: ArrayLike, others: ArrayLike) -> jax.Array | np.ndarray:
    """Intersection over union of boxes (N, 4) with boxes (M, 4): overlaps (N, M) in [0, 1].

    Boxes are (x1, y1, x2, y2) in continuous coordinates: from 0 to 2 is 2 wide. A box with x2 ≤ x1
    or y2 ≤ y1 is empty and has overlap 0 with everything, itself included. Other shapes raise
    ShapeError.

    Example:
        >>> print(box_iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])))
        [[0.33333333 0.        ]]
    """
    xp = _namespace(boxes, others)
    boxes, others = xp.asarray(boxes), xp.asarray(others)
    # Convert first: unsigned corners of an empty box would wrap around when subtracted.
    boxes, others = (x.astype(xp.promote_types(x.dtype, "float32")) for x in (boxes, others))
    if boxes.shape[1:] != (4,) or others.shape[1:] != (4,):
        raise ShapeError(f"boxes {boxes.shape} and {others.shape} must be (N, 4) and (M, 4)")
    a, b = boxes[:, None, :], others[None, :, :]
    both = xp.concatenate(
        [xp.maximum(a[..., :2], b[..., :2]), xp.minimum(a[..., 2:], b[..., 2:])], axis=-1
    )
    return _over_union(*(_area(box, xp) for box in (both, a, b)), xp, empty=0)


def mask_iou(masks: ArrayLike, others: ArrayLike) -> jax.Array | np.ndarray:
    """Intersection over union of masks (N, ...) with masks (M, ...): overlaps (N, M) in [0, 1].

    Masks are booleans, or numbers that are non-zero inside. Two empty masks have overlap 1; an
    empty and a non-empty one have overlap 0. Different trailing shapes raise ShapeError.

    Example:
        >>> print(mask_iou(np.array([[[1, 1], [0, 0]]]), np.array([[[1, 0], [0, 0]]])))
        [[0.5]]
    """
    xp = _namespace(masks, others)
    masks, others = xp.asarray(masks), xp.asarray(others)
    if masks.ndim < 2 or masks.shape[1:] != others.shape[1:]:
        raise ShapeError(f"masks {masks.shape} and {others.shape} must be (N, ...) and (M, ...)")
    size = math.prod(masks.shape[1:])
    a, b = ((x != 0).reshape(len(x), size).astype("float32") for x in (masks, others))
    return _over_union(a @ b.T, a.sum(1)[:, None], b.sum(1)[None, :], xp, empty=1)


def precision_recall_curve(
    scores: ArrayLike, relevant: ArrayLike, num_relevant: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of a ranking after each distinct score, from the highest down.

    Arguments and errors are those of :func:`average_precision`.

    Returns:
        Precision and recall, each (D,) for D distinct scores; recall is NaN if there is nothing to
        find.

    Example:
        >>> precision, recall = precision_recall_curve([0.9, 0.8, 0.7, 0.7], [1, 0, 1, 0])
        >>> print(precision.round(2), recall)
        [1.  0.5 0.5] [0.5 0.5 1. ]
    """
    hits, precision, total = _ranked(scores, relevant, num_relevant)
    return precision, hits / total if total else np.full(hits.shape, np.nan)


def average_precision(
    scores: ArrayLike,
    relevant: ArrayLike,
    num_relevant: int | None = None,
    *,
    interpolation: str = "all",
) -> float:
    """Area under the precision-recall curve of a ranking.

    Precision and recall are taken after each distinct score, so the order of equal scores does not
    matter.

    Args:
        scores: (N,), larger is more confident.
        relevant: (N,) booleans, whether the item is correct.
        num_relevant: number of items to find, including those never ranked; by default the relevant
            ones among the N.
        interpolation: "all": the precision at a recall is the largest at that or a higher recall,
            and every step of recall counts (PASCAL VOC from 2010); "11": the mean of that at
            recalls 0, 0.1, ..., 1 (VOC 2007); "none": each step with its own precision
            (scikit-learn's average_precision_score).

    Returns:
        A number in [0, 1]; NaN if there is nothing to find.

    Raises:
        ShapeError: the arrays are not vectors of one length.
        DataError: a score is NaN, or more items are relevant than exist.
        ConfigError: the interpolation is unknown.

    Example:
        >>> round(average_precision([0.9, 0.8, 0.7], [True, False, True]), 4)
        0.8333

    References:
        Everingham et al., The PASCAL Visual Object Classes Challenge: a Retrospective, 2015.
    """
    if interpolation not in ("all", "11", "none"):
        raise ConfigError(f"interpolation {interpolation!r} is unknown: use 'all', '11' or 'none'")
    hits, precision, total = _ranked(scores, relevant, num_relevant)
    if total == 0:
        return float("nan")
    if interpolation != "none":
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "11":
        # Integers: 3 hits of 10 reach recall 0.3, but in floats 3 · 0.1 is above 3 / 10.
        first = np.searchsorted(10 * hits, np.arange(11) * total)
        return float(np.append(precision, 0)[first].mean())
    return float((np.diff(hits, prepend=0) * precision).sum() / total)


def match_detections(iou: ArrayLike, scores: ArrayLike, threshold: float) -> np.ndarray:
    """Decides greedily, in order of falling score, which detections (N,) of an image are correct.

    A detection takes the free truth of largest overlap, if that reaches the threshold (COCO's rule;
    VOC takes the largest of all, and a detection whose truth is taken is wrong). Ties go to the
    first.

    Args:
        iou: overlaps (N, M) of N detections with M truths of the same class.
        scores: (N,).
        threshold: smallest overlap that counts, in (0, 1].

    Raises:
        ShapeError: iou is not (N, M) for N scores.
        ConfigError: the threshold is not in (0, 1].
        DataError: an overlap or a score is NaN.

    Example:
        >>> iou = [[0.9, 0.6], [0.8, 0.1]]  # both want the first truth
        >>> print(match_detections(iou, [0.5, 0.7], threshold=0.5))
        [ True  True]
    """
    iou, scores = np.array(iou, float), np.asarray(scores)
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold = {threshold} must be in (0, 1]: it is an overlap")
    if iou.ndim != 2 or scores.shape != iou.shape[:1]:
        raise ShapeError(f"iou {iou.shape} must be (N, M) for scores {scores.shape} (N,)")
    if np.isnan(iou).any() or np.isnan(scores).any():
        raise DataError("an overlap or a score is NaN: check the boxes and the model's output")
    hits = np.zeros(len(scores), bool)
    if iou.shape[1] == 0:
        return hits
    for detection in np.argsort(-scores, kind="stable"):
        truth = iou[detection].argmax()
        if iou[detection, truth] >= threshold:
            hits[detection] = True
            iou[:, truth] = -1
    return hits


@dataclass(frozen=True)
class MeanAveragePrecision:
    """Mean average precision over classes and overlap thresholds, accumulated image by image.

    Detections and truths are matched within an image and a class; the ranking covers all images. A
    class without truths has no average precision and is left out of the mean.

    Attributes:
        thresholds: (T,) overlaps from which a detection is correct.
        scores: (N,) of all detections so far.
        classes: (N,) of all detections so far.
        hits: (T, N) whether correct at each threshold.
        truths: (C,) number of truths per class.

    Example:
        >>> iou = np.array([[0.8, 0.0], [0.0, 0.3]])
        >>> metric = MeanAveragePrecision.from_image(
        ...     iou, scores=[0.9, 0.6], classes=[0, 1], truth_classes=[0, 1], num_classes=3
        ... )
        >>> metric.per_class()
        array([[ 1.,  0., nan]])
        >>> metric.compute()
        0.5

    References:
        Everingham et al., 2015; Lin et al., Microsoft COCO: Common Objects in Context, 2014
        (thresholds 0.5, 0.55, ..., 0.95; its 101 recalls are not used here).
    """

    thresholds: tuple[float, ...]
    scores: np.ndarray
    classes: np.ndarray
    hits: np.ndarray
    truths: np.ndarray

    @classmethod
    def from_image(
        cls,
        iou: ArrayLike,
        scores: ArrayLike,
        classes: ArrayLike,
        truth_classes: ArrayLike,
        *,
        num_classes: int,
        thresholds: Sequence[float] = (0.5,),
    ) -> Self:
        """Matches the detections of one image.

        Args:
            iou: overlaps (N, M) of N detections with M truths, from :func:`box_iou` or
                :func:`mask_iou`.
            scores: (N,) confidences.
            classes: (N,) predicted classes, 0..C-1.
            truth_classes: (M,), 0..C-1.
            num_classes: C.
            thresholds: overlaps in (0, 1] to average over.

        Raises:
            ShapeError: the shapes do not fit.
            DataError: a class is out of range, or an overlap or a score is NaN.
            ConfigError: a threshold is not in (0, 1].
        """
        iou, scores = np.asarray(iou, float), np.asarray(scores, float)
        classes, truth_classes = np.asarray(classes, int), np.asarray(truth_classes, int)
        if iou.shape != classes.shape + truth_classes.shape or scores.shape != classes.shape:
            raise ShapeError(
                f"iou {iou.shape} must be (N, M) for scores {scores.shape}, classes "
                f"{classes.shape} and truth_classes {truth_classes.shape}"
            )
        for label in (*classes, *truth_classes):
            if not 0 <= label < num_classes:
                raise DataError(f"class {label} is outside 0..{num_classes - 1}: check the data")
        # Truths of other classes cannot match.
        iou = np.where(classes[:, None] == truth_classes[None, :], iou, -1)
        hits = [match_detections(iou, scores, threshold) for threshold in thresholds]
        return cls(
            thresholds=tuple(thresholds),
            scores=scores,
            classes=classes,
            hits=np.array(hits),
            truths=np.bincount(truth_classes, minlength=num_classes),
        )

    def merge(self, other: Self) -> Self:
        """Returns the metric of both sets of images; ShapeError if they do not fit."""
        if (self.thresholds, self.truths.shape) != (other.thresholds, other.truths.shape):
            raise ShapeError(
                f"thresholds {self.thresholds}, {other.thresholds} and numbers of classes "
                f"{self.truths.size}, {other.truths.size} must agree to merge"
            )
        return type(self)(
            thresholds=self.thresholds,
            scores=np.concatenate([self.scores, other.scores]),
            classes=np.concatenate([self.classes, other.classes]),
            hits=np.concatenate([self.hits, other.hits], axis=1),
            truths=self.truths + other.truths,
        )

    def per_class(self, *, interpolation: str = "all") -> np.ndarray:
        """Returns the average precisions (T, C), NaN for a class without truths."""
        out = np.empty((len(self.thresholds), self.truths.size))
        for label, total in enumerate(self.truths):
            mine = self.classes == label
            for row, hits in enumerate(self.hits):
                out[row, label] = average_precision(
                    self.scores[mine], hits[mine], int(total), interpolation=interpolation
                )
        return out

    def compute(self, *, interpolation: str = "all") -> float:
        """Returns the mean over thresholds and over classes with truths; NaN if there are none."""
        values = self.per_class(interpolation=interpolation)[:, self.truths > 0]
        return float(values.mean()) if values.size else float("nan")


def _namespace(*arrays: ArrayLike) -> ModuleType:
    return np if all(isinstance(array, np.ndarray) for array in arrays) else jnp


def _area(boxes: jax.Array, xp: ModuleType) -> jax.Array:
    return xp.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)


def _over_union(
    both: jax.Array, first: jax.Array, second: jax.Array, xp: ModuleType, empty: float
) -> jax.Array:
    union = first + second - both
    return xp.where(union == 0, empty, both / xp.where(union == 0, 1, union))


def _ranked(
    scores: ArrayLike, relevant: ArrayLike, num_relevant: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Items found and precision after each distinct score (D,), and the number to find."""
    scores, relevant = np.asarray(scores, float), np.asarray(relevant, bool)
    found = int(relevant.sum())
    total = found if num_relevant is None else num_relevant
    _check_ranking(scores, relevant, found, total)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.append(ranked[:-1] != ranked[1:], True)[: len(ranked)]  # last item of each score
    hits = relevant[order].cumsum()[last]
    return hits, hits / (1 + np.flatnonzero(last)), total


def _check_ranking(scores: np.ndarray, relevant: np.ndarray, found: int, total: int) -> None:
    if scores.ndim != 1 or scores.shape != relevant.shape:
        raise ShapeError(f"scores {scores.shape} and relevant {relevant.shape} must both be (N,)")
    if np.isnan(scores).any():
        raise DataError("a score is NaN and cannot be ranked: check the model")
    if found > total:
        raise DataError(f"{found} items are relevant, but num_relevant = {total}")
