"""Other adversarial losses than the course's, several steps of D, other normalisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses, optim
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.losses.gradient_penalties import slopes
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan, rngs
from jaxdl.training.gan_step import Occasion, packed

ADAM = optim.adam(1e-3, b1=0.5)
GENERATOR = Generator(4, 6, 16)
CRITIC = Discriminator(4, 16, normalization="none")
WASSERSTEIN = gan.GANRecipe(4, losses.wasserstein(), discriminator_steps=2)
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), np.uint8)


@functools.cache
def start(discriminator=CRITIC, pack=1):
    return gan.create_state(rngs.root_key(0), GENERATOR, discriminator, ADAM, ADAM, pack)


def steps(recipe, count=2, devices=1, discriminator=CRITIC, images=IMAGES):
    inputs = gan.GANInputs(images, np.arange(24), rngs.root_key(3))
    where = jax.devices()[:devices]
    run = compiled(recipe, devices)
    state = parallel.replicate(parallel.copied(start(discriminator, recipe.pack)), where)  # donated
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
    assert float(loss.generator(None, jnp.array([0.5, 1.5]))) == -1


def test_a_slope_of_0_has_a_finite_gradient():
    x = jnp.zeros((2, 2, 2, 1))
    penalty = losses.wasserstein().penalty

    def of_slope(w):
        return penalty(lambda images: w * images.sum((1, 2, 3)), x, x, jnp.zeros(2))

    assert np.isfinite(jax.jit(jax.grad(of_slope))(0.0))
    with pytest.raises(ConfigError, match="penalty_weight is -1"):
        losses.wasserstein(-1)


PLAIN = Discriminator(4, 16)
SPECTRAL = Discriminator(4, 16, normalization="spectral")
R1_AND_R2 = losses.gradient_penalties.sum_of(
    losses.gradient_penalties.r1(2.0), losses.gradient_penalties.r2(1.0)
)
RECIPES = {
    "wasserstein": (WASSERSTEIN, CRITIC),
    "relativistic": (gan.GANRecipe(4, losses.RELATIVISTIC), PLAIN),
    "r1 and r2": (gan.GANRecipe(4, losses.RELATIVISTIC._replace(penalty=R1_AND_R2)), CRITIC),
    "spectral": (gan.GANRecipe(4, losses.HINGE), SPECTRAL),
    "packs": (gan.GANRecipe(8, losses.wasserstein(), pack=2), CRITIC),
    "augmented": (gan.GANRecipe(4, diff_augment=True), PLAIN),
}


QUICK = ("r1 and r2",)  # the others' parts are slow tests


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECIPES]
)
def test_several_devices_do_what_one_does(name):
    recipe, discriminator = RECIPES[name]
    (one, seen), (several, shown) = (
        steps(recipe, devices=devices, discriminator=discriminator) for devices in (1, 2)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), one, several)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), seen, shown)


def test_a_relative_loss_of_g_compares_with_real_images_under_the_new_d():
    """By hand, from the pieces of the step."""
    state = start(PLAIN)
    rng = np.random.default_rng(5)
    real = rng.uniform(-1, 1, (4, 16, 16, 1)).astype(np.float32)
    noise = rng.normal(size=(4, 6)).astype(np.float32)
    step = jax.jit(functools.partial(gan.train_step, loss=losses.RELATIVISTIC))
    new, metrics = step(state, real, noise)

    @jax.jit
    def by_hand(state, trained):
        fake, _ = state.generator.forward(noise)
        before = state.discriminator
        for images in (real, fake):
            before = before.replace(batch_stats=before.forward(images)[1])
        after = before.replace(params=trained)
        of_real, stats = after.forward(real)
        of_fake, stats = after.replace(batch_stats=stats).forward(fake)
        return jax.nn.softplus(of_real - of_fake).mean(), stats

    loss, stats = by_hand(state, new.discriminator.params)
    assert float(metrics["loss_g"]) == pytest.approx(float(loss), rel=1e-5)
    compare = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(compare, new.discriminator.batch_stats, stats)


def test_packs_are_images_stacked_as_channels_and_penalties_are_about_packs():
    images = np.arange(4 * 2 * 2 * 3).reshape(4, 2, 2, 3)
    packs = packed(jnp.asarray(images), 2)
    assert packs.shape == (2, 2, 2, 6)
    for pack, channel in np.ndindex(2, 6):
        expected = images[2 * pack + channel // 3, :, :, channel % 3]
        np.testing.assert_array_equal(packs[pack, :, :, channel], expected)
    with pytest.raises(ShapeError, match="4 images do not make packs of 3"):
        packed(jnp.asarray(images), 3)
    recipe, discriminator = RECIPES["packs"]
    state, _ = steps(recipe, 1, discriminator=discriminator)
    assert state.discriminator.params["conv_0"]["kernel"].shape == (4, 4, 2, 4)
    seen = []

    def penalty(critic, real, fake, mix):
        seen.append((real.shape, fake.shape, mix.shape, critic(real).shape))
        return 0.0

    peeking = gan.GANRecipe(8, losses.HINGE._replace(penalty=penalty), pack=2)
    steps(peeking, 1, discriminator=discriminator)
    assert set(seen) == {((4, 16, 16, 2), (4, 16, 16, 2), (4,), (4,))}


def test_each_pass_of_d_in_training_takes_one_step_of_power_iteration():
    before = start(SPECTRAL).discriminator
    after, _ = steps(*RECIPES["spectral"][:1], count=1, discriminator=SPECTRAL)
    matrix = before.params["conv_0"]["kernel"].reshape(16, 4)
    new = after.discriminator.params["conv_0"]["kernel"].reshape(16, 4)
    u = before.batch_stats["conv_0"]["u"]
    for each in (matrix, matrix, new):  # two passes for D, one for G under the new D
        v = each @ u
        u = each.T @ (v / jnp.linalg.norm(v))
        u = u / jnp.linalg.norm(u)
    np.testing.assert_allclose(after.discriminator.batch_stats["conv_0"]["u"], u, atol=1e-5)


def test_d_is_shown_each_kind_of_images_by_draws_of_its_own():
    shown = []

    def show(images, occasion):
        shown.append(occasion)
        return images

    noise = np.zeros((4, 6), np.float32)
    arguments = (start(PLAIN), jnp.zeros((4, 16, 16, 1)), noise)
    for loss, fifth in ((losses.HINGE, []), (losses.RELATIVISTIC, [Occasion.REAL_FOR_G])):
        shown.clear()
        jax.eval_shape(lambda *a, loss=loss: gan.train_step(*a, loss=loss, show=show), *arguments)
        assert [*dict.fromkeys(shown)] == [
            *(Occasion.REAL, Occasion.FAKE),
            *fifth,
            Occasion.FAKE_FOR_G,
        ]
    plain, augmented = (
        steps(gan.GANRecipe(4, diff_augment=on), 1, discriminator=PLAIN)[1] for on in (False, True)
    )
    assert abs(float(plain["d_x"][0]) - float(augmented["d_x"][0])) > 1e-4


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
    with pytest.raises(ConfigError, match="'group': choose batch, layer, none, spectral"):
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


TOLD = Generator(4, 6, 16, num_classes=3), Discriminator(4, 16, num_classes=3)
LABELS = np.arange(24, dtype=np.int32) % 3


@functools.cache
def told_steps(devices, labels=tuple(LABELS)):
    state = gan.create_state(rngs.root_key(0), *TOLD, ADAM, ADAM)
    labels = np.array(labels, np.int32)
    inputs = gan.GANInputs(IMAGES, np.arange(24), rngs.root_key(3), labels=labels)
    where = jax.devices()[:devices]
    run = compiled(gan.GANRecipe(4, discriminator_steps=2), devices)
    state, history = run(parallel.replicate(state, where), parallel.replicate(inputs, where), 0, 2)
    return parallel.unreplicate(state), parallel.unreplicate(history)


@pytest.mark.slow
def test_several_devices_share_the_labels():
    (one, seen), (several, shown) = told_steps(1), told_steps(2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), one, several)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), seen, shown)


def test_both_networks_learn_of_the_batch_s_classes_only():
    """Classes that the first batch lacks keep their weights in the first step."""
    before = gan.create_state(rngs.root_key(0), *TOLD, ADAM, ADAM)
    real = jnp.asarray(IMAGES[:4] / 127.5 - 1, jnp.float32)
    noise = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    step = jax.jit(gan.train_step)
    after, _ = step(before, real, noise, labels=jnp.array([0, 2, 0, 2]))
    moved = [
        np.abs(new - old).max(axis=axes)
        for new, old, axes in (
            (
                after.generator.params["class_shift_0"]["kernel"],
                before.generator.params["class_shift_0"]["kernel"],
                1,
            ),
            (
                after.discriminator.params["projection"]["kernel"],
                before.discriminator.params["projection"]["kernel"],
                (0, 1, 2),
            ),
        )
    ]
    for each in moved:
        assert (each > 1e-4).tolist() == [True, False, True]
