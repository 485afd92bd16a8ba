import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import (
    batch_indices,
    epoch_permutation,
    few_per_class_sampler,
    padded_batch_indices,
    shuffled_sampler,
    steps_per_epoch,
)
from jaxdl.errors import ConfigError

KEY = jax.random.key(3)


def test_permutation_is_a_function_of_key_and_epoch():
    epochs = [np.asarray(epoch_permutation(KEY, epoch, 100)) for epoch in (0, 1, 2)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(100))
        assert epoch.dtype == np.int32
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], epoch_permutation(jax.random.key(4), 0, 100))
    traced = jax.jit(epoch_permutation, static_argnums=2)(KEY, jnp.int32(2), 100)
    np.testing.assert_array_equal(traced, epochs[2])
    expected = jax.random.permutation(jax.random.fold_in(KEY, 1), 100)
    np.testing.assert_array_equal(epochs[1], expected)


@pytest.mark.parametrize(
    ("num_examples", "batch_size", "dropped", "kept"),
    [(70_000, 100, 700, 700), (60_000, 64, 937, 938), (10, 10, 1, 1), (11, 10, 1, 2), (1, 1, 1, 1)],
)
def test_steps_per_epoch(num_examples, batch_size, dropped, kept):
    assert steps_per_epoch(num_examples, batch_size, drop_last=True) == dropped
    assert steps_per_epoch(num_examples, batch_size, drop_last=False) == kept


@pytest.mark.parametrize(("num_examples", "batch_size"), [(12, 4), (13, 4), (3, 4), (1, 1)])
def test_padded_batches_hold_every_sample_once(num_examples, batch_size):
    permutation = epoch_permutation(KEY, 0, num_examples)
    padded = jax.jit(padded_batch_indices, static_argnums=2)
    seen = []
    for step in range(steps_per_epoch(num_examples, batch_size, drop_last=False)):
        indices, weights = padded(permutation, jnp.int32(step), batch_size)
        assert indices.shape == weights.shape == (batch_size,)
        assert weights.dtype == jnp.float32
        assert set(weights.tolist()) <= {0.0, 1.0}
        seen += np.asarray(indices)[np.asarray(weights) == 1].tolist()
        assert 0 <= indices.min() <= indices.max() < num_examples
    assert seen == permutation.tolist()
    assert padded(permutation, jnp.int32(step + 1), batch_size)[1].sum() == 0


def test_full_batches():
    permutation = epoch_permutation(KEY, 5, 11)
    batch = jax.jit(batch_indices, static_argnums=2)
    for step in range(3):
        expected = np.asarray(permutation)[3 * step : 3 * step + 3]
        np.testing.assert_array_equal(batch(permutation, jnp.int32(step), 3), expected)
        np.testing.assert_array_equal(batch_indices(permutation, step, 3), expected)


def test_refuses():
    permutation = jnp.arange(10)
    for step in (-1, 3):
        with pytest.raises(ConfigError, match=r"0\.\.2"):
            batch_indices(permutation, step, 3)
    with pytest.raises(ConfigError, match=r"0\.\.3"):
        padded_batch_indices(permutation, 4, 3)
    with pytest.raises(ConfigError, match="at most 10"):
        batch_indices(permutation, 0, 11)
    for num_examples, batch_size in ((0, 1), (1, 0), (5, -1)):
        with pytest.raises(ConfigError, match="at least 1"):
            steps_per_epoch(num_examples, batch_size, drop_last=False)
    with pytest.raises(ConfigError, match="at least 1"):
        epoch_permutation(KEY, 0, 0)


def test_a_shuffled_sampler_takes_whole_passes_and_part_of_another():
    key, sampler = KEY, shuffled_sampler(5, count=12)
    drawn = np.asarray(jax.jit(sampler)(key, 1))
    assert np.bincount(drawn[:5]).tolist() == np.bincount(drawn[5:10]).tolist() == [1] * 5
    assert len(set(drawn[10:].tolist())) == 2
    assert drawn[:5].tolist() != drawn[5:10].tolist()
    assert drawn.tolist() != sampler(key, 2).tolist()
    assert drawn.tolist() == sampler(key, 1).tolist()
    few = shuffled_sampler(50, count=20)(key, 1)
    assert len(set(few.tolist())) == 20
    with pytest.raises(ConfigError, match="count"):
        shuffled_sampler(5, count=0)


def test_few_per_class_are_the_same_in_every_epoch_and_others_for_another_key(rng):
    labels = rng.integers(0, 3, 60)
    sampler = few_per_class_sampler(labels, per_class=4, count=30)
    draw = jax.jit(sampler)
    first, second = np.asarray(draw(KEY, 1)), np.asarray(draw(KEY, 2))
    few, counts = np.unique(first, return_counts=True)
    assert first.dtype == np.int32
    assert np.bincount(labels[few]).tolist() == [4, 4, 4]
    assert sorted(counts) == [2] * 6 + [3] * 6
    assert set(first) == set(second)
    assert (first != second).any()
    assert set(first) != set(np.asarray(draw(jax.random.key(4), 1)))
    drawn = {int(i) for seed in range(40) for i in draw(jax.random.key(seed), 1)}
    assert len(drawn) > 50  # any example can be one of the few


def test_few_per_class_are_refused_where_a_class_has_fewer():
    with pytest.raises(ConfigError, match="class 1 has 2 examples: there are no 3"):
        few_per_class_sampler(np.array([0, 0, 0, 1, 1]), per_class=3, count=5)
    with pytest.raises(ConfigError, match="count"):
        few_per_class_sampler(np.array([0]), per_class=1, count=0)
