"""The adversarial step against the course's PyTorch loop (stored by references/make_dcgan.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim
from jaxdl.errors import ShapeError
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan

REFERENCES = Path(__file__).parents[1] / "references"
METRICS = ("loss_d", "loss_g", "d_x", "d_g_z1", "d_g_z2")
ADAM = optim.adam(2e-4, b1=0.5)  # one object, so that jit compiles the step once
PARTS = {
    "weight": "params",
    "bias": "params",
    "running_mean": "stats",
    "running_var": "stats",
    "exp_avg": "mu",
    "exp_avg_sq": "nu",
}
FLAX_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCES / "dcgan.npz") as stored:
        return dict(stored)


def network_trees(reference, prefix, network):
    """Parameters, statistics and Adam's moments of G or D from its PyTorch `nn.Sequential`."""
    prefix = f"{prefix}.{network}."
    stored = {n.removeprefix(prefix): v for n, v in reference.items() if n.startswith(prefix)}
    trees = {part: {} for part in PARTS.values()}
    for name, value in stored.items():
        index, array, *moment = name.split(".")
        part = PARTS[moment[0] if moment else array]
        # Layers of three modules (convolution, BatchNorm, activation); D's first has no BatchNorm.
        layer, module = divmod(int(index) + (network == "d" and int(index) > 0), 3)
        if f"{index}.running_mean" in stored:
            trees[part].setdefault(f"batch_norm_{layer}", {})[FLAX_NAMES[array]] = value
        else:
            assert module == 0
            trees[part][conv_name(network, layer)] = {"kernel": kernel(value, network)}
    return trees


def conv_name(network, layer):
    return f"conv_transpose_{layer}" if network == "g" else f"conv_{layer}"


def kernel(weight, network):
    if network == "g":
        return weight.transpose(2, 3, 0, 1)[::-1, ::-1]
    return weight.transpose(2, 3, 1, 0)


def state_from(reference, prefix, step=0, dtype=jnp.float32):
    """The stored state after so many steps; for images of 32 pixels in float32, of 64 else."""
    size = 32 if prefix.startswith("float32") else 64
    nets = Generator(2, 4, size, dtype=dtype), Discriminator(2, size, dtype=dtype)
    state = gan.create_state(jax.random.key(0), *nets, ADAM, ADAM)
    trees_g, trees_d = (network_trees(reference, prefix, network) for network in "gd")
    return state.replace(
        step=jnp.asarray(step, jnp.int32),
        generator=with_trees(state.generator, trees_g, step, dtype),
        discriminator=with_trees(state.discriminator, trees_d, step, dtype),
    )


def with_trees(network, trees, step, dtype):
    trees = jax.tree.map(lambda x: jnp.asarray(x.astype(dtype)), trees)
    assert jax.tree.map(jnp.shape, trees["params"]) == jax.tree.map(jnp.shape, network.params)
    assert jax.tree.map(jnp.shape, trees["stats"]) == jax.tree.map(jnp.shape, network.batch_stats)
    opt_state = jax.jit(ADAM.init)(trees["params"])
    if step:
        moments = {"count": jnp.asarray(step, jnp.int32), "mu": trees["mu"], "nu": trees["nu"]}
        opt_state = optax.tree_utils.tree_set(opt_state, **moments)
    return network.replace(params=trees["params"], batch_stats=trees["stats"], opt_state=opt_state)


def real_batch(reference, step=0, scale=4, size=6):
    chosen = np.arange(step * size, (step + 1) * size) % len(reference["images"])
    images = reference["images"][chosen].repeat(scale, axis=1).repeat(scale, axis=2)[..., None]
    return (images.astype(np.float32) / 255 - np.float32(0.5)) / np.float32(0.5)


TRAIN_STEP = jax.jit(gan.train_step)


def train(state, real, noise):
    state, metrics = TRAIN_STEP(state, real, noise)
    return state, [float(metrics[name]) for name in METRICS]


def zip_leaves(*trees):
    """Leaves side by side as NumPy arrays, which are float64 outside `enable_x64` too."""
    assert len({jax.tree.structure(tree) for tree in trees}) == 1
    return zip(*([np.asarray(x) for x in jax.tree.leaves(tree)] for tree in trees), strict=True)


@pytest.fixture(scope="module")
def ten_steps(reference):
    """In float64, where rounding stays small; in float32 it grows tenfold in a few steps."""
    with jax.enable_x64(True):
        start = state_from(reference, "before", dtype=jnp.float64)
        state, history = start, []
        for step, noise in enumerate(reference["noise"]):
            real = real_batch(reference, step, scale=8)
            state, metrics = train(state, real.astype(np.float64), noise.astype(np.float64))
            history.append(metrics)
    return start, state, np.array(history)


