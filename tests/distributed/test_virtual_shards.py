"""Virtual shards: the same bits on 1, 2, 4 and 8 devices, and the ordinary step's numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from jaxdl.data import Split
from jaxdl.distributed import parallel
from jaxdl.distributed.virtual_shards import Segment, check_shards, make_plan, with_virtual_shards
from jaxdl.errors import ConfigError
from jaxdl.models import MLP, Discriminator, Generator
from jaxdl.run.classifier_task import ClassifierOptions
from jaxdl.run.classifiers import fit_classifier
from jaxdl.run.task import RunOptions
from jaxdl.training import gan, rngs

pytestmark = pytest.mark.usefixtures("optimized")
COUNTS = (1, 2, 4, 8)


SLOW = pytest.mark.slow


def run_on(devices, step, state, inputs):
    """The state and the metrics after one step."""
    return run_calls(devices, step, state, inputs, [1])[0]


def run_calls(devices, step, state, inputs, calls):
    """The state and the metrics after each of some calls, of so many steps, of one program."""
    devices, found, first = jax.devices()[:devices], [], 0
    run = parallel.compile_steps(step, devices, max(calls))
    state, inputs = parallel.replicate((parallel.copied(state), inputs), devices)
    for steps in calls:
        state, history = run(state, inputs, first, steps)
        assert parallel.replicas_differ(state) == 0
        found.append(jax.tree.map(np.array, parallel.unreplicate((state, history))))
        first += steps
    return found


@functools.cache
def gan_run(devices, shards):
    """DCGAN after one step and after three, from the same state on the same batches.

    By plain gradient descent, which amplifies no rounding.
    """
    descent = optax.sgd(0.01)
    nets = Generator(4, 8, 16), Discriminator(4, 16)
    state = gan.create_state(jax.random.key(0), *nets, descent, descent)
    images = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 1), np.uint8)
    inputs = gan.GANInputs(images, np.arange(64), rngs.root_key(3))
    step = functools.partial(gan.batch_step, recipe=gan.GANRecipe(16))
    step = with_virtual_shards(step, shards) if shards else step
    return run_calls(devices, step, state, inputs, [1, 2])


def assert_same_bits(ours, theirs):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) > 4
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our, their, strict=True)


@SLOW
@pytest.mark.parametrize("devices", [2, 8])
def test_dcgan_has_the_same_bits_on_any_number_of_devices(devices):
    assert_same_bits(gan_run(devices, 8), gan_run(1, 8))


@SLOW
def test_fewer_shards_than_devices_there_are():
    assert_same_bits(gan_run(2, 2), gan_run(1, 2))


@SLOW
def test_ordinary_parallelism_has_not():
    """Or these tests would show nothing."""
    one, eight = gan_run(1, None), gan_run(8, None)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (one, eight)), strict=True))


@SLOW
@pytest.mark.parametrize("shards", [1, 8])
def test_the_numbers_are_the_ordinary_step_s(shards):
    runs = (jax.tree.leaves(gan_run(1, s)[0]) for s in (None, shards))
    for ordinary, sharded in zip(*runs, strict=True):
        np.testing.assert_allclose(sharded, ordinary, atol=2e-6)


@functools.cache
def classifier_run(devices):
    """Dropout, augmentation, two seeds and a short last batch (44 = 2 × 16 + 12).

    Seeds take turns even on accelerators then; mapped together they would not have the same bits.
    """

    def noise(key, images, positions):
        draws = rngs.uniform_per_sample(key, positions)[:, None, None, None]
        return (images * draws).astype(jnp.uint8)

    rng = np.random.default_rng(0)
    part = Split(
        rng.integers(0, 256, (44, 10, 10, 1), np.uint8), rng.integers(0, 10, 44).astype(np.int32)
    )
    fitted = fit_classifier(
        MLP(hidden=(16, 8), dropout_rate=0.3),
        optax.sgd(0.1),
        part,
        {"test": part},
        epochs=2,
        batch_size=16,
        how=ClassifierOptions(seeds=(0, 5), augment=noise),
        options=RunOptions(devices=jax.devices()[:devices], virtual_shards=8),
    )
    return fitted.state, [fitted.log.series(name) for name in ("loss", "accuracy")]


@SLOW
@pytest.mark.parametrize("devices", [2, 8])
def test_classifiers_have_the_same_bits_on_any_number_of_devices(devices):
    (state, log), (state_alone, log_alone) = classifier_run(devices), classifier_run(1)
    assert_same_bits(state, state_alone)
    assert log == log_alone


@pytest.mark.parametrize("devices", COUNTS)
def test_sums_are_taken_along_the_tree(devices):
    """Numbers whose sum depends on the order: 5 from left to right, 4 by neighbours."""
    values = np.array([1e8, 1, -1e8, 1, 1, 1, 1, 1], np.float32)
    a, b, c, d = values.reshape(4, 2).sum(1)
    expected = (a + b) + (c + d)
    assert (expected, functools.reduce(np.add, values)) == (4, 5)

    def step(state, batch, position, shard):
        return state + lax.psum(shard.take(batch)[0], shard.axis_name), {}

    state, _ = run_on(devices, with_virtual_shards(step, 8), jnp.float32(0), values)
    assert state == expected


def test_what_all_shards_share_is_computed_once_and_added_up_count_times():
    def step(state, batch, position, shard):
        shared = jnp.tanh(state)
        total = lax.psum((shared, 3.0, shard.take(batch).sum()), shard.axis_name)
        return total[0] + total[1] + total[2] * shared, {"count": lax.axis_size(shard.axis_name)}

    batch = jnp.arange(8.0)
    for devices in (1, 4):
        state, history = run_on(devices, with_virtual_shards(step, 4), jnp.float32(1), batch)
        assert state == pytest.approx(4 * np.tanh(1) + 12 + 28 * np.tanh(1))
        assert history["count"].tolist() == [4]

    def shared_only(index, state):
        return jnp.tanh(state) + 1

    parts = make_plan(jax.make_jaxpr(shared_only)(0, 1.0)).parts
    assert not any(isinstance(part, Segment) for part in parts)
    assert len(parts) == 2


def test_a_plan_keeps_only_what_is_needed_later():
    def step(index, x):
        doubled = x * index
        unused = jnp.sin(doubled)
        total = lax.psum(doubled + 0 * unused, "virtual shards")
        return lax.psum(doubled * total, "virtual shards")

    traced = jax.make_jaxpr(step, axis_env=[("virtual shards", 4)])(jnp.int32(0), 1.0)
    segments = [part for part in make_plan(traced).parts if isinstance(part, Segment)]
    assert [len(segment.outputs) for segment in segments] == [2, 1]  # the summand, and `doubled`


def test_what_wraps_a_sum_is_looked_into_and_effects_keep_their_place(capfd):
    constant = np.array([2.0, 3.0], np.float32)

    def step(state, batch, position, shard):
        own = shard.take(batch).sum()
        jax.debug.print("own {}", own)
        add_up = functools.partial(lax.psum, axis_name=shard.axis_name)
        total = jax.jit(add_up)(own) + jax.checkpoint(add_up)(own)
        return state + total + jax.jit(add_up)(constant).sum(), {}

    state, _ = run_on(1, with_virtual_shards(step, 4), jnp.float32(0), jnp.arange(8.0))
    assert state == 2 * 28 + 4 * 5
    jax.effects_barrier()
    assert [line for line in capfd.readouterr().out.splitlines() if "own" in line] == [
        f"own {number}" for number in (1.0, 5.0, 9.0, 13.0)
    ]


def test_a_batch_without_equal_shards_is_refused():
    def step(state, batch, position, shard):
        return state + lax.psum(shard.take(batch).sum(), shard.axis_name), {}

    with pytest.raises(ConfigError, match="a batch of 10 cannot be cut into 4 equal shares"):
        run_on(1, with_virtual_shards(step, 4), jnp.float32(0), jnp.arange(10.0))


def _sums_in_groups(state, batch, position, shard):
    groups = [[0, 1], [2, 3]]
    own = shard.take(batch).sum()
    return state + lax.psum(own, shard.axis_name, axis_index_groups=groups), {}


def _differs(state, batch, position, shard):
    return state + shard.take(batch).sum(), {}


def _uses_index(state, batch, position, shard):
    return state + lax.psum(lax.axis_index(shard.axis_name), shard.axis_name), {}


def _then_summed(collective):
    def step(state, batch, position, shard):
        own = shard.take(batch).sum()
        return state + lax.psum(collective(own, shard.axis_name).sum(), shard.axis_name), {}

    return step


def _passes_on(own, axis):
    return lax.ppermute(own, axis, [(i, (i + 1) % 4) for i in range(4)])


def _passes_on_in_a_loop(own, axis):
    return lax.fori_loop(0, 2, lambda _, x: _passes_on(x, axis), own)


def _exchanges(own, axis):
    return lax.all_to_all(jnp.broadcast_to(own, (4,)), axis, 0, 0)


def _scans(state, batch, position, shard):
    def body(total, x):
        return total + lax.psum(x, shard.axis_name), None

    return lax.scan(body, state, shard.take(batch))[0], {}


def _branches(state, batch, position, shard):
    own = shard.take(batch).sum()
    return state + lax.cond(
        state > 0, lambda x: lax.psum(x, shard.axis_name), jnp.zeros_like, own
    ), {}


def _loops(state, batch, position, shard):
    def body(i, total):
        return total + lax.psum(shard.take(batch).sum(), shard.axis_name)

    return lax.fori_loop(0, 3, body, state), {}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (_differs, "a result of the step differs between the shards"),
        (_uses_index, "uses its shard's axis in 'axis_index'"),
        (_sums_in_groups, "uses its shard's axis in 'psum'"),
        (_then_summed(lax.pmax), "uses its shard's axis in 'pmax'"),
        (_then_summed(lax.all_gather), "uses its shard's axis in 'all_gather'"),
        (_then_summed(_exchanges), "uses its shard's axis in 'all_to_all'"),
        (_then_summed(_passes_on), "uses its shard's axis in 'ppermute'"),
        (_then_summed(jax.jit(_passes_on, static_argnums=1)), "axis in 'ppermute'"),
        (_then_summed(_passes_on_in_a_loop), "uses its shard's axis in '(while|scan)'"),
        (_scans, "uses its shard's axis in 'scan'"),
        (_branches, "uses its shard's axis in 'cond'"),
        (_loops, "uses its shard's axis in '(while|scan)'"),
    ],
)
def test_a_step_without_a_fixed_order_is_refused(step, message):
    with pytest.raises(ConfigError, match=message):
        run_on(1, with_virtual_shards(step, 4), jnp.float32(0), jnp.arange(8.0))


@pytest.mark.parametrize(
    ("count", "devices", "message"),
    [
        (6, 1, "virtual_shards 6: expected a power of two"),
        (4, 8, "4 cannot be spread over 8 devices: choose 1, 2, 4 of them$"),
        (8, 3, "8 cannot be spread over 3 devices: choose 1, 2, 4, 8 of them$"),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(count, devices, message):
    with pytest.raises(ConfigError, match=message):
        check_shards(count, devices)
    assert check_shards(8, 4) is None
