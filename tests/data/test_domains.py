"""The targets of studies of mismatch: what they are made of, and that a key determines them."""

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from jaxdl import data
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import ShapeError

KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def digits():
    """Thirty training and ten test digits."""
    sample = load_embedded()
    parts = [
        data.Split(part.images[:count], part.labels[:count])
        for part, count in ((sample.train, 30), (sample.test, 10))
    ]
    return data.make_dataset(
        *parts, name="mnist", source="embedded", location="here", num_classes=10
    )


MAKERS = {
    "photographs": data.on_photographs,
    "rotated": lambda digits, key: data.rotated(digits, key, 60.0),
    "views": lambda digits, key: data.noisy_views(digits, key, 60.0, 10.0),
    "small": lambda digits, key: data.small_digits(key),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_the_key_determines_every_pixel(digits, maker):
    first, again, other = (
        MAKERS[maker](digits, key) for key in (KEY, jax.random.key(7), jax.random.key(8))
    )
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert (first.train.images[0] != other.train.images[0]).any()


def windows_like(photo, window):
    """Where in a photograph a window lies, compared pixel by pixel."""
    rows, columns = np.indices((photo.shape[0] - 27, photo.shape[1] - 27)).reshape(2, -1)
    for y, x in np.ndindex(28, 28):
        same = (photo[rows + y, columns + x] == window[y, x]).all(-1)
        rows, columns = rows[same], columns[same]
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def test_training_and_test_digits_lie_on_windows_of_different_photographs(digits):
    made = data.on_photographs(digits, KEY)
    photos = dict(zip(("train", "test"), map(data.photograph, data.PHOTOGRAPHS), strict=True))
    places = set()
    for part, other in (("train", "test"), ("test", "train")):
        grey, blended = getattr(digits, part), getattr(made, part)
        np.testing.assert_array_equal(blended.labels, grey.labels)
        for digit, image in zip(grey.images[:6], blended.images[:6], strict=True):
            window = np.where(digit > 0, 255 - image, image)  # |photo − 255| = 255 − photo
            found = windows_like(photos[part], window)
            assert found
            assert not windows_like(photos[other], window)
            places |= set(found)
    assert len(places) >= 10  # the windows differ


def test_small_digits_are_scikit_learns_scaled_up():
    made = data.small_digits(KEY)
    own = load_digits()
    assert (made.num_train, len(made.images), made.images.shape[1:]) == (1437, 1797, (28, 28, 1))
    assert np.bincount(made.test.labels).min() >= 34  # a fifth of every class
    grey = np.round(own.images[0] * 255 / 16).astype(np.uint8)
    scaled = np.asarray(Image.fromarray(grey).resize((28, 28), Image.Resampling.BILINEAR))
    assert sum((image[..., 0] == scaled).all() for image in made.images) == 1
    assert made.images.max() == 255


def test_rotation_and_inversion(digits):
    turned, exchanged = data.rotated(digits, KEY, 60.0), data.inverted(digits)
    np.testing.assert_array_equal(exchanged.images.astype(int) + digits.images, 255)
    for made in (turned, exchanged):
        np.testing.assert_array_equal(made.labels, digits.labels)
        assert made.num_train == 30
    assert (turned.images != digits.images).any((1, 2, 3)).mean() > 0.9


def test_in_colour_all_channels_are_alike(digits):
    made = data.in_color(digits)
    assert made.images.shape == (40, 28, 28, 3)
    np.testing.assert_array_equal(made.images, np.repeat(digits.images, 3, -1))
    assert made.fingerprint != digits.fingerprint
    on_photos = data.on_photographs(digits, KEY)
    assert data.in_color(on_photos) is on_photos


def test_two_views_are_the_picture_and_the_means_of_rows_and_columns(digits):
    exact = data.noisy_views(digits, KEY, 0.0, 0.0)
    np.testing.assert_array_equal(exact.images[:, :28], digits.images)
    for row, axis in ((28, 2), (29, 1)):
        means = digits.images[..., 0].mean(axis)
        np.testing.assert_allclose(exact.images[:, row, :, 0], means, atol=0.51)
    noisy = data.noisy_views(digits, KEY, 20.0, 5.0)
    off = noisy.images.astype(float) - exact.images
    inside = (exact.images > 80) & (exact.images < 170)  # the noise is not cut there
    assert off[:, :28][inside[:, :28]].std() == pytest.approx(20, rel=0.1)
    assert off[:, 28:][inside[:, 28:]].std() == pytest.approx(5, rel=0.3)


def test_images_that_do_not_fit_are_refused(digits):
    with pytest.raises(ShapeError, match=r"\(28, 28, 3\) cannot be put on photographs"):
        data.on_photographs(data.in_color(digits), KEY)
    with pytest.raises(ShapeError, match="'mnist' are 28x28x3: two views are made of grey squares"):
        data.noisy_views(data.in_color(digits), KEY, 1.0, 1.0)
