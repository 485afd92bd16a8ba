import numpy as np
import pytest
from PIL import Image

from jaxdl.data import load, resize, resize_bilinear
from jaxdl.errors import ConfigError, ShapeError


def _pil(images, height, width):
    """Pillow, image by image, as an independent reference."""
    resized = [
        np.asarray(
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        ).reshape(height, width, -1)
        for image in images
    ]
    return np.stack(resized)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((28, 28), (64, 64)),  # the course's
        ((28, 28), (28, 28)),
        ((28, 28), (14, 14)),
        ((64, 64), (28, 28)),
        ((20, 28), (47, 13)),  # enlarges one axis, shrinks the other
        ((1, 1), (5, 3)),
        ((9, 7), (1, 1)),
        ((2, 3), (31, 1)),
        ((101, 97), (10, 11)),  # 21 taps
        ((32, 51), (33, 50)),
    ],
)
def test_equals_pillow(rng, size, target, channels):
    images = rng.integers(0, 256, (20, *size, channels), np.uint8)
    images[0], images[1] = 0, 255
    resized = resize_bilinear(images, *target)
    np.testing.assert_array_equal(resized, _pil(images, *target))
    assert resized.dtype == np.uint8


def test_equals_pillow_axis_by_axis_for_random_sizes(rng):
    for _ in range(5):
        size, (height, width) = rng.integers(1, 40, 2), rng.integers(1, 40, 2).tolist()
        images = rng.integers(0, 256, (8, *size, 1), np.uint8)
        # In two calls, since Pillow 13 chooses the order of the axes by the sizes.
        expected = _pil(_pil(images, size[0], width), height, width)
        np.testing.assert_array_equal(resize_bilinear(images, height, width), expected)


def test_digits_as_the_course_resizes_them():
    digits = load("mnist", source="embedded").images[:1000]
    resized = resize_bilinear(digits, 64, 64)
    np.testing.assert_array_equal(resized, _pil(digits, 64, 64))


@pytest.mark.parametrize("images_in_slice", [1, 2, 3, 5, 100])
def test_slices_change_nothing(rng, monkeypatch, images_in_slice):
    images = rng.integers(0, 256, (5, 4, 4, 3), np.uint8)
    whole = resize_bilinear(images, 6, 3)
    monkeypatch.setattr(resize, "_SLICE_BYTES", images_in_slice * 6 * 4 * 3)
    np.testing.assert_array_equal(resize_bilinear(images, 6, 3), whole)


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_are_independent(rng, channels):
    images = rng.integers(0, 256, (3, 9, 7, channels), np.uint8)
    resized = resize_bilinear(images, 12, 11)
    for i in range(channels):
        np.testing.assert_array_equal(resized[..., i : i + 1], _pil(images[..., i : i + 1], 12, 11))


def test_no_images_give_no_images():
    assert resize_bilinear(np.zeros((0, 3, 3, 1), np.uint8), 4, 5).shape == (0, 4, 5, 1)


def test_shrinking_averages_with_a_widened_triangle():
    # s = 2: weights 1/8, 3/8, 3/8, 1/8 inside, 3/7, 3/7, 1/7 at the borders.
    row = np.array([7, 14, 21, 255, 255, 0], np.uint8).reshape(1, 1, 6, 1)
    expected = [(3 * 7 + 3 * 14 + 21) / 7, (14 + 3 * 21 + 3 * 255 + 255) / 8, (255 + 3 * 255) / 7]
    assert resize_bilinear(row, 1, 3).ravel().tolist() == [round(value) for value in expected]


def test_width_is_rounded_before_height():
    # 2×2 to 4×4: row 0 of the width pass is 0, 0.25, 0.75, 1 times 2 = 0, 0.5, 1.5, 2, rounded
    # half up to 0, 1, 2, 2. Height then: 0.75 · 1 = 0.75 -> 1, where unrounded 0.375 -> 0.
    image = np.array([[0, 2], [0, 0]], np.uint8).reshape(1, 2, 2, 1)
    assert resize_bilinear(image, 4, 4)[0, :, :, 0].tolist() == [
        [0, 1, 2, 2],
        [0, 1, 2, 2],
        [0, 0, 1, 1],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("images", "size", "error"),
    [
        (np.zeros((2, 3, 3, 1), np.float32), (2, 2), ShapeError),
        (np.zeros((2, 3, 3), np.uint8), (2, 2), ShapeError),
        (np.zeros((2, 0, 3, 1), np.uint8), (2, 2), ShapeError),
        (np.zeros((2, 3, 3, 0), np.uint8), (2, 2), ShapeError),
        (np.zeros((2, 3, 3, 1), np.uint8), (0, 2), ConfigError),
        (np.zeros((2, 3, 3, 1), np.uint8), (2, -1), ConfigError),
    ],
)
def test_refuses(images, size, error):
    with pytest.raises(error):
        resize_bilinear(images, *size)
