"""Real digits and damaged ones, the same for all tests of a session's worker."""

import numpy as np
import pytest

from jaxdl import data, evaluation

COUNT = 300  # images a generator makes: with the same count, the same programs


@pytest.fixture(scope="session")
def judge():
    return evaluation.load_judge()


@pytest.fixture(scope="session")
def digits():
    """Embedded digits: 1,000 training and 500 test images, and 500 held out."""
    whole = data.load("mnist", source="embedded")
    train, more = (
        data.Split(whole.images[part], whole.labels[part])
        for part in (slice(1000), slice(3000, 3500))
    )
    test = data.Split(whole.test.images[:500], whole.test.labels[:500])
    about = {"name": "mnist", "source": "embedded", "location": "here", "num_classes": 10}
    return data.make_dataset(train, test, **about), more


@pytest.fixture(scope="session")
def references(judge, digits):
    return evaluation.look_at_dataset(digits[0], judge, (28, 28))


def healthy(rng, digits):
    """New digits, each turned, moved and dimmed a little."""
    from scipy import ndimage

    held_out = digits[1].images
    chosen = held_out[rng.choice(len(held_out), COUNT, replace=False), :, :, 0].astype(float)
    changed = [
        ndimage.shift(
            ndimage.rotate(image, rng.uniform(-5, 5), reshape=False, order=1),
            rng.uniform(-0.5, 0.5, 2),
            order=1,
        )
        * rng.uniform(0.9, 1)
        for image in chosen
    ]
    return np.clip(np.stack(changed), 0, 255).round().astype(np.uint8)[..., None]


def copies(rng, digits):
    train = digits[0].train.images
    return train[rng.choice(len(train), COUNT, replace=False)]


def noisy_copies(rng, digits):
    images = copies(rng, digits)
    return np.clip(images + rng.normal(0, 25, images.shape), 0, 255).astype(np.uint8)


def eight_classes(rng, digits):
    held_out = digits[1]
    known = held_out.images[~np.isin(held_out.labels, (3, 7))]
    return known[rng.choice(len(known), COUNT, replace=False)]


def too_many_ones(rng, digits):
    ones = digits[1].images[digits[1].labels == 1]
    return np.concatenate([ones[rng.integers(0, len(ones), COUNT // 2)], healthy(rng, digits)])


def shifted_copies(rng, digits):
    shifts = rng.integers(-2, 3, (COUNT, 2))
    moved = [np.roll(i, tuple(s), (0, 1)) for i, s in zip(copies(rng, digits), shifts, strict=True)]
    return np.stack(moved)


def mirrored(rng, digits):
    return np.ascontiguousarray(healthy(rng, digits)[:, :, ::-1])


def spotted(rng, digits):
    images = healthy(rng, digits)
    return np.where(rng.random(images.shape) < 0.05, np.uint8(255), images)


def one_image(rng, digits):
    return np.repeat(digits[1].images[rng.choice(len(digits[1].images), 1)], COUNT, 0)


def blurred(rng, digits):
    from scipy import ndimage

    held_out = digits[1].images
    chosen = held_out[rng.choice(len(held_out), COUNT, replace=False)].astype(float)
    return ndimage.gaussian_filter(chosen, (0, 1.5, 1.5, 0)).round().astype(np.uint8)


def pure_noise(rng, digits):
    return rng.integers(0, 256, (COUNT, 28, 28, 1), np.uint8)


CASES = {
    healthy: "no defect found",
    copies: "copies training images",
    noisy_copies: "copies training images",
    eight_classes: "classes 3 and 7 are missing",
    shifted_copies: "copies training images",
    too_many_ones: "class 1 is too frequent",
    mirrored: "malformed",
    spotted: "noisy",
    one_image: "one image repeated",
    blurred: "blurred",
    pure_noise: "noisy",
}


@pytest.fixture(scope="session")
def cases():
    """Functions of a generator and the digits that make images, and what is said of these."""
    return CASES
