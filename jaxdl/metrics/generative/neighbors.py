"""Scores of nearest neighbours: are samples near real ones, and are all real ones near samples."""

from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError
from jaxdl.metrics.generative._features import (
    ROWS,
    centred,
    check_features,
    nearest,
    squared_distances,
)


class PRDC(NamedTuple):
    """Fidelity (precision, density) and diversity (recall, coverage); see :func:`prdc`."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(features: ArrayLike, reference: ArrayLike, nearest_k: int = 5) -> PRDC:
    """Precision, recall, density and coverage.

    Around each point of a set lies a ball that reaches to the ``nearest_k``-th of its neighbours in
    the same set (itself not counted). A point is inside if its distance is smaller (``<``) than
    the radius, as in the package ``prdc``; others use ``<=``, or ``nearest_k`` 3.

    - precision: share of samples inside a ball of the reference;
    - recall: share of the reference inside a ball of the samples;
    - density: balls of the reference around a sample, on average, divided by ``nearest_k``: 1 for
      two samples of one distribution, above 1 where samples crowd at its modes;
    - coverage: share of the reference's balls that hold a sample, for two equally large samples of
      one distribution 0.969 at ``nearest_k`` 5.

    Outliers of the samples raise recall, those of the reference precision; density and coverage
    are not deceived by them.

    Args:
        features: of generated samples, shape (n, d).
        reference: of real ones, shape (m, d); m = n is usual.

    Raises:
        ShapeError: shapes do not fit, or a set has no more than ``nearest_k`` samples.
        ConfigError: a feature is NaN or infinite, or ``nearest_k`` is below 1.

    Example:
        >>> reference = jax.random.normal(jax.random.key(0), (100, 2))
        >>> print(prdc(reference[:50], reference[50:] + 100))
        PRDC(precision=0.0, recall=0.0, density=0.0, coverage=0.0)

    References:
        Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative Models,
        2019.
        Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020.
    """
    if nearest_k < 1:
        raise ConfigError(f"nearest_k is {nearest_k}: it must be at least 1")
    sets = check_features(nearest_k + 1, reference=reference, features=features)
    real, fake = centred(*sets)
    real_radii, fake_radii = (
        np.asarray(nearest(x, x, nearest_k + 1)[0])[:, -1] for x in (real, fake)
    )
    balls, _ = map(np.asarray, _inside(fake, real, real_radii))
    recalled, distances = map(np.asarray, _inside(real, fake, fake_radii))
    shares = balls > 0, recalled > 0, balls, distances < real_radii
    precision, recall, density, coverage = (float(share.mean()) for share in shares)
    return PRDC(precision, recall, density / nearest_k, coverage)


@jax.jit
def _inside(x: jax.Array, centres: jax.Array, radii: jax.Array) -> tuple[jax.Array, jax.Array]:
    """In how many balls (of squared radii) each x lies, and the squared distance to the nearest."""

    def look(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        distances = squared_distances(row, centres)
        return (distances < radii).sum(), distances.min()

    return jax.lax.map(look, x, batch_size=ROWS)


class Neighbors(NamedTuple):
    """The nearest of the reference to each sample, the nearest first.

    Attributes:
        indices: into the reference, shape (n, k).
        distances: Euclidean, shape (n, k), float32.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_neighbors(features: ArrayLike, reference: ArrayLike, k: int = 1) -> Neighbors:
    """The ``k`` nearest of the reference to each sample, for example for a picture of them.

    Args:
        features: shape (n, d); n may be 1.
        reference: shape (m, d), m at least k.

    Raises:
        ShapeError: shapes do not fit.
        ConfigError: a feature is NaN or infinite, or ``k`` is not between 1 and m.

    Example:
        >>> found = nearest_neighbors([[0.0, 1.0]], [[5.0, 1.0], [0.0, 4.0], [0.0, 1.0]], k=2)
        >>> print(found.indices, found.distances)
        [[2 1]] [[0. 3.]]
    """
    points, others = check_features(1, features=features, reference=reference)
    if not 1 <= k <= len(others):
        raise ConfigError(f"k is {k}: it must lie between 1 and the reference's {len(others):,}")
    middle, x = centred(others, points)
    indices = np.asarray(nearest(x, middle, k)[1])
    # From differences, so that a copy's distance is exactly 0.
    distances = [np.linalg.norm(points - others[column], axis=1) for column in indices.T]
    return Neighbors(indices, np.stack(distances, 1).astype(np.float32))
