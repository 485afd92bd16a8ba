"""Digits that look different: for studies of mismatch, and of several kinds of input.

Each function makes a whole data set, with its training and its test part, from another data set's
digits or from scikit-learn's. What is random follows from a key.
"""

import jax
import numpy as np

from jaxdl.data.augmentation.rotation import random_rotation
from jaxdl.data.dataset import Dataset, Split, fingerprint, make_dataset
from jaxdl.data.resize import resize_bilinear
from jaxdl.data.splits import stratified_train_test_split
from jaxdl.errors import ShapeError

PHOTOGRAPHS = ("china.jpg", "flower.jpg")  # of scikit-learn: for training, and for the test


def photograph(name: str) -> np.ndarray:
    """One of scikit-learn's two photographs, uint8 (427, 640, 3).

    Example:
        >>> photograph("flower.jpg").shape
        (427, 640, 3)
    """
    from sklearn.datasets import load_sample_image  # here, to keep importing jaxdl fast

    return load_sample_image(name)


def on_photographs(digits: Dataset, key: jax.Array) -> Dataset:
    r"""Digits blended with photographs, by MNIST-M's recipe.

    Each digit gets a random window p of a photograph, whose colours it inverts where it has ink:

    .. math:: x = |p - 255 \cdot [\text{digit} > 0]|

    MNIST-M cuts its windows from BSDS500; here the training digits get windows of one of
    scikit-learn's photographs, the test digits of the other.

    Args:
        digits: grey images (N, H, W, 1), up to 427 rows and 640 columns.
        key: determines the windows.

    Returns:
        Colour images (N, H, W, 3) with the digits' labels.

    Raises:
        ShapeError: the images are not grey, or larger than a photograph.

    Example:
        >>> from jaxdl.data import load
        >>> made = on_photographs(load("mnist", source="embedded"), jax.random.key(0))
        >>> made.train.images.shape
        (4000, 28, 28, 3)

    References:
        Ganin et al., Domain-Adversarial Training of Neural Networks, 2016, section 5.2.4.
    """
    keys = jax.random.split(key)
    parts = [
        Split(_blended(part.images, photograph(name), own), part.labels)
        for part, name, own in zip((digits.train, digits.test), PHOTOGRAPHS, keys, strict=True)
    ]
    return _made(digits, parts, "on photographs")


def _blended(images: np.ndarray, photo: np.ndarray, key: jax.Array) -> np.ndarray:
    """The images' ink on random windows of a photograph."""
    size = images.shape[1:3]
    if images.shape[3] != 1 or size[0] > photo.shape[0] or size[1] > photo.shape[1]:
        raise ShapeError(
            f"images of shape {images.shape[1:]} cannot be put on photographs: need grey images of "
            f"at most {photo.shape[0]}x{photo.shape[1]} pixels"
        )
    windows = np.lib.stride_tricks.sliding_window_view(photo, size, axis=(0, 1))
    each = [
        np.asarray(jax.random.randint(one, images.shape[:1], 0, end))
        for one, end in zip(jax.random.split(key), windows.shape, strict=False)
    ]
    background = windows[tuple(each)].transpose(0, 2, 3, 1)
    return np.where(images > 0, 255 - background, background)


def rotated(digits: Dataset, key: jax.Array, max_degrees: float) -> Dataset:
    """Digits turned by angles uniform in ±max_degrees.

    Example:
        >>> from jaxdl.data import load
        >>> sample = load("mnist", source="embedded")
        >>> rotated(sample, jax.random.key(0), 60.0).name
        'mnist rotated'
    """
    parts = [
        Split(np.asarray(random_rotation(own, part.images, max_degrees)), part.labels)
        for part, own in zip((digits.train, digits.test), jax.random.split(key), strict=True)
    ]
    return _made(digits, parts, "rotated")


def inverted(digits: Dataset) -> Dataset:
    """Digits with black and white exchanged.

    Example:
        >>> from jaxdl.data import load
        >>> sample = load("mnist", source="embedded")
        >>> int(sample.images[0, 0, 0, 0]), int(inverted(sample).images[0, 0, 0, 0])
        (0, 255)
    """
    parts = [Split(255 - part.images, part.labels) for part in (digits.train, digits.test)]
    return _made(digits, parts, "inverted")


def small_digits(key: jax.Array, side: int = 28) -> Dataset:
    """Scikit-learn's own 1,797 digits, 8×8 pixels of 17 grey values, from other writers and scans.

    Args:
        key: determines which fifth of each class is the test part.
        side: height and width to which they are scaled up, in pixels.

    Example:
        >>> small_digits(jax.random.key(0)).test.images.shape
        (360, 28, 28, 1)

    References:
        Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998 (UCI; its test part).
    """
    from sklearn.datasets import load_digits  # here, to keep importing jaxdl fast

    found = load_digits()
    grey = np.round(found.images[..., np.newaxis] * (255 / 16)).astype(np.uint8)
    images = resize_bilinear(grey, side, side)
    parts = [
        Split(images[chosen], found.target[chosen])
        for chosen in stratified_train_test_split(found.target, 0.8, key=key)
    ]
    return make_dataset(
        *parts,
        name="digits",
        source="scikit-learn",
        location="package sklearn",
        num_classes=10,
    )


