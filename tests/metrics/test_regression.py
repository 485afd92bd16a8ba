import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from sklearn import metrics as sklearn_metrics

from jaxdl import metrics
from jaxdl.errors import ShapeError

SCORES = {
    "mae": sklearn_metrics.mean_absolute_error,
    "mse": sklearn_metrics.mean_squared_error,
    "rmse": sklearn_metrics.root_mean_squared_error,
    "r2": sklearn_metrics.r2_score,
}


@pytest.mark.parametrize("name", SCORES)
def test_matches_scikit_learn(rng, name):
    targets = rng.normal(3, 2, (300, 8)).astype("f4")
    predictions = targets + rng.normal(0, 1, (300, 8)).astype("f4")
    predictions[:20] = targets[:20]
    weights = rng.uniform(0.1, 2, (300, 8)).astype("f4")
    weights[250:, 4:] = 0
    result = jax.jit(jax.vmap(getattr(metrics, name)))(predictions, targets, weights)
    expected = [
        SCORES[name](t, p, sample_weight=w)
        for p, t, w in zip(predictions, targets, weights, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_the_course_rmse_is_the_true_one_over_root_n():
    """Twenty errors of 2: MAE 2, true RMSE 2, the course's 2/√20."""
    predictions, targets = jnp.full(20, 5.0), jnp.full(20, 3.0)
    assert metrics.mae(predictions, targets) == 2
    assert metrics.rmse(predictions, targets) == 2
    assert metrics.course_rmse(predictions, targets) == pytest.approx(0.4472136)
    error = np.array([3.0, 4.0])
    assert metrics.course_rmse(error, np.zeros(2)) == np.sqrt(error.dot(error.T)) / 2 == 2.5


@pytest.mark.parametrize("metric", [metrics.MAE, metrics.MSE, metrics.RMSE, metrics.CourseRMSE])
def test_batches_merge_to_the_whole(rng, metric):
    predictions, targets = rng.normal(size=(2, 10))
    first = metric.from_batch(predictions[:7], targets[:7])
    last = metric.from_batch(predictions[7:], targets[7:])
    whole = metric.from_batch(predictions, targets).compute()
    np.testing.assert_allclose(first.merge(last).compute(), whole, rtol=1e-6)


def test_r2_streams_without_cancellation(rng):
    """A mean 10⁵ times the spread, in 50 float32 batches."""
    targets = (1e4 + rng.normal(0, 0.1, (50, 20))).astype("f4")
    predictions = targets + rng.normal(0, 0.05, (50, 20)).astype("f4")

    def step(metric, batch):
        return metric.merge(metrics.R2.from_batch(*batch)), None

    carried, _ = jax.jit(lambda *x: lax.scan(step, metrics.R2.empty(), x))(predictions, targets)
    stacked = jax.vmap(metrics.R2.from_batch)(predictions, targets).reduce()
    exact = sklearn_metrics.r2_score(targets.ravel().astype("f8"), predictions.ravel())
    # The targets' own steps are 1e-3 there; Σt² − n·mean² would be off by more than the spread.
    np.testing.assert_allclose(carried.compute(), exact, rtol=1e-3)
    np.testing.assert_allclose(stacked.compute(), exact, rtol=1e-3)


def test_r2_of_targets_without_spread(rng):
    """However the mean is rounded: the spread of equal targets is exactly 0."""
    targets = np.full((100, 9), 0.1, "f4")
    weights = rng.uniform(0, 1, (100, 9)).astype("f4")
    weights[:50, 0] = 0
    batches = jax.vmap(metrics.R2.from_batch)(targets + 1, targets, weights)
    np.testing.assert_array_equal(batches.compute(), np.full(100, -np.inf))
    assert batches.reduce().compute() == -np.inf
    assert np.isnan(metrics.r2(targets, targets))


def test_r2_of_nothing_and_of_padding():
    nothing = metrics.R2.from_batch(jnp.zeros(0), jnp.zeros(0))
    assert np.isnan(nothing.compute())
    targets, predictions = jnp.array([1.0, 2, 3, np.nan]), jnp.array([1.0, 2, 2, 7])
    batch = metrics.R2.from_batch(predictions, targets, jnp.array([1, 1, 1, 0]))
    assert batch.compute() == 0.5
    assert nothing.merge(batch).compute() == batch.merge(metrics.R2.empty()).compute() == 0.5


def test_nothing_is_nan():
    none = jnp.zeros(0)
    for name in ("mae", "mse", "rmse", "course_rmse", "r2"):
        assert np.isnan(getattr(metrics, name)(none, none))


def test_a_column_is_not_a_row():
    for name in ("mae", "mse", "rmse", "course_rmse", "r2"):
        with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
            getattr(metrics, name)(jnp.zeros((4, 1)), jnp.zeros(4))
