import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.models import (
    Discriminator,
    Generator,
    dcgan,
    image_pyramid,
    possible_image_sizes,
)
from jaxdl.training.state import num_parameters


def shapes(model, example):
    return jax.eval_shape(lambda: model.init(jax.random.key(0), example, train=False))


def with_output(model, x):
    """The model's output with its first weights, and those; eager, each layer is compiled alone."""
    return jax.jit(lambda: model.init_with_output(jax.random.key(0), x, train=False))()


def test_the_course_s_numbers_of_parameters():
    generator = shapes(Generator(), jnp.zeros((1, 100)))["params"]
    discriminator = shapes(Discriminator(), jnp.zeros((1, 64, 64, 1)))["params"]
    assert num_parameters(generator) == 3_574_656
    assert num_parameters(discriminator) == 2_763_520


def test_the_course_s_layers():
    generator = shapes(Generator(), jnp.zeros((1, 100)))["params"]
    kernels = {n: p["kernel"].shape for n, p in generator.items() if "kernel" in p}
    assert kernels == {
        "conv_transpose_0": (4, 4, 100, 512),
        "conv_transpose_1": (4, 4, 512, 256),
        "conv_transpose_2": (4, 4, 256, 128),
        "conv_transpose_3": (4, 4, 128, 64),
        "conv_transpose_4": (4, 4, 64, 1),
    }
    discriminator = shapes(Discriminator(), jnp.zeros((1, 64, 64, 1)))["params"]
    assert sorted(discriminator) == [
        *("batch_norm_1", "batch_norm_2", "batch_norm_3"),
        *("conv_0", "conv_1", "conv_2", "conv_3", "conv_4"),
    ]
    leaves = [p for params in (generator, discriminator) for p in params.values()]
    assert all("bias" not in layer for layer in leaves if "kernel" in layer)


def test_initial_weights_have_the_course_s_distribution():
    init = jax.jit(lambda key: Generator().init(key, jnp.zeros((1, 100)), train=False))
    variables = jax.tree.map(np.asarray, init(jax.random.key(0)))
    kernel = variables["params"]["conv_transpose_1"]["kernel"]
    assert abs(float(kernel.mean())) < 2e-4
    assert float(kernel.std()) == pytest.approx(0.02, rel=0.01)
    scales = np.concatenate(
        [p["scale"] for n, p in variables["params"].items() if n.startswith("batch_norm")]
    )
    assert float(scales.mean()) == pytest.approx(1.0, abs=0.005)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.15)
    assert all(
        not p["bias"].any() for n, p in variables["params"].items() if n.startswith("batch_norm")
    )


def test_the_slope_of_leaky_relu_at_0_is_pytorchs(monkeypatch):
    """A black image makes every sum exactly 0, so both LeakyReLUs scale by their slope there."""
    model, image = Discriminator(features=4, image_size=16), jnp.zeros((1, 16, 16, 1))
    _, variables = with_output(model, image)

    def gradient():
        return jax.jit(jax.grad(lambda x: model.apply(variables, x, train=False)[0]))(image)

    ours = gradient()
    monkeypatch.setattr(dcgan, "LEAKY_SLOPE", 1.0)
    ours = np.asarray(ours)
    np.testing.assert_allclose(ours, 0.2**2 * gradient(), atol=1e-5 * abs(ours).max())