def noisy_views(
    digits: Dataset, key: jax.Array, picture_noise: float, sums_noise: float
) -> Dataset:
    """Two poor views of each digit: a noisy picture, and noisy means of its rows and columns.

    The means are what two X-ray exposures along the axes would measure. They are two further rows
    below the picture, the rows' means before the columns'. The noise is normal, cut to 0..255.

    Args:
        digits: square grey images (N, S, S, 1).
        key: determines the noise.
        picture_noise: standard deviation of a pixel's noise, in grey values.
        sums_noise: standard deviation of a mean's noise, in grey values.

    Returns:
        Images (N, S + 2, S, 1).

    Raises:
        ShapeError: the images are not square, or not grey.

    Example:
        >>> from jaxdl.data import load
        >>> sample = load("mnist", source="embedded")
        >>> views = noisy_views(sample, jax.random.key(0), 0.0, 0.0)
        >>> views.images.shape, bool((views.images[:, :28] == sample.images).all())
        ((5000, 30, 28, 1), True)
    """
    _, height, width, channels = digits.images.shape
    if height != width or channels != 1:
        raise ShapeError(
            f"images of {digits.name!r} are {height}x{width}x{channels}: two views are made of "
            "grey squares"
        )
    means = [digits.images.mean(axis, dtype=np.float32, keepdims=True) for axis in (2, 1)]
    views = [digits.images.astype(np.float32), means[0].swapaxes(1, 2), means[1]]
    noisy = [
        view + sd * np.asarray(jax.random.normal(own, view.shape))
        for view, sd, own in zip(
            views,
            (picture_noise, sums_noise, sums_noise),
            jax.random.split(key, 3),
            strict=True,
        )
    ]
    images = np.concatenate(noisy, axis=1).round().clip(0, 255).astype(np.uint8)
    train, test = images[: digits.num_train], images[digits.num_train :]
    parts = [Split(train, digits.train.labels), Split(test, digits.test.labels)]
    return _made(digits, parts, "in two views")


def in_color(digits: Dataset) -> Dataset:
    """The same images with three channels, so that they fit beside colour images.

    Example:
        >>> in_color(small_digits(jax.random.key(0))).images.shape
        (1797, 28, 28, 3)
    """
    if digits.images.shape[-1] == 3:
        return digits
    images = np.repeat(digits.images, 3, axis=-1)
    own = fingerprint(images, digits.labels, digits.num_train)
    return digits._replace(images=images, fingerprint=own)


def stacked(
    digits: Dataset, key: jax.Array, num_train: int = 128_000, num_test: int = 26_000
) -> Dataset:
    """Three digits as the colours of one image, drawn at random: a thousand classes.

    Training images are made of training digits, test images of test digits.

    Args:
        digits: grey images (N, H, W, 1) of ten classes.
        key: determines which digits.
        num_train: training images.
        num_test: test images.

    Returns:
        Colour images (num_train + num_test, H, W, 3); the label's digits are red, green and blue.

    Raises:
        ShapeError: the images are not grey, or not of ten classes.

    Example:
        >>> from jaxdl.data import load
        >>> made = stacked(load("mnist", source="embedded"), jax.random.key(0), 100, 50)
        >>> made.train.images.shape, made.num_classes
        ((100, 28, 28, 3), 1000)

    References:
        Metz et al., "Unrolled generative adversarial networks", 2017,
        https://arxiv.org/abs/1611.02163.
    """
    if digits.images.shape[-1] != 1 or digits.num_classes != 10:
        raise ShapeError(
            f"{digits.name!r} has {digits.images.shape[-1]} channels and {digits.num_classes} "
            "classes: grey digits are stacked"
        )

    def stack(part: Split, count: int, own: jax.Array) -> Split:
        chosen = np.asarray(jax.random.randint(own, (count, 3), 0, len(part.labels)))
        images = np.stack([part.images[column, ..., 0] for column in chosen.T], axis=-1)
        return Split(images, part.labels[chosen] @ np.array([100, 10, 1], np.int32))

    parts = [
        stack(part, count, own)
        for part, count, own in zip(
            (digits.train, digits.test), (num_train, num_test), jax.random.split(key), strict=True
        )
    ]
    return make_dataset(
        *parts,
        name=f"stacked_{digits.name}",
        source=digits.source,
        location=digits.location,
        num_classes=1000,
        notice=digits.notice,
    )


def _made(digits: Dataset, parts: list[Split], how: str) -> Dataset:
    return make_dataset(
        *parts,
        name=f"{digits.name} {how}",
        source=digits.source,
        location=digits.location,
        num_classes=digits.num_classes,
        notice=digits.notice,
    )
