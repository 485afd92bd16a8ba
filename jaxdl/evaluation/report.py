"""All scores of generated images, each beside what real images reach."""

from typing import NamedTuple

import jax
import numpy as np

from jaxdl.evaluation.judge import Judge
from jaxdl.evaluation.pixels import alike_pairs
from jaxdl.evaluation.references import Part, References, look_at_images
from jaxdl.evaluation.scores import (
    check_count,
    class_scores,
    class_shares,
    make_reference,
    scores_against,
)
from jaxdl.metrics import generative

MOST_LIKELIHOOD = 2500  # images whose likelihoods are computed
COMPARED = 2000  # images whose nearest training images are looked for
RARE = 0.01  # share of real images that count as copies, or as alike
TINY = 1e-6  # distance below which images are equal
SHOWN = 20  # images whose nearest training images are named


class Evaluation(NamedTuple):
    """What is found about generated images.

    Attributes:
        scores: by name; those against the training images end in ``_train``.
        floors: what real images reach, by the same names.
        class_shares: share of each class among the judge's answers, (C,).
        real_class_shares: likewise of the test images.
        nearest: index of the training image that looks most like each of the first 20 images.
        counts: number of images behind each column: ``samples``, ``floor`` and ``floor_train``.
    """

    scores: dict[str, float]
    floors: dict[str, float]
    class_shares: np.ndarray
    real_class_shares: np.ndarray
    nearest: np.ndarray
    counts: dict[str, int]


def evaluate_images(
    images: np.ndarray, references: References, judge: Judge, seed: int = 0
) -> Evaluation:
    """Scores images against a data set, and real images likewise.

    The floor of a score against the test images comes from as many training images, that of a score
    against the training images from as many test images, or from all if there are fewer.

    Args:
        images: uint8 (N, H, W, C), more of them than the judge has features.
        references: the data set, seen by the same judge at the same size.
        judge: the judge.
        seed: of random subsets.

    Raises:
        ShapeError: there are too few images, or they have another number of channels.
        JudgeError: the references were seen by another judge.
    """
    check_count(len(images), judge)
    samples = look_at_images(images, judge, references.basis)
    train, test = references.train, references.test
    real_train, real_test = train.some(samples.count), test.some(samples.count)
    of_test, of_train = make_reference(test.seen), make_reference(train.seen)

    def against_both(one: Part, other: Part) -> dict[str, float]:
        on_train = scores_against(other.seen, of_train, seed)
        return scores_against(one.seen, of_test, seed) | {
            f"{name}_train": value for name, value in on_train.items()
        }

    bounds = Bounds.of(real_test, references)
    likelihood, likelihood_floor = likelihood_scores(samples, references, seed)
    return Evaluation(
        scores=against_both(samples, samples)
        | likelihood
        | own_scores(samples, references, bounds),
        floors=against_both(real_train, real_test)
        | likelihood_floor
        | own_scores(real_test, references, bounds),
        class_shares=class_shares(samples.seen),
        real_class_shares=class_shares(test.seen),
        nearest=generative.nearest_neighbors(
            samples.looks.codes[:SHOWN], train.looks.codes
        ).indices[:, 0],
        counts={
            "samples": samples.count,
            "floor": real_train.count,
            "floor_train": real_test.count,
        },
    )


class Bounds(NamedTuple):
    """Below these, only one real image in a hundred lies.

    Attributes:
        pixel_nearness: distance to the nearest training image, divided by that to the second.
        feature_nearness: likewise in the judge's features.
        twin_distance: between two images that count as alike.
    """

    pixel_nearness: float
    feature_nearness: float
    twin_distance: float

    @classmethod
    def of(cls, real: Part, references: References) -> "Bounds":
        """Of real images that are not in the training part."""
        few = real.some(COMPARED)
        pixels, features = nearness(few, references.train)
        own = generative.nearest_neighbors(few.looks.codes, few.looks.codes, 2).distances[:, 1]
        return cls(
            float(np.quantile(pixels, RARE)),
            float(np.quantile(features, RARE)),
            float(np.quantile(own, RARE)),
        )


def likelihood_scores(
    samples: Part, references: References, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Feature likelihood divergence and generalisation gap: of the samples, of real images.

    The real ones are half of the training images taken, fitted to the other half, so that their
    ``fld`` is 0. At most 2,500 images of each kind are taken: the cost grows with their product.
    """
    key, size = jax.random.key(seed), min(MOST_LIKELIHOOD, references.train.count // 2)
    test = references.test.some(MOST_LIKELIHOOD).seen.features
    train = references.train.some(2 * size).seen.features
    size = min(size, samples.count)
    divergence = generative.feature_likelihood_divergence
    real = divergence(train[0::2][:size], test, train[1::2], key, baseline=0.0)
    own = samples.some(size).seen.features
    found = divergence(own, test, train[1::2], key, baseline=real.test_nll)
    return {"fld": found.score, "fld_gap": found.gap}, {"fld": 0.0, "fld_gap": real.gap}


def own_scores(part: Part, references: References, bounds: Bounds) -> dict[str, float]:
    """What is said of images without comparing distributions.

    Returns:
        ``sure`` and ``class_entropy``; ``copied``, the share of images that one training image
        resembles far more than any other; ``distinct``, how many images there are in effect: the
        reciprocal of the probability that two are alike (inf if none of 2,000 are); ``detail``, the
        mean square difference between neighbouring pixels, relative to the test images'.
    """
    few = part.some(COMPARED)
    pixels, features = nearness(few, references.train)
    copied = (pixels < bounds.pixel_nearness) | (features < bounds.feature_nearness)
    alike = alike_pairs(few.looks.codes, bounds.twin_distance)
    return {
        **class_scores(part.seen),
        "copied": float(copied.mean()),
        "distinct": 1 / alike if alike else np.inf,
        "detail": float(part.looks.detail.mean() / references.test.looks.detail.mean()),
    }


def nearness(part: Part, train: Part) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest training image divided by that to the second: in pixels, features.

    For a new image both are about as far, at whatever distance. The original of a copy is nearer
    than all others, also if the copy is noisy.
    """
    pairs = ((part.looks.codes, train.looks.codes), (part.seen.features, train.seen.features))
    found = (generative.nearest_neighbors(*pair, 2).distances.T for pair in pairs)
    pixels, features = (first / np.maximum(second, TINY) for first, second in found)
    return pixels, features
