"""DiffAugment against a plain loop over images, rows and columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data.augmentation import diff_augment
from jaxdl.errors import ShapeError

KEY = jax.random.key(4)
AUGMENT = jax.jit(diff_augment)


def by_loops(image, draws):
    """The paper's policy, one image (H, W, C) after its seven draws from [0, 1)."""
    size = image.shape[0]
    image = image + (draws[0] - 0.5)
    grey = image.mean(2, keepdims=True)
    image = grey + (image - grey) * 2 * draws[1]
    image = image.mean() + (image - image.mean()) * (draws[2] + 0.5)
    most = int(size / 8 + 0.5)
    down, right = (int(np.floor(draw * (2 * most + 1))) - most for draw in draws[3:5])
    hole = int(size / 2 + 0.5)
    top, left = (int(np.floor(d * (size - hole % 2 + 1))) - hole // 2 for d in draws[5:])
    result = np.zeros_like(image)
    for row in range(size):
        for column in range(size):
            from_row, from_column = row - down, column - right
            cut = top <= row < top + hole and left <= column < left + hole
            inside = 0 <= from_row < size and 0 <= from_column < size
            if inside and not cut:
                result[row, column] = image[from_row, from_column]
    return result


@pytest.mark.parametrize("shape", [(12, 16, 16, 3), (5, 10, 10, 1)])
def test_it_is_the_paper_s_policy(rng, shape):
    images = rng.uniform(-1, 1, shape).astype(np.float32)
    draws = [jax.random.uniform(jax.random.fold_in(KEY, i), (7,)) for i in range(len(images))]
    expected = [by_loops(*pair) for pair in zip(images, np.asarray(draws), strict=True)]
    np.testing.assert_allclose(AUGMENT(KEY, images), expected, atol=1e-5)


def test_draws_depend_on_the_position_in_the_global_batch(rng):
    images = rng.uniform(-1, 1, (6, 16, 16, 1)).astype(np.float32)
    whole = AUGMENT(KEY, images)
    part = AUGMENT(KEY, images[4:], positions=np.arange(4, 6))
    np.testing.assert_allclose(whole[4:], part, atol=1e-6)


def test_gradients_pass_to_the_pixels_that_are_shown(rng):
    """The change is affine in the pixels: the difference quotient is exact."""
    images = rng.uniform(-1, 1, (2, 8, 8, 3))
    with jax.enable_x64(True):
        weights, way = rng.normal(size=(2, *images.shape))

        def product(images):
            return (AUGMENT(KEY, images) * weights).sum()

        slope = (jax.grad(product)(jnp.asarray(images)) * way).sum()
        assert float(slope) == pytest.approx(float(product(images + way) - product(images)))
        assert abs(float(slope)) > 1e-3


def test_what_is_no_batch_of_floating_point_images_is_refused():
    for images in (np.zeros((2, 8, 8, 1), np.uint8), np.zeros((8, 8, 1))):
        with pytest.raises(ShapeError, match="need floating-point"):
            diff_augment(KEY, images)
