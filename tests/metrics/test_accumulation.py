import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxdl import metrics
from jaxdl.errors import ShapeError


def test_a_short_last_batch_weighs_what_it_should():
    batches = [[1.0, 2.0, 3.0, 4.0], [10.0]]
    merged = metrics.Mean.empty()
    for batch in batches:
        merged = merged.merge(metrics.Mean.from_batch(jnp.array(batch)))
    assert merged.compute() == 4  # the mean of the batches' means would be 6.25


def test_padding_may_hold_anything():
    values, mask = jnp.array([1.0, np.nan, np.inf]), jnp.array([True, False, False])
    assert metrics.Mean.from_batch(values, mask).compute() == 1


def test_nothing_is_nan_and_its_merge_changes_nothing():
    assert np.isnan(metrics.Mean.empty().compute())
    assert np.isnan(metrics.Mean.from_batch(jnp.zeros(0)).compute())
    mean = metrics.Mean.from_batch(jnp.array([3.0]))
    assert mean.merge(metrics.Mean.empty()).compute() == 3


def test_random_weighted_means_match_numpy(rng):
    values, weights = rng.normal(size=(300, 7)), rng.uniform(0, 2, (300, 7))
    result = jax.jit(jax.vmap(lambda v, w: metrics.Mean.from_batch(v, w).compute()))(
        values, weights
    )
    expected = [np.average(v, weights=w) for v, w in zip(values, weights, strict=True)]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_it_is_a_carry_of_scan_and_a_stack_reduces(rng):
    batches = jnp.asarray(rng.normal(size=(6, 5)))

    def step(mean, batch):
        return mean.merge(metrics.Mean.from_batch(batch)), None

    carried, _ = jax.jit(lambda x: lax.scan(step, metrics.Mean.empty(), x))(batches)
    stacked = jax.vmap(metrics.Mean.from_batch)(batches).reduce()
    np.testing.assert_allclose(carried.compute(), batches.mean(), rtol=1e-5)
    np.testing.assert_allclose(stacked.compute(), batches.mean(), rtol=1e-5)
    assert stacked.weight == 30


def test_it_meets_across_devices():
    values = jnp.arange(8.0)
    merged = jax.vmap(
        lambda v: lax.psum(metrics.Mean.from_batch(v), "devices"), axis_name="devices"
    )(values)
    np.testing.assert_array_equal(merged.compute(), np.full(8, 3.5))


def test_narrow_values_are_summed_in_float32():
    mean = metrics.Mean.from_batch(jnp.ones(1000, jnp.bfloat16))
    assert mean.total == 1000


def test_unlike_metrics_do_not_merge():
    with pytest.raises(ShapeError, match="do not merge"):
        metrics.ConfusionMatrix.empty(1).merge(metrics.ConfusionMatrix.empty(3))
    with pytest.raises(ShapeError, match="do not merge"):
        metrics.Mean.empty().merge(metrics.Accuracy.empty())
    with pytest.raises(ShapeError, match=r"\(3,\).*\(3, 1\)"):
        metrics.Mean.from_batch(jnp.zeros((3, 1)), jnp.ones(3))
