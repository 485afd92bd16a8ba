"""Memorisation: are samples closer to the training set than new real images are?

The generalisation gap of :func:`~jaxdl.metrics.generative.feature_likelihood_divergence` is a third
answer. A control that each must catch is the "copycat", whose samples are training images.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from scipy.stats import rankdata

from jaxdl.errors import ShapeError
from jaxdl.metrics.generative._features import (
    ROWS,
    centred,
    check_features,
    nearest,
    squared_distances,
)

COMPONENTS, CELLS = 64, 3
FEWEST = 20  # samples of a cell that counts
STARTS, ROUNDS = 10, 50  # of k-means,
MOST = 10_000  # which about as many training points are enough for


def data_copying(features: ArrayLike, test: ArrayLike, train: ArrayLike, key: jax.Array) -> float:
    r"""The statistic C_T: about 0 for new samples, far below for copies, far above for poor ones.

    Do samples lie closer to the training set than test points do? In each of three k-means cells
    of the 64 leading principal components, U counts the pairs in which a sample's distance to its
    nearest training point exceeds a test point's; C_T averages its standard scores

    .. math:: Z = \frac{U - nm/2 + 1/2}{\sqrt{nm(n + m + 1)/12}}

    over the cells with more than 20 samples, weighted by their test points. |Z| grows like √n.

    Args:
        features: of generated samples, shape (m, d).
        test, train: shapes (n, d) and (l, d).
        key: starts k-means.

    Returns:
        C_T; NaN if no cell has more than 20 samples.

    Raises:
        ShapeError: shapes do not fit, or a cell has no test points.
        ConfigError: a feature is NaN or infinite.

    Example:
        >>> train, test, samples = jax.random.normal(jax.random.key(0), (3, 300, 4))
        >>> abs(data_copying(samples, test, train, jax.random.key(1))) < 3
        True
        >>> data_copying(train + 0.01, test, train, jax.random.key(1)) < -10
        True

    References:
        Meehan, Chaudhuri and Dasgupta, A Non-Parametric Test to Detect Data-Copying in Generative
        Models, 2020.
    """
    sets = check_features(train=train, test=test, features=features)
    points = centred(*_leading(*sets))
    centres = _kmeans(points[0][:: max(1, len(points[0]) // MOST)], key)
    cells = tuple(_cells(x, centres) for x in points)
    near_test, near_samples = (
        np.asarray(nearest(x, points[0], 1, (own, cells[0]))[0])[:, 0]
        for x, own in zip(points[1:], cells[1:], strict=True)
    )
    of_test, of_samples = (np.asarray(cell) for cell in cells[1:])
    total = weight = 0.0
    for cell in range(CELLS):
        samples, reals = near_samples[of_samples == cell], near_test[of_test == cell]
        if len(samples) > FEWEST:
            if not reals.size:
                raise ShapeError(
                    f"a cluster with {len(samples)} samples has none of the {len(of_test)} test "
                    "points: data_copying needs more of these"
                )
            total += len(reals) * _standard_score(samples, reals)
            weight += len(reals)
    return total / weight if weight else float("nan")


def authenticity(features: ArrayLike, train: ArrayLike) -> float:
    """Share of samples that are no copies of training points ("AuthPct", here from 0 to 1).

    A sample is authentic if it is farther from the nearest training point than that point is from
    the rest of the training set. For new samples about one half, for copies near 0, for samples
    far from all data near 1: read it beside a score of fidelity and the test images' own share.

    Args:
        features: of generated samples, shape (n, d).
        train: shape (l, d), l at least 2.

    Raises:
        ShapeError: shapes do not fit.
        ConfigError: a feature is NaN or infinite.

    Example:
        >>> train = [[0.0], [1.0], [5.0]]
        >>> authenticity([[0.1], [1.4], [5.1], [20.0]], train)  # only 20 is too far for a copy
        0.25

    References:
        Alaa et al., How Faithful is your Synthetic Data?, 2022.
    """
    others, points = check_features(1, train=train, features=features)
    if len(others) < 2:
        raise ShapeError(f"train has {len(others)} samples: need at least 2")
    others, points = centred(others, points)
    distances, indices = (np.asarray(found)[:, 0] for found in nearest(points, others, 1))
    tags = indices, np.arange(len(others), dtype=np.int32)
    spacing = nearest(np.asarray(others)[indices], others, 1, tags, same=False)[0]
    return float((distances > np.asarray(spacing)[:, 0]).mean())


def _leading(first: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """The sets' coordinates along the first one's leading principal components."""
    if first.shape[1] <= COMPONENTS:
        return first, *others
    _, vectors = np.linalg.eigh(np.cov(first, rowvar=False))  # in ascending order
    axes = vectors[:, -COMPONENTS:]
    return tuple(points @ axes for points in (first, *others))


def _standard_score(samples: np.ndarray, reals: np.ndarray) -> float:
    """Of Mann and Whitney's U: below 0 if the samples' distances are the smaller ones."""
    m, n = len(samples), len(reals)
    u = rankdata(np.concatenate([samples, reals]))[:m].sum() - m * (m + 1) / 2
    return float((u - n * m / 2 + 0.5) / np.sqrt(n * m * (n + m + 1) / 12))


@jax.jit
def _cells(points: jax.Array, centres: jax.Array) -> jax.Array:
    """The index of the centre nearest to each point."""
    look = partial(squared_distances, y=centres)
    return jax.lax.map(lambda x: look(x).argmin(), points, batch_size=ROWS)


@jax.jit
def _kmeans(points: jax.Array, key: jax.Array) -> jax.Array:
    """The best of several runs of Lloyd's algorithm from random points (CELLS, d)."""

    def squares(centres: jax.Array) -> jax.Array:  # (CELLS, n)
        return jax.vmap(lambda centre: squared_distances(centre, points))(centres)

    def improve(_: int, centres: jax.Array) -> jax.Array:
        own = jax.nn.one_hot(squares(centres).argmin(0), CELLS, axis=0)
        sizes = own.sum(1, keepdims=True)
        means = jnp.dot(own, points, precision=jax.lax.Precision.HIGHEST) / sizes.clip(1)
        return jnp.where(sizes > 0, means, centres)

    def run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        start = jax.random.choice(key, points, (CELLS,), replace=False)
        centres = jax.lax.fori_loop(0, ROUNDS, improve, start)
        return squares(centres).min(0).sum(), centres

    costs, runs = jax.lax.map(run, jax.random.split(key, STARTS))
    return runs[costs.argmin()]
