"""Classes of samples: does the generator make all of them, and is each sample clearly one?"""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative._features import check_finite

SURE = 0.9


class ClassHistogram(NamedTuple):
    """What a classifier sees in samples; see :func:`class_histogram`.

    Attributes:
        counts: samples predicted as each class, shape (C,).
        chi_square: Σ (count − expected)² / expected; C − 1 on average for samples of the
            reference's classes, and in proportion to n for others.
        entropy: −Σ p log p of the counts' shares in nats; log C if all classes are equal.
        sure: share of samples with a class more probable than 0.9.
    """

    counts: np.ndarray
    chi_square: float
    entropy: float
    sure: float


def class_histogram(probabilities: ArrayLike, shares: ArrayLike | None = None) -> ClassHistogram:
    """Histogram of the classes predicted for samples, and how far it is from the reference's.

    Args:
        probabilities: of a classifier, shape (n, C), rows with sum 1 (not logits).
        shares: of the classes in the reference, or their counts there, shape (C,), positive; None
            if all are equal.

    Raises:
        ShapeError: shapes do not fit, or there are no samples.
        ConfigError: rows are not probabilities, or a share is not positive.

    Example:
        >>> found = class_histogram([[0.95, 0.05], [0.8, 0.2], [1.0, 0.0], [0.3, 0.7]])
        >>> print(found.counts, found.chi_square, f"{found.entropy:.4f}", found.sure)
        [3 1] 1.0 0.5623 0.5
    """
    rows = check_finite("probabilities", probabilities)
    if rows.ndim != 2 or not rows.size:
        raise ShapeError(f"probabilities has shape {rows.shape}: need (samples, classes)")
    if rows.min() < 0 or np.abs(rows.sum(1) - 1).max() > 1e-2:
        raise ConfigError(
            "probabilities has rows that are no probabilities (at least 0, with sum 1): "
            "pass the softmax of logits"
        )
    samples, classes = rows.shape
    expected = np.ones(classes) if shares is None else check_finite("shares", shares)
    if expected.shape != (classes,):
        raise ShapeError(f"shares has shape {expected.shape}: need ({classes},), one a class")
    if expected.min() <= 0:
        raise ConfigError(f"shares has the value {expected.min()}: all must be positive")
    expected = samples * expected / expected.sum()
    counts = np.bincount(rows.argmax(1), minlength=classes)
    found = counts[counts > 0] / samples
    return ClassHistogram(
        counts=counts,
        chi_square=float(((counts - expected) ** 2 / expected).sum()),
        entropy=abs(float((found * np.log(found)).sum())),
        sure=float((rows.max(1) > SURE).mean()),
    )


class ModeCoverage(NamedTuple):
    """How many modes samples cover, and how evenly; see :func:`mode_coverage`.

    Attributes:
        modes: modes that have a sample.
        kl: Σ p log(p · modes in all) of the samples' shares p, in nats: their Kullback–Leibler
            divergence from equal shares.
    """

    modes: int
    kl: float


def mode_coverage(modes: ArrayLike, num_modes: int) -> ModeCoverage:
    """Counts the modes of a distribution among samples.

    Even a perfect sampler's divergence is above 0: about (num_modes − 1) / 2n for n samples, if
    these are many to a mode.

    Args:
        modes: each sample's mode, integers in 0..num_modes - 1, shape (n,).
        num_modes: modes of the distribution, all equally frequent.

    Raises:
        ShapeError: there are no samples, or not one mode for each.
        ConfigError: a mode is none of these.

    Example:
        >>> print(mode_coverage([0, 0, 1, 1], 4))
        ModeCoverage(modes=2, kl=0.6931471805599453)

    References:
        Metz et al., "Unrolled generative adversarial networks", 2017,
        https://arxiv.org/abs/1611.02163 (three digits as colours, a thousand modes).
    """
    found = np.asarray(modes)
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu":
        raise ShapeError(
            f"modes are {found.dtype} of shape {found.shape}: need integers (samples,)"
        )
    if found.min() < 0 or found.max() >= num_modes:
        raise ConfigError(f"modes are {found.min()} to {found.max()}: need 0 to {num_modes - 1}")
    counts = np.bincount(found)
    shares = counts[counts > 0] / len(found)
    return ModeCoverage(len(shares), float((shares * np.log(shares * num_modes)).sum()))