@pytest.mark.parametrize("image_size", [16, 28, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_size_and_both_channel_counts(image_size, channels):
    generator = Generator(features=2, image_size=image_size, channels=channels, latent_dim=7)
    discriminator = Discriminator(features=2, image_size=image_size)
    z = jnp.zeros((3, 7))
    images = jax.eval_shape(
        lambda: generator.init_with_output(jax.random.key(0), z, train=False)[0]
    )
    assert images.shape == (3, image_size, image_size, channels)
    logits = jax.eval_shape(
        lambda x: discriminator.init_with_output(jax.random.key(0), x, train=False)[0], images
    )
    assert logits.shape == (3,)


GENERATOR = Generator(features=2, image_size=16)


@pytest.fixture(scope="module")
def generated():
    """Noise, its images, and the variables of G."""
    z = np.random.default_rng(1).normal(0, 50, (64, 100)).astype(np.float32)
    return z, *with_output(GENERATOR, z)


def test_images_are_within_the_range_of_tanh_and_logits_are_not_probabilities(generated):
    images = np.asarray(generated[1])
    assert np.abs(images).max() <= 1
    logits = np.asarray(with_output(Discriminator(2, 16), 100 * images)[0])
    assert logits.min() < 0 < logits.max()


@pytest.mark.parametrize("image_size", [0, 1, 9, 30, 63, 65, 256, 300])
def test_an_impossible_size_is_refused_with_the_possible_ones(image_size):
    with pytest.raises(ConfigError, match=r"possible sizes: 16, 20, 24, 28, 32, .* 64, .* 128, "):
        image_pyramid(image_size)


def test_possible_sizes_are_those_the_pyramid_accepts():
    accepted = []
    for size in range(300):
        try:
            base, doublings = image_pyramid(size)
        except ConfigError:
            continue
        assert base * 2**doublings == size
        accepted.append(size)
    assert accepted == possible_image_sizes()


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"expected \(N, 100\)"):
        shapes(Generator(), jnp.zeros((1, 99)))
    with pytest.raises(ShapeError, match=r"\(1, 32, 32, 1\)"):
        shapes(Discriminator(), jnp.zeros((1, 32, 32, 1)))


def test_in_evaluation_an_image_depends_on_its_own_noise_alone(generated):
    z, together, variables = generated
    alone = jax.jit(lambda v, z: GENERATOR.apply(v, z, train=False))(variables, z[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-6)


CLASSES = Generator(2, 5, 16, num_classes=3), Discriminator(2, 16, num_classes=3)


def test_a_class_scales_and_shifts_each_channel(rng):
    """A class with the scale 1 + g and the shift b draws as a plain G whose BatchNorm has them."""
    z, labels = rng.normal(size=(4, 5)).astype(np.float32), np.array([0, 2, 2, 1])
    model, plain = CLASSES[0], Generator(2, 5, 16)
    variables = jax.jit(lambda: model.init(jax.random.key(0), z, labels, train=False))()
    draw = jax.jit(lambda v, y: model.apply(v, z, y, train=False))
    draw_plain = jax.jit(lambda v: plain.apply(v, z, train=False))
    rest = {n: v for n, v in variables["params"].items() if not n.startswith("class")}
    at_first = draw_plain({**variables, "params": rest})
    np.testing.assert_allclose(draw(variables, labels), at_first, atol=1e-6)
    variables = {
        "params": jax.tree.map(
            lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), variables["params"]
        ),
        "batch_stats": variables["batch_stats"],
    }
    images = draw(variables, labels)
    one_hot = np.eye(3, dtype=np.float32)[labels]
    np.testing.assert_allclose(draw(variables, one_hot), images, atol=1e-6)
    for number, label in enumerate(labels):
        params = {n: dict(v) for n, v in variables["params"].items() if not n.startswith("class")}
        for layer in range(2):
            scale, shift = (
                variables["params"][f"class_{what}_{layer}"]["kernel"][label]
                for what in ("scale", "shift")
            )
            norm = params[f"batch_norm_{layer}"]
            params[f"batch_norm_{layer}"] = {
                "scale": norm["scale"] * (1 + scale),
                "bias": norm["bias"] * (1 + scale) + shift,
            }
        expected = draw_plain({**variables, "params": params})[number]
        np.testing.assert_allclose(images[number], expected, atol=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "spectral"])
def test_d_adds_a_projection_on_the_class_to_its_logit(rng, normalization):
    x, labels = rng.normal(size=(4, 16, 16, 1)).astype(np.float32), np.array([0, 2, 2, 1])
    model = Discriminator(2, 16, num_classes=3, normalization=normalization)
    variables = jax.jit(lambda: model.init(jax.random.key(0), x, labels, train=False))()
    assert variables["params"]["projection"]["kernel"].shape == (4, 4, 4, 3)
    logits = jax.jit(lambda v, y: model.apply(v, x, y, train=False))
    of_each = np.stack([logits(variables, np.full(4, k)) for k in range(3)], axis=1)
    np.testing.assert_allclose(logits(variables, labels), of_each[np.arange(4), labels], atol=1e-6)
    assert np.abs(of_each - of_each.mean(1, keepdims=True)).max() > 1e-5
    # Twice the class's kernel, twice its part; spectral normalisation takes the factor out.
    kernel = {"kernel": 2 * variables["params"]["projection"]["kernel"]}
    doubled = {**variables, "params": {**variables["params"], "projection": kernel}}
    factor = 2 if normalization == "batch" else 1
    parts = of_each - of_each[:, :1]
    again = np.stack([logits(doubled, np.full(4, k)) for k in range(3)], axis=1)
    np.testing.assert_allclose(again - again[:, :1], factor * parts, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1])
def test_labels_are_needed_exactly_where_there_are_classes(which):
    model = CLASSES[which]
    x = jnp.zeros([(2, 5), (2, 16, 16, 1)][which])
    plain = model.clone(num_classes=0)
    for network, labels, message in (
        (model, None, "knows 3 classes, and no labels are given"),
        (plain, jnp.zeros(2, int), "knows 0 classes, and labels are given"),
        (model, jnp.zeros(3, int), r"labels have shape \(3,\); expected \(2,\) or \(2, 3\)"),
        (model, jnp.zeros((2, 2)), r"labels have shape \(2, 2\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            jax.eval_shape(lambda n=network, y=labels: n.init(jax.random.key(0), x, y, train=False))
