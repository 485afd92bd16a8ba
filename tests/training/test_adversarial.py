"""Other adversarial losses than the course's, several steps of D, other normalisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses, optim
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError
from jaxdl.losses.wasserstein import slopes
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan, rngs

ADAM = optim.adam(1e-3, b1=0.5)
GENERATOR = Generator(4, 6, 16)
CRITIC = Discriminator(4, 16, normalization="none")
WASSERSTEIN = gan.GANRecipe(4, losses.wasserstein(), discriminator_steps=2)
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), np.uint8)


@functools.cache
def start(discriminator=CRITIC):
    return gan.create_state(rngs.root_key(0), GENERATOR, discriminator, ADAM, ADAM)


def steps(recipe, count=2, devices=1, discriminator=CRITIC, images=IMAGES):
    inputs = gan.GANInputs(images, np.arange(24), rngs.root_key(3))
    where = jax.devices()[:devices]
    run = compiled(recipe, devices)
    state = parallel.replicate(parallel.copied(start(discriminator)), where)  # donated
    state, history = run(state, parallel.replicate(inputs, where), 0, count)
    return parallel.unreplicate(state), parallel.unreplicate(history)


@functools.cache
def compiled(recipe, devices):
    step = functools.partial(gan.batch_step, recipe=recipe)
    return parallel.compile_steps(step, jax.devices()[:devices], 4)


def test_wasserstein_s_penalty_is_that_of_a_linear_critic():
    """A critic a·x has the slope ‖a‖ everywhere: the penalty is λ(‖a‖ − 1)²."""
    a = np.arange(8.0).reshape(2, 2, 2)

    def critic(images):
        return jnp.einsum("nijk,ijk->n", images, a)

    points = np.ones((3, 2, 2, 2)), np.zeros((3, 2, 2, 2)), np.array([0.0, 0.5, 1.0])
    norm = np.sqrt((a**2).sum())
    loss = losses.wasserstein(penalty_weight=2.0)
    found = jax.jit(lambda *points: [f(critic, *points) for f in (slopes, loss.penalty)])(*points)
    np.testing.assert_allclose(found[0], [norm] * 3, rtol=1e-6)
    assert float(found[1]) == pytest.approx(2 * (norm - 1) ** 2, rel=1e-6)
    assert float(loss.discriminator(jnp.array([3.0, 1.0]), jnp.array([0.5, 0.5]))) == -1.5
    assert float(loss.generator(jnp.array([0.5, 1.5]))) == -1


def test_a_slope_of_0_has_a_finite_gradient():
    x = jnp.zeros((2, 2, 2, 1))
    penalty = losses.wasserstein().penalty

    def of_slope(w):
        return penalty(lambda images: w * images.sum((1, 2, 3)), x, x, jnp.zeros(2))

    assert np.isfinite(jax.jit(jax.grad(of_slope))(0.0))
    with pytest.raises(ConfigError, match="penalty_weight is -1"):
        losses.wasserstein(-1)


@pytest.mark.parametrize("devices", [2])
def test_several_devices_draw_the_same_penalty(devices):
    recipe = WASSERSTEIN
    (one, seen), (several, shown) = steps(recipe), steps(recipe, devices=devices)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), one, several)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), seen, shown)


def test_d_takes_as_many_steps_as_asked_for_each_on_its_own_batch():
    state, _ = steps(WASSERSTEIN, count=2)
    counts = [int(each.opt_state[1].count) for each in (state.generator, state.discriminator)]
    assert (int(state.step), *counts) == (2, 2, 4)
    other = IMAGES.copy()
    other[4:8] = 255 - other[4:8]  # the second batch, which only D's second update sees
    changed, same = (steps(WASSERSTEIN, 1, images=images)[0] for images in (other, IMAGES))
    kernels = [s.discriminator.params["conv_0"]["kernel"] for s in (changed, same)]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-5


def test_the_losses_of_a_step_are_those_that_were_given():
    recipe = gan.GANRecipe(4, losses.wasserstein(0.0))
    real, fake = jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])
    assert float(recipe.loss.discriminator(real, fake)) == 0.5
    _, seen = steps(recipe, count=1)
    np.testing.assert_allclose(seen["loss_d"][0], seen["d_g_z1"][0] - seen["d_x"][0], rtol=1e-5)
    np.testing.assert_allclose(seen["loss_g"][0], -seen["d_g_z2"][0], rtol=1e-5)


@pytest.mark.parametrize(("normalization", "names"), [("none", []), ("layer", ["layer_norm_1"])])
def test_normalization_of_d(normalization, names):
    state = start(Discriminator(4, 16, normalization=normalization)).discriminator
    assert state.batch_stats == {}
    assert [name for name in state.params if "norm" in name] == names
    x = np.random.default_rng(1).normal(size=(2, 3, 16, 16, 1)).astype(np.float32)
    x[1, 0] = x[0, 0]
    one, other = map(jax.jit(lambda x: state.forward(x)[0]), x)
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.abs(np.subtract(one, other)[1:]).min() > 1e-5
    with pytest.raises(ConfigError, match="normalization 'group': choose batch, layer, none"):
        start(Discriminator(4, 16, normalization="group"))


def test_a_recipe_knows_its_batches_and_what_does_not_go_together():
    recipe = gan.GANRecipe(4, discriminator_steps=3)
    assert recipe.steps_per_epoch(24) == 2
    inputs = gan.GANInputs(IMAGES, jnp.arange(24)[::-1], rngs.root_key(3))
    assert recipe.batches(inputs, 1).tolist() == list(range(11, -1, -1))
    with pytest.raises(ConfigError, match="discriminator_steps is 0"):
        gan.GANRecipe(4, discriminator_steps=0).steps_per_epoch(24)
    with pytest.raises(ConfigError, match="BatchNorm mixes them"):
        steps(gan.GANRecipe(4, losses.wasserstein()), discriminator=Discriminator(4, 16))
