"""Fréchet distance of features ("FID" where they come from the Inception network)."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ShapeError
from jaxdl.metrics.generative._features import check_features


class FeatureStatistics(NamedTuple):
    """What :func:`frechet_distance` knows of a set, for example of a data set, to be stored.

    Attributes:
        mean: shape (d,), float64.
        covariance: shape (d, d), float64, divisor n − 1.
        samples: n.
    """

    mean: np.ndarray
    covariance: np.ndarray
    samples: int


def feature_statistics(features: ArrayLike) -> FeatureStatistics:
    """Mean and covariance of features.

    Args:
        features: shape (n, d), n > d: fewer samples than features give a singular covariance.

    Raises:
        ShapeError: the shape is another, or there are too few samples.
        ConfigError: a feature is NaN or infinite.

    Example:
        >>> statistics = feature_statistics([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
        >>> print(statistics.mean, statistics.covariance[0, 0], statistics.samples)
        [2. 1.] 4.0 3
    """
    (array,) = check_features(features=features)
    samples, width = array.shape
    if samples <= width:
        raise ShapeError(
            f"{samples:,} samples of {width:,} features each do not determine a covariance: "
            f"need more than {width:,} samples (10,000 are usual)"
        )
    return FeatureStatistics(array.mean(0), np.atleast_2d(np.cov(array, rowvar=False)), samples)


def frechet_distance(
    features: ArrayLike | FeatureStatistics, reference: ArrayLike | FeatureStatistics
) -> float:
    r"""Fréchet distance of two Gaussians with the sets' means and covariances, 0 or greater.

    .. math:: |\mu_1 - \mu_2|^2 + \mathrm{Tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})

    It is biased upwards, by an amount that depends on n and on the generator: compare scores of
    the same n, the same network and the same reference only.

    Args:
        features, reference: shape (n, d) and (m, d), n and m greater than d, or the statistics of
            such. Features that never change are allowed.

    Raises:
        ShapeError, ConfigError: as :func:`feature_statistics`; widths differ.

    Example:
        >>> square = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
        >>> print(f"{frechet_distance(square, square + 3):.4f}")  # two means 3 apart
        18.0000

    References:
        Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
        Equilibrium, 2017.
    """
    a, b = (
        given if isinstance(given, FeatureStatistics) else feature_statistics(given)
        for given in (features, reference)
    )
    if a.mean.shape != b.mean.shape:
        raise ShapeError(
            f"features has {a.mean.size} features a sample, reference has {b.mean.size}: "
            "take both from the same layer of the same network"
        )
    # Tr (AB)^½ is the sum of singular values of A^½ B^½: exact even where both are singular.
    cross = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(float(np.sum((a.mean - b.mean) ** 2) + spread), 0.0)


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
