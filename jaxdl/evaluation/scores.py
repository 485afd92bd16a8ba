"""Scores of generated images, each beside the score that real images reach."""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import softmax

from jaxdl.errors import ShapeError
from jaxdl.evaluation.judge import Judge, Seen, check_same_judge
from jaxdl.evaluation.pixels import alike_distance, distinct_images
from jaxdl.evaluation.references import pick
from jaxdl.metrics import generative

KID_SUBSETS, KID_SIZE = 100, 1000
QUICK_KID_SUBSETS = 10


class Reference(NamedTuple):
    """What a judge saw in real images, prepared for comparisons.

    Attributes:
        seen: features and class scores of the real images.
        statistics: of all features, for the Fréchet distance.
    """

    seen: Seen
    statistics: generative.FeatureStatistics


def make_reference(seen: Seen) -> Reference:
    """Prepares real images that a judge saw, once, for any number of comparisons.

    Raises:
        ShapeError: there are no more images than features.
    """
    _check_count(*seen.features.shape)
    return Reference(seen, generative.feature_statistics(seen.features))


def quick_scores(samples: Seen, reference: Reference, seed: int = 0) -> dict[str, float]:
    """A few scores of generated images, in a fraction of a second for 2,000 of them.

    They depend on the number of samples: compare values of equal numbers only.

    Args:
        samples: what the judge saw in the generated images; more of them than features.
        reference: the same judge's view of real images, usually the test images.
        seed: of the subsets that the kernel distance draws.

    Returns:
        ``fid`` and ``kid``, distances (the smaller the better); ``precision``, the share of samples
        that look real, and ``recall``, the share of real images that samples resemble; ``sure``,
        the share of samples whose class the judge gives more than 90%; ``class_entropy`` of the
        predicted classes in nats, at most the logarithm of their number.

    Raises:
        JudgeError: samples and reference were seen by different judges.
        ShapeError: there are no more samples than features.
    """
    found = scores_against(samples, reference, seed, QUICK_KID_SUBSETS)
    names = ("fid", "kid", "precision", "recall")
    classes = class_scores(samples)
    del classes["class_chi_square"]
    return {name: found[name] for name in names} | classes


def scores_against(
    samples: Seen, reference: Reference, seed: int = 0, kid_subsets: int = KID_SUBSETS
) -> dict[str, float]:
    """Fréchet and kernel distance, precision, recall, density and coverage.

    The last four compare with as many real images as there are samples; the other
    arguments and the errors are those of :func:`quick_scores`.
    """
    check_same_judge(samples, reference.seen)
    _check_count(*samples.features.shape)
    real = reference.seen.features
    kid = generative.kernel_distance(
        samples.features,
        real,
        jax.random.key(seed),
        subsets=kid_subsets,
        subset_size=min(KID_SIZE, len(samples.features), len(real)),
    )
    some = real[pick(len(real), len(samples.features))]
    return {
        "fid": generative.frechet_distance(
            generative.feature_statistics(samples.features), reference.statistics
        ),
        "kid": kid.mean,
        "kid_sd": kid.sd,
        **generative.prdc(samples.features, some)._asdict(),
    }


def class_scores(seen: Seen, real_shares: np.ndarray | None = None) -> dict[str, float]:
    """Share of images the judge is sure of, entropy of their classes in nats, and chi-square.

    ``real_shares`` (C,) of the classes among real images are what chi-square expects; None for
    equal ones. A class without real images counts as one in a million.
    """
    shares = None if real_shares is None else np.maximum(real_shares, 1e-6)
    found = generative.class_histogram(softmax(seen.logits, axis=-1), shares)
    return {
        "sure": found.sure,
        "class_entropy": found.entropy,
        "class_chi_square": found.chi_square,
    }


def class_shares(seen: Seen) -> np.ndarray:
    """Share of each class among the judge's answers, (C,)."""
    counts = np.bincount(seen.logits.argmax(-1), minlength=seen.logits.shape[-1])
    return counts / counts.sum()


def class_accuracy(seen: Seen, labels: np.ndarray) -> float:
    """Share of images that the judge takes to be of the class (N,) that was asked for.

    Example:
        >>> seen = Seen(np.zeros((2, 1)), np.array([[0.1, 0.9], [0.8, 0.2]]), "a judge")
        >>> class_accuracy(seen, np.array([1, 1]))
        0.5
    """
    return float((seen.logits.argmax(-1) == np.asarray(labels)).mean())


def variety(samples: Seen, reference: Reference, most: int = 2000) -> dict[str, Any]:
    """How many different images the judge sees, and of which classes.

    Args:
        samples: what the judge saw in the generated images.
        reference: the same judge's view of real images.
        most: of either, this many are compared.

    Returns:
        ``distinct``, how many images there are in effect: the reciprocal of the probability that
        the features of two are alike, nearer than nearly all real images' nearest neighbours (inf
        if none are); ``class_shares``, the share of each class among the judge's answers.

    Raises:
        JudgeError: samples and reference were seen by different judges.
    """
    check_same_judge(samples, reference.seen)
    some, real = (x[pick(len(x), most)] for x in (samples.features, reference.seen.features))
    found = distinct_images(some, alike_distance(real))
    return {"distinct": found, "class_shares": class_shares(samples).tolist()}


def check_count(count: int, judge: Judge) -> None:
    """Raises a ShapeError if there are no more images than the judge has features."""
    _check_count(count, judge.network.hidden)


def _check_count(count: int, width: int) -> None:
    if count <= width:
        raise ShapeError(
            f"{count} image{'s are' if count > 1 else ' is'} too few: the judge has {width} "
            "features, whose covariance needs more images than that; 2,000 or more make good scores"
        )
