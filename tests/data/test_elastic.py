"""Elastic distortion against SciPy, and augmentations by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxdl.data import augmentation
from jaxdl.errors import ConfigError

KEY = jax.random.key(7)
distort = jax.jit(augmentation.elastic_distortion, static_argnums=(2, 3))


def with_scipy(images, fields, alpha, sigma):
    """The paper's recipe for one-channel images, with draws given."""
    distorted = []
    for image, (down, right) in zip(images[..., 0], fields, strict=True):
        moves = [
            alpha * ndimage.gaussian_filter(np.float64(field), sigma, mode="constant")
            for field in (down, right)
        ]
        places = np.indices(image.shape) + moves
        distorted.append(
            ndimage.map_coordinates(np.float64(image), places, order=1, mode="grid-constant")
        )
    return np.stack(distorted)[..., None]


@pytest.mark.parametrize(("alpha", "sigma"), [(34.0, 4.0), (8.0, 2.0)])
def test_elastic_distortion_is_scipys(rng, alpha, sigma):
    images = rng.integers(0, 256, (3, 12, 17, 1), np.uint8)
    fields = [
        jax.random.uniform(jax.random.fold_in(KEY, i), (2, 12, 17), minval=-1.0, maxval=1.0)
        for i in range(3)
    ]
    wanted = with_scipy(images, fields, alpha, sigma)
    found = distort(KEY, images, alpha, sigma, positions=jnp.arange(3))
    np.testing.assert_allclose(found, wanted, atol=0.51)  # rounding to grey values
    assert (np.asarray(found) != images).mean() > 0.5


def test_an_images_distortion_depends_on_its_position_only(rng):
    images = rng.integers(0, 256, (3, 12, 17, 1), np.uint8)
    order = np.array([2, 0, 1])
    whole = distort(KEY, images, 34.0, 4.0, positions=jnp.arange(3))
    mixed = distort(KEY, images[order], 34.0, 4.0, positions=jnp.asarray(order))
    np.testing.assert_array_equal(np.asarray(whole)[order], mixed)


@pytest.mark.parametrize("settings", [{"alpha": -1.0}, {"sigma": 0.1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        augmentation.elastic_distortion(KEY, np.zeros((1, 4, 4, 1), np.uint8), **settings)


def test_named_augmentations_are_applied_in_order_with_keys_of_their_own(rng):
    images, positions = rng.integers(0, 256, (3, 9, 9, 1), np.uint8), jnp.arange(3)
    augment = augmentation.parse_augmentations("rotation:30, shift")

    @jax.jit
    def both(images):
        keys = jax.random.split(KEY, 2)
        wanted = augmentation.random_rotation(keys[0], images, 30.0, positions=positions)
        wanted = augmentation.random_shift(keys[1], wanted, 2, positions=positions)
        return augment(KEY, images, positions), wanted

    found, wanted = both(images)
    np.testing.assert_array_equal(found, wanted)
    assert (np.asarray(found) != images).any()


def test_every_name_works_inside_a_compiled_step(rng):
    images, positions = rng.integers(0, 256, (8, 12, 12, 1), np.uint8), jnp.arange(8)
    each = [augmentation.parse_augmentations(name) for name in augmentation.KINDS]
    found = jax.jit(lambda images: [one(KEY, images, positions) for one in each])(images)
    for name, one in zip(augmentation.KINDS, found, strict=True):
        assert one.shape == images.shape
        assert (np.asarray(one) != images).any(), name


@pytest.mark.parametrize("text", ["", "none", " , "])
def test_nothing_is_nothing(text):
    assert augmentation.parse_augmentations(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rotate", "unknown augmentation 'rotate': choose rotation, shift"),
        ("rotation:x", "'x' is not a number"),
        ("rotation:500", "rotation:500: max_degrees is 500"),
        ("shift:0.5", "shift:0.5: max_pixels is 0.5"),
        ("noise:nan", "stddev is nan"),
        ("none,shift", "unknown augmentation 'none'"),
    ],
)
def test_bad_augmentations_are_refused(text, problem):
    with pytest.raises(ConfigError, match=problem):
        augmentation.parse_augmentations(text)