def test_ten_steps_give_pytorch_s_losses_and_outputs(reference, ten_steps):
    np.testing.assert_allclose(ten_steps[2], reference["metrics"], rtol=1e-9)


@pytest.mark.parametrize(("network", "name"), [("g", "generator"), ("d", "discriminator")])
def test_ten_steps_give_pytorch_s_parameters_and_statistics(reference, ten_steps, network, name):
    start, trained = (getattr(state, name) for state in ten_steps[:2])
    theirs = network_trees(reference, "after", network)
    for before, ours, after in zip_leaves(start.params, trained.params, theirs["params"]):
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, after, rtol=0, atol=1e-9)
        # Ten Adam steps of 2e-4 move a parameter by up to 2e-3.
        assert np.abs(after - before).max() > 5e-4
    for ours, after in zip_leaves(trained.batch_stats, theirs["stats"]):
        np.testing.assert_allclose(ours, after, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("step", [0, 6])
def test_a_step_in_float32_gives_pytorch_s_numbers(reference, step):
    """From PyTorch's state, on activations that are not close to the kink of a ReLU.

    A few numbers may differ: rounding decides in which direction Adam's first step takes a weight
    that has hardly any gradient.
    """
    prefix = f"float32.{step}"
    state = state_from(reference, f"{prefix}.before", step)
    state, metrics = train(state, real_batch(reference, step), reference[f"{prefix}.noise"])
    np.testing.assert_allclose(metrics, reference[f"{prefix}.metrics"], rtol=1e-5)
    for network, trained in (("g", state.generator), ("d", state.discriminator)):
        theirs = network_trees(reference, f"{prefix}.after", network)
        mean = optax.tree_utils.tree_get(trained.opt_state, "mu")
        for ours, after in zip_leaves(trained.batch_stats, theirs["stats"]):
            np.testing.assert_allclose(ours, after, rtol=1e-5, atol=1e-6)
        for ours, after in zip_leaves((trained.params, mean), (theirs["params"], theirs["mu"])):
            difference = np.abs(ours - after)
            assert (difference > 1e-5).mean() < 0.01
            assert difference.max() < 4.1e-4  # two steps of 2e-4, if the direction is the other


def test_a_step_is_pure_and_gives_the_structure_it_got(reference):
    state = state_from(reference, "float32.0.before")
    copy = jax.tree.map(np.array, state)
    real, noise = real_batch(reference), reference["float32.0.noise"]
    new, metrics = TRAIN_STEP(state, real, noise)
    again, metrics_again = TRAIN_STEP(state, real, noise)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(new)] == [
        (x.shape, x.dtype) for x in jax.tree.leaves(state)
    ]
    jax.tree.map(np.testing.assert_array_equal, copy, jax.tree.map(np.array, state))
    jax.tree.map(np.testing.assert_array_equal, new, again)
    assert metrics == metrics_again
    assert int(new.step) == 1


def test_the_discriminator_sees_real_and_generated_images_in_separate_passes(reference):
    """Three passes: the running mean after a step is not what one mixed pass would leave."""
    state = state_from(reference, "float32.0.before")
    real, noise = real_batch(reference), reference["float32.0.noise"]
    forward = jax.jit(lambda network, x: network.forward(x))
    fake, _ = forward(state.generator, noise)
    new, _ = TRAIN_STEP(state, real, noise)
    after_real = state.discriminator.replace(batch_stats=forward(state.discriminator, real)[1])
    after_fake = after_real.replace(batch_stats=forward(after_real, fake)[1])
    updated = after_fake.replace(params=new.discriminator.params)
    expected = forward(updated, fake)[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        new.discriminator.batch_stats,
        expected,
    )


def test_losses_stay_finite_for_a_certain_discriminator(reference):
    """Logits are never turned into probabilities on the way to a loss."""
    state = state_from(reference, "float32.0.before")
    params = dict(state.discriminator.params)
    params["conv_3"] = {"kernel": 1e4 * params["conv_3"]["kernel"]}
    state = state.replace(discriminator=state.discriminator.replace(params=params))
    real, noise = real_batch(reference), reference["float32.0.noise"]
    new, metrics = TRAIN_STEP(state, real, noise)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(new))
    assert float(metrics["loss_d"]) > 20


def test_batches_of_different_size_are_refused(reference):
    state = state_from(reference, "float32.0.before")
    with pytest.raises(ShapeError, match="6 real images but 5 noise vectors"):
        gan.train_step(state, real_batch(reference), reference["float32.0.noise"][:5])
