"""The average of G: its formula, and that training does not notice it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import optim
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan, rngs
from jaxdl.training.averaging import ema_decay, update_ema

SGD = optim.sgd(0.05)  # unlike Adam, it does not enlarge a rounding of a small gradient
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), np.uint8)


def start(average):
    networks = Generator(4, 6, 16), Discriminator(4, 16)
    state = gan.create_state(rngs.root_key(0), *networks, SGD, SGD)
    return state.with_average() if average else state


def steps(average, devices=1):
    """The states after each of three steps of 8 images."""
    recipe = gan.GANRecipe(8, ema_half_life=16)
    where = jax.devices()[:devices]
    run = parallel.compile_steps(functools.partial(gan.batch_step, recipe=recipe), where, 4)
    state = parallel.replicate(start(average), where)
    inputs = parallel.replicate(gan.GANInputs(IMAGES, np.arange(24), rngs.root_key(3)), where)
    states = []
    for position in range(3):
        state, _ = run(state, inputs, position, 1)
        states.append(jax.tree.map(np.asarray, parallel.unreplicate(state)))
    return states


def assert_close(a, b, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


@pytest.fixture(scope="module")
def averaged():
    return steps(average=True)


def test_the_average_follows_g_by_its_formula(averaged):
    average = jax.tree.map(np.asarray, start(False).generator.variables())
    for done, state in enumerate(averaged):
        decay = min(0.5 ** (8 / 16), (1 + done) / (10 + done))
        average = jax.tree.map(
            lambda old, new, d=decay: d * old + (1 - d) * new, average, state.generator.variables()
        )
        assert_close(state.average, average, rtol=1e-5, atol=1e-7)
    moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), average, state.generator.variables())
    assert min(jax.tree.leaves(moved)) > 0, "statistics are averaged too"


def test_training_does_not_notice_the_average(averaged):
    alone = steps(average=False)[0]  # later steps may carry another rounding further
    assert alone.average == {}
    ours = averaged[0].replace(average={})
    assert_close(ours.generator.variables(), alone.generator.variables(), rtol=1e-5, atol=1e-6)
    assert_close(ours.discriminator.params, alone.discriminator.params, rtol=1e-5, atol=1e-6)


def test_devices_keep_the_same_average(averaged):
    several = steps(average=True, devices=2)[0]
    assert_close(several.average, averaged[0].average, rtol=1e-4, atol=1e-5)


def test_images_are_drawn_by_the_average(averaged):
    noise = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    state = averaged[-1]
    predict = jax.jit(functools.partial(state.generator.model.apply, train=False))
    generate = jax.jit(gan.generate)
    raw, drawn = predict(state.generator.variables(), noise), generate(state, noise)
    assert np.abs(np.subtract(drawn, raw)).max() > 1e-4
    np.testing.assert_allclose(drawn, predict(state.average, noise), atol=1e-6)
    np.testing.assert_allclose(generate(state.replace(average={}), noise), raw, atol=1e-6)


def test_half_of_the_past_is_forgotten_after_the_half_life():
    decay = ema_decay(1000, 100)
    value = jnp.float32(1)
    update = jax.jit(lambda value, step: update_ema(value, jnp.float32(0), decay, step))
    for step in range(1000, 1010):
        value = update(value, step)
    assert float(value) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("half_life", [0, -1, float("nan")])
def test_a_half_life_is_positive(half_life):
    with pytest.raises(ConfigError, match="half_life is"):
        ema_decay(half_life, 100)
