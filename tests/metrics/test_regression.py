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
    predictions, targets = np.full(20, 5.0), np.full(20, 3.0)
    functions = (metrics.mae, metrics.rmse, metrics.course_rmse)
    mae, rmse, course = jax.jit(lambda p, t: [f(p, t) for f in functions])(predictions, targets)
    assert mae == rmse == 2
    assert course == pytest.approx(0.4472136)
    error = np.array([3.0, 4.0])
    course = jax.jit(metrics.course_rmse)(error, np.zeros(2))
    assert course == np.sqrt(error.dot(error.T)) / 2 == 2.5


@pytest.mark.parametrize("metric", [metrics.MAE, metrics.MSE, metrics.RMSE, metrics.CourseRMSE])
def test_batches_merge_to_the_whole(rng, metric):
    predictions, targets = rng.normal(size=(2, 10))

    @jax.jit
    def both(predictions, targets):
        first = metric.from_batch(predictions[:7], targets[:7])
        last = metric.from_batch(predictions[7:], targets[7:])
        whole = metric.from_batch(predictions, targets)
        return first.merge(last).compute(), whole.compute()

    np.testing.assert_allclose(*both(predictions, targets), rtol=1e-6)


def test_r2_streams_without_cancellation(rng):
    """A mean 10⁵ times the spread, in 50 float32 batches."""
    targets = (1e4 + rng.normal(0, 0.1, (50, 20))).astype("f4")
    predictions = targets + rng.normal(0, 0.05, (50, 20)).astype("f4")

    def step(metric, batch):
        return metric.merge(metrics.R2.from_batch(*batch)), None

    carried, _ = jax.jit(lambda *x: lax.scan(step, metrics.R2.empty(), x))(predictions, targets)
    stacked = jax.jit(lambda *x: jax.vmap(metrics.R2.from_batch)(*x).reduce())(predictions, targets)
    exact = sklearn_metrics.r2_score(targets.ravel().astype("f8"), predictions.ravel())
    # The targets' own steps are 1e-3 there; Σt² − n·mean² would be off by more than the spread.
    np.testing.assert_allclose(carried.compute(), exact, rtol=1e-3)
    np.testing.assert_allclose(stacked.compute(), exact, rtol=1e-3)


def test_r2_of_targets_without_spread(rng):
    """However the mean is rounded: the spread of equal targets is exactly 0."""
    targets = np.full((100, 9), 0.1, "f4")
    weights = rng.uniform(0, 1, (100, 9)).astype("f4")
    weights[:50, 0] = 0

    @jax.jit
    def scores(predictions, targets, weights):
        batches = jax.vmap(metrics.R2.from_batch)(predictions, targets, weights)
        whole = batches.reduce().compute()
        return batches.compute(), whole, metrics.r2(targets, targets)

    each, whole, perfect = scores(targets + 1, targets, weights)
    np.testing.assert_array_equal(each, np.full(100, -np.inf))
    assert whole == -np.inf
    assert np.isnan(perfect)


def test_r2_of_nothing_and_of_padding():
    targets, predictions = np.array([1.0, 2, 3, np.nan]), np.array([1.0, 2, 2, 7])

    @jax.jit
    def scores():
        nothing = metrics.R2.from_batch(np.zeros(0), np.zeros(0))
        batch = metrics.R2.from_batch(predictions, targets, np.array([1, 1, 1, 0]))
        merged = (nothing.merge(batch), batch.merge(metrics.R2.empty()))
        return [each.compute() for each in (nothing, batch, *merged)]

    np.testing.assert_array_equal(scores(), [np.nan, 0.5, 0.5, 0.5])


def test_nothing_is_nan():
    none, names = np.zeros(0), ("mae", "mse", "rmse", "course_rmse", "r2")
    found = jax.jit(lambda: [getattr(metrics, name)(none, none) for name in names])()
    assert np.isnan(found).all()


def test_a_column_is_not_a_row():
    for name in ("mae", "mse", "rmse", "course_rmse", "r2"):
        with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
            getattr(metrics, name)(jnp.zeros((4, 1)), jnp.zeros(4))
