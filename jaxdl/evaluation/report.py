"""All scores of generated images, each beside what real images reach."""

from typing import NamedTuple

import jax
import numpy as np

from jaxdl.errors import DataError, ShapeError
from jaxdl.evaluation.copies import nearness
from jaxdl.evaluation.judge import Judge
from jaxdl.evaluation.pixels import RARE, alike_distance, distinct_images
from jaxdl.evaluation.references import Part, References, halves, look_at_images, pick
from jaxdl.evaluation.scores import (
    check_count,
    class_accuracy,
    class_scores,
    class_shares,
    make_reference,
    scores_against,
)
from jaxdl.metrics import generative

MOST_LIKELIHOOD = 2500  # images whose likelihoods are computed
COMPARED = 2000  # images whose nearest training images are looked for
SHOWN = 20  # images whose nearest training images are named

Scores = dict[str, float]


class Evaluation(NamedTuple):
    """What is found about generated images.

    Attributes:
        scores: by name; those against the training images end in ``_train``. Without a judge, the
            ones from pixels only.
        floors: what real images reach, by the same names.
        class_shares: share of each class among the judge's answers, (C,); empty without a judge.
        real_class_shares: likewise of the test images.
        nearest: index of the training image that looks most like each of the first 20 images.
        counts: number of images behind each column: ``samples``, ``floor`` and ``floor_train``.
    """

    scores: Scores
    floors: Scores
    class_shares: np.ndarray
    real_class_shares: np.ndarray
    nearest: np.ndarray
    counts: dict[str, int]


def evaluate_images(
    images: np.ndarray,
    references: References,
    judge: Judge | None,
    seed: int = 0,
    labels: np.ndarray | None = None,
) -> Evaluation:
    """Scores images against a data set, and real images likewise.

    The floor of a score against the test images comes from as many training images, that of a score
    against the training images from as many test images, or from all if there are fewer.

    Args:
        images: uint8 (N, H, W, C), more of them than the judge has features.
        references: the data set, seen by the same judge at the same size.
        judge: the judge; None for images that no judge knows.
        seed: of random subsets.
        labels: the classes (N,) that were asked for, for one more score by the judge.

    Raises:
        ShapeError: there are too few images, or they have another number of channels.
        JudgeError: the references were seen by another judge.
    """
    if judge is not None:
        check_count(len(images), judge)
    elif len(images) < 2:
        raise DataError("one image is too few: scores compare distributions")
    samples = look_at_images(images, judge, references.basis)
    train, test = references.train, references.test
    real_train, real_test = train.some(samples.count), test.some(samples.count)
    scores, floors = pixel_scores(images, samples, references, seed)
    no_shares = np.zeros(0)
    if judge is not None:
        found = judged_scores(samples, references, (real_train, real_test), seed)
        scores, floors = (one | other for one, other in zip(found, (scores, floors), strict=True))
        if labels is not None:
            scores["class_accuracy"] = class_accuracy(samples.seen, labels)
            floors["class_accuracy"] = judge.record.get("test_accuracy", np.nan)
    nearest = generative.nearest_neighbors(samples.looks.codes[:SHOWN], train.looks.codes)
    return Evaluation(
        scores,
        floors,
        class_shares(samples.seen) if judge else no_shares,
        class_shares(test.seen) if judge else no_shares,
        nearest.indices[:, 0],
        {"samples": samples.count, "floor": real_train.count, "floor_train": real_test.count},
    )


