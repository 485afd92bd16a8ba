"""Feature likelihood divergence: fidelity, diversity and novelty of samples in one number."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError
from jaxdl.metrics.generative._features import ROWS, check_features, squared_distances

# The constants of the authors' code.
MOST = 10_000  # Gaussians, and training points that they are fitted to
STEPS, LEARNING_RATE = 50, 0.5
WINDOW, CHANGE = 5, 5e-4  # the fit ends when the loss has changed by less for as many steps
SPARE = 1e-3  # squared distance that every Gaussian reaches at first
PULL = 0.9**2  # on squared distances to the training mean
LIMIT = 40.0  # of log variances: a Gaussian on top of a point would shrink without end

BLOCK = 50  # points at a time


class FLD(NamedTuple):
    """Feature likelihood divergence, and what it is made of.

    Attributes:
        score: 100 (``test_nll`` − ``baseline``); lower is better.
        gap: 100 (``train_nll`` − ``test_nll``), the generalisation gap: near 0 for new samples,
            far below for copies of training points.
        test_nll: negative log-likelihood of a test point, divided by d.
        train_nll: of a training point.
        baseline: ``test_nll`` of real samples, see :func:`likelihood_baseline`.
    """

    score: float
    gap: float
    test_nll: float
    train_nll: float
    baseline: float


def feature_likelihood_divergence(
    features: ArrayLike,
    test: ArrayLike,
    train: ArrayLike,
    key: jax.Array,
    baseline: float | None = None,
) -> FLD:
    """Likelihood of test features under Gaussians on the samples.

    An isotropic Gaussian stands on each sample; the variances are fitted to the training features.
    A copy of a training point gets a narrow one, that explains no test point: copies raise the
    score as bad or missing samples do. Features are standardised by the test set's mean and
    standard deviation (those that never change there are left as they are).

    The authors' code fits to all training points, in batches of 10,000; here it is one batch of at
    most 10,000. Compare scores of the same n, network and data.

    Args:
        features: of generated samples, shape (n, d); of more than 10,000 as many are drawn.
        test: shape (m, d).
        train: shape (l, d); of more than 10,000 as many are drawn.
        key: for the draws.
        baseline: stored result of :func:`likelihood_baseline`; None computes it.

    Raises:
        ShapeError: shapes do not fit, or a set has fewer than 2 samples.
        ConfigError: a feature is NaN or infinite.

    Example:
        >>> train, test, samples = jax.random.normal(jax.random.key(0), (3, 100, 4))
        >>> new, copied = (
        ...     feature_likelihood_divergence(x, test, train, jax.random.key(1), baseline=1.5)
        ...     for x in (samples, train))
        >>> copied.gap < -200 < new.gap, new.score < copied.score
        (True, True)

    References:
        Jiralerspong et al., Feature Likelihood Divergence: Evaluating the Generalization of
        Generative Models Using Samples, 2023; code: github.com/marcojira/fld.
    """
    sets = check_features(features=features, test=test, train=train)
    draw_samples, draw_train, draw_baseline = jax.random.split(key, 3)
    if baseline is None:
        baseline = likelihood_baseline(sets[2], sets[1], draw_baseline, len(sets[0]))
    samples = _draw(sets[0], MOST, draw_samples)
    test_nll, train_nll = _likelihoods(samples, sets[1], _draw(sets[2], MOST, draw_train))
    return FLD(
        100 * (test_nll - baseline), 100 * (train_nll - test_nll), test_nll, train_nll, baseline
    )


def likelihood_baseline(
    train: ArrayLike, test: ArrayLike, key: jax.Array, samples: int = MOST
) -> float:
    """``test_nll`` of training features, half of them as samples and fitted to the other half.

    Args:
        train: shape (l, d), l at least 4.
        test: shape (m, d).
        key: for the draws.
        samples: how many generated samples it will be compared with, the Gaussians here.

    Example:
        >>> train, test = jax.random.normal(jax.random.key(0), (2, 100, 4))
        >>> print(1 < likelihood_baseline(train, test, jax.random.key(1)) < 2)
        True
    """
    train, test = check_features(4, train=train, test=test)
    if samples < 2:
        raise ConfigError(f"samples is {samples}: it must be at least 2")
    split = min(samples, MOST, len(train) // 2)
    points = _draw(train, split + MOST, key)
    return _likelihoods(points[:split], test, points[split:])[0]


def _draw(points: np.ndarray, size: int, key: jax.Array) -> np.ndarray:
    """At most ``size`` of the points, in another order."""
    return points[np.asarray(jax.random.permutation(key, len(points)))[:size]]


def _likelihoods(samples: np.ndarray, test: np.ndarray, train: np.ndarray) -> tuple[float, float]:
    """Negative log-likelihoods, divided by d, of test and training points."""
    scale = test.std(0, ddof=1)
    scale = np.where(scale > 0, scale, 1)
    centres, test, train = (
        jnp.asarray((points - test.mean(0)) / scale, jnp.float32)
        for points in (samples, test, train)
    )
    nlls = _fit(centres, train, test)
    test_nll, train_nll = (float(np.asarray(nll, np.float64).mean()) for nll in nlls)
    return test_nll, train_nll


@jax.jit
def _fit(centres: jax.Array, train: jax.Array, test: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Fits the variances; returns the points' negative log-likelihoods, of test and of train."""
    size, width = train.shape
    # Blocks that stay in a processor's cache; copies of the last point, of weight 0, fill them up.
    rows = jnp.arange(size + -size % BLOCK).reshape(-1, BLOCK)
    points = train[rows.clip(max=size - 1)]
    squares = jax.lax.map(jax.vmap(partial(squared_distances, y=centres)), points)
    spare = PULL * squared_distances(train.mean(0), points.reshape(-1, width)).reshape(rows.shape)
    blocks = squares, spare, jnp.asarray(rows < size, jnp.float32)
    optimizer = optax.adam(LEARNING_RATE)

    def loss(variances: tuple[jax.Array, jax.Array], block: tuple[jax.Array, ...]) -> jax.Array:
        # One more Gaussian, at the training mean, gives every point a likelihood.
        densities = jax.vmap(partial(_log_density, width=width), in_axes=(0, None))
        own = densities(block[0], variances[0])
        spare = densities(block[1][:, None], variances[1][None])
        return -jnp.sum(block[2] * jnp.logaddexp(own, spare)) / (size * width)

    def step(carry: tuple) -> tuple:
        i, variances, state, losses = carry

        def add(sums: tuple, block: tuple[jax.Array, ...]) -> tuple:
            return jax.tree.map(jnp.add, sums, jax.value_and_grad(loss)(variances, block)), None

        zeros = jax.tree.map(jnp.zeros_like, (losses[0], variances))
        (value, gradients), _ = jax.lax.scan(add, zeros, blocks)
        updates, state = optimizer.update(gradients, state)
        own, spare = optax.apply_updates(variances, updates)
        losses = jnp.roll(losses, 1).at[0].set(value)
        return i + 1, (own.clip(-LIMIT, LIMIT), spare), state, losses

    def goes_on(carry: tuple) -> jax.Array:
        i, _, _, losses = carry
        settled = (i > WINDOW + 1) & (jnp.abs(losses - losses[0]).max() < CHANGE)
        return (i < STEPS) & ~settled

    variances = jnp.log((squares.min((0, 1)) + SPARE) / width), jnp.zeros(())
    start = (jnp.zeros((), int), variances, optimizer.init(variances), jnp.zeros(WINDOW))
    own, _ = jax.lax.while_loop(goes_on, step, start)[1]

    def nll(squares: jax.Array) -> jax.Array:
        return -_log_density(squares, own, width) / width

    of_test = jax.lax.map(lambda x: nll(squared_distances(x, centres)), test, batch_size=ROWS)
    return of_test, jax.lax.map(jax.vmap(nll), squares).ravel()[:size]


def _log_density(squares: jax.Array, variances: jax.Array, width: int) -> jax.Array:
    """Of a point at squared distances (n,) from n equal Gaussians of these log variances."""
    logs = -0.5 * (squares * jnp.exp(-variances) + width * (variances + math.log(2 * math.pi)))
    return jax.nn.logsumexp(logs) - math.log(len(variances))
