"""Data parallelism on virtual CPU devices: n devices ≡ 1 device, and what would break it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.distributed import parallel
from jaxdl.distributed.parallel import Shard
from jaxdl.errors import ConfigError
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan, rngs

BATCH, STEPS = 16, 4


DESCENT = optax.sgd(0.05)  # Adam turns rounding into steps


@functools.cache
def train_on(num_devices, synchronised=True):
    """A few DCGAN steps; returns the replicated state, the metrics and the number of traces."""
    devices = jax.devices()[:num_devices]
    state = gan.create_state(
        jax.random.key(0), Generator(4, 8, 16), Discriminator(4, 16), DESCENT, DESCENT
    )
    images = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 1), np.uint8)
    inputs = gan.GANInputs(images, np.arange(64)[::-1].copy(), rngs.root_key(3))
    traces = []

    def step(state, inputs, position, shard):
        traces.append(1)
        if not synchronised:
            shard = shard._replace(axis_name=None)
        return gan.batch_step(state, inputs, position, shard, recipe=gan.GANRecipe(BATCH))

    run = parallel.compile_steps(step, devices, chunk=8)
    state, inputs = parallel.replicate((state, inputs), devices)
    histories = []
    for first, steps in ((0, 1), (1, 3)):
        state, history = run(state, inputs, first, steps)
        histories.append(jax.tree.map(lambda leaf, n=steps: np.asarray(leaf)[:n], history))
    metrics = jax.tree.map(lambda *parts: np.concatenate(parts), *histories)
    return state, metrics, len(traces)


@pytest.mark.parametrize(
    "num_devices", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (4, 8))]
)
def test_several_devices_train_as_one(num_devices):
    state, metrics, _ = train_on(num_devices)
    alone, metrics_alone, _ = train_on(1)
    assert metrics["loss_d"].shape == (STEPS,)
    for name in metrics:
        np.testing.assert_allclose(metrics[name], metrics_alone[name], rtol=1e-4)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, atol=2e-5),
        parallel.unreplicate(state),
        alone,
    )


@pytest.mark.parametrize("num_devices", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_replicas_stay_identical(num_devices):
    state = train_on(num_devices)[0]
    leaves = jax.tree.leaves(state)
    assert all(len(leaf.addressable_shards) == num_devices for leaf in leaves)
    assert parallel.replicas_differ(state) == 0.0


def test_a_forgotten_synchronisation_is_noticed():
    state, metrics, _ = train_on(2, synchronised=False)
    assert parallel.replicas_differ(state) > 1e-3
    assert not np.allclose(metrics["loss_d"], train_on(1)[1]["loss_d"], rtol=1e-3)


def test_the_step_is_traced_as_often_for_two_calls_as_for_one():
    # Once for the metrics' shapes and the program itself, however often JAX looks at a loop's body.
    assert train_on(1)[2] == 1
    assert train_on(2)[2] <= 3


@pytest.mark.parametrize("num_devices", [1, 4])
def test_one_compilation_serves_chunks_of_every_length(num_devices):
    devices = jax.devices()[:num_devices]
    traces = []

    def step(state, inputs, position, shard):
        traces.append(position)
        return state + inputs[position], {"position": position}

    run = parallel.compile_steps(step, devices, chunk=5)
    state, inputs = parallel.replicate((jnp.float32(0), jnp.arange(10.0)), devices)
    state, history = run(state, inputs, 0, 0)
    after_first = len(traces)
    positions = []
    for first, steps in ((0, 5), (5, 1), (6, 3)):
        state, history = run(state, inputs, first, steps)
        positions += np.asarray(history["position"])[:steps].tolist()
    assert positions == list(range(9))
    assert float(parallel.unreplicate(state)) == 36.0
    assert len(traces) == after_first


@pytest.mark.parametrize("leaf", [np.arange(99.0), jnp.arange(3.0), jax.random.key(0), 2.5])
def test_a_copy_can_be_donated(leaf):
    double = jax.jit(lambda copy: jax.tree.map(lambda a: a, copy), donate_argnums=0)
    copy = parallel.copied({"leaf": leaf})
    assert jax.tree.leaves(copy)[0] is not leaf
    double(copy)
    np.testing.assert_array_equal(jax.tree.leaves(copy)[0].is_deleted(), True)
    if isinstance(leaf, jax.Array):
        assert not leaf.is_deleted()


def test_shards_cut_the_batch_into_consecutive_parts():
    batch = jnp.arange(12).reshape(6, 2)
    parts = [Shard(index, 3, "devices").take(batch) for index in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), batch)
    assert parts[0].shape == (2, 2)


def test_noise_of_a_sample_does_not_depend_on_the_shard():
    key = rngs.stream(rngs.root_key(0), "noise")
    whole = rngs.normal_per_sample(key, jnp.arange(8), 5)
    parts = [rngs.normal_per_sample(key, jnp.arange(8)[i : i + 2], 5) for i in range(0, 8, 2)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6)  # jax 0.12: to rounding
    assert abs(float(whole.mean())) < 0.5
    assert len(np.unique(whole)) == 40


@pytest.mark.parametrize(
    ("devices", "asked", "default", "size"),
    [(1, None, 100, 100), (8, None, 100, 104), (8, 64, 100, 64), (3, None, 64, 66), (7, 7, 100, 7)],
)
def test_batch_sizes_that_work(devices, asked, default, size):
    assert parallel.batch_size_for(devices, asked, default) == size


@pytest.mark.parametrize(
    ("devices", "asked", "nearest"), [(8, 100, "96 and 104"), (8, 5, "8"), (3, 100, "99 and 102")]
)
def test_an_indivisible_batch_size_is_refused_with_the_nearest(devices, asked, nearest):
    with pytest.raises(ConfigError, match=f"^batch_size {asked} .* nearest .*: {nearest}$"):
        parallel.batch_size_for(devices, asked, 100)