def judged_scores(
    samples: Part, references: References, real: tuple[Part, Part], seed: int
) -> tuple[Scores, Scores]:
    """Scores by the judge: of the samples, and of as many real training and test images."""
    of_test = make_reference(references.test.seen)
    of_train = make_reference(references.train.seen)
    real_shares = class_shares(references.test.seen)

    def all_scores(one: Part, other: Part) -> Scores:
        on_train = scores_against(other.seen, of_train, seed)
        return (
            scores_against(one.seen, of_test, seed)
            | {f"{name}_train": value for name, value in on_train.items()}
            | class_scores(other.seen, real_shares)
        )

    found = all_scores(samples, samples), all_scores(*real)
    likelihood = likelihood_scores(samples, references, seed)
    copying = copying_scores(samples, references, seed)
    return tuple(a | b | c for a, b, c in zip(found, likelihood, copying, strict=True))


def likelihood_scores(samples: Part, references: References, seed: int) -> tuple[Scores, Scores]:
    """Feature likelihood divergence and generalisation gap: of the samples, of real images.

    The real ones are half of the training images taken, fitted to the other half, so that their
    ``fld`` is 0. At most 2,500 images of each kind are taken: the cost grows with their product.
    """
    key, size = jax.random.key(seed), min(MOST_LIKELIHOOD, references.train.count // 2)
    test = references.test.some(MOST_LIKELIHOOD).seen.features
    train, more = halves(references.train.some(2 * size).seen.features)
    size = min(size, samples.count)
    divergence = generative.feature_likelihood_divergence
    real = divergence(more[:size], test, train, key, baseline=0.0)
    own = samples.some(size).seen.features
    found = divergence(own, test, train, key, baseline=real.test_nll)
    return {"fld": found.score, "fld_gap": found.gap}, {"fld": 0.0, "fld_gap": real.gap}


def copying_scores(samples: Part, references: References, seed: int) -> tuple[Scores, Scores]:
    """C_T and the share of authentic images, in the judge's features: of samples, of real images.

    The real ones are half of the test images taken, with the other half as the test.
    """
    train = references.train.seen.features
    real, test = halves(references.test.some(2 * COMPARED).seen.features)
    key = jax.random.key(seed)

    def scores(features: np.ndarray) -> Scores:
        try:
            c_t = generative.data_copying(features, test, train, key)
        except ShapeError:  # too few test images for its clusters
            c_t = np.nan
        return {"c_t": c_t, "authentic": generative.authenticity(features, train)}

    own = samples.some(COMPARED).seen.features
    return scores(own), scores(real)


def pixel_scores(
    images: np.ndarray, samples: Part, references: References, seed: int
) -> tuple[Scores, Scores]:
    """What the pixels tell of the samples, and of the test images.

    Returns:
        ``swd``, the sliced Wasserstein distance to the test images; ``copied``, the share of images
        that one training image resembles far more than any other: by one of the distances of
        :func:`~jaxdl.evaluation.copies.nearness`, more than in all but 1% of the test images;
        ``distinct``, how many images there are in effect: the reciprocal of the probability that
        two are alike, nearer than 99% of the test images' nearest neighbours and than half of the
        median (inf if none of 2,000 are); ``detail``, the mean square difference between
        neighbouring pixels, relative to the test images'.
    """
    few, real = samples.some(COMPARED), references.test.some(COMPARED)
    ratios, real_ratios = (nearness(part, references.train) for part in (few, real))
    bounds = [np.quantile(one, RARE) for one in real_ratios]
    alike = alike_distance(real.looks.codes)
    detail = references.test.looks.detail.mean()
    count = min(len(images), len(references.train_images), len(references.test_images))

    def scores(part: Part, found: list[np.ndarray], pictures: np.ndarray) -> Scores:
        copied = np.any([one < bound for one, bound in zip(found, bounds, strict=True)], axis=0)
        key, others = jax.random.key(seed), references.test_images[:count]
        return {
            "swd": generative.sliced_wasserstein(pictures, others, key).mean,
            "copied": float(copied.mean()),
            "distinct": distinct_images(part.looks.codes, alike),
            "detail": float(part.looks.detail.mean() / detail),
        }

    return (
        scores(few, ratios, images[pick(len(images), count)]),
        scores(real, real_ratios, references.train_images[:count]),
    )
