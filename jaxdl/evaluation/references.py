"""What generated images are compared with: real images as the judge and their pixels show them."""

from typing import NamedTuple

import numpy as np

from jaxdl.data import Dataset, resize_bilinear
from jaxdl.evaluation.judge import Judge, Seen
from jaxdl.evaluation.pixels import Basis, Looks, look_at, make_basis

CHUNK = 5000  # images that are resized at once
BASIS_IMAGES = 10_000  # from which the principal components are computed


class Part(NamedTuple):
    """Images as the judge and the pixels show them."""

    seen: Seen
    looks: Looks

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.looks.codes)

    def some(self, count: int) -> "Part":
        """At most ``count`` of the images, see :func:`pick`."""
        indices = pick(self.count, count)
        features, logits, codes, detail = (
            array[indices] for array in (*self.seen[:2], *self.looks)
        )
        return Part(Seen(features, logits, self.seen.judge), Looks(codes, detail))


class References(NamedTuple):
    """A data set as the judge and the pixels show it.

    Attributes:
        train: the training images.
        test: the test images.
        basis: in which pixels are compared.
        image_size: height and width the images had when they were looked at.
    """

    train: Part
    test: Part
    basis: Basis
    image_size: tuple[int, int]


def pick(total: int, count: int) -> np.ndarray:
    """At most ``count`` indices below ``total``, in order; always the same ones.

    Neither the first ones, as MNIST's first test digits are the easier, nor every so many, as a
    data set may repeat its classes in turn.

    Example:
        >>> pick(3, 5).tolist(), len(pick(10, 4))
        ([0, 1, 2], 4)
    """
    return np.sort(np.random.default_rng(0).permutation(total)[:count])


def look_at_images(images: np.ndarray, judge: Judge, basis: Basis) -> Part:
    """What the judge and the pixels show of uint8 images (N, H, W, C)."""
    return Part(judge.see(images), look_at(images, basis))


def look_at_dataset(dataset: Dataset, judge: Judge, image_size: tuple[int, int]) -> References:
    """Looks at a data set's images.

    Real images are first resized to the size of the generated ones, as a generator's training
    images are, and then to the judge's: 28 → 64 → 28 pixels takes half of the contrast between
    neighbouring pixels, which would otherwise count against a perfect generator.

    Args:
        dataset: the real images.
        judge: looks at them.
        image_size: height and width of the generated images.

    Raises:
        ShapeError: the judge knows colour and the images are grey, or the reverse.
    """
    train, test = dataset.train.images, dataset.test.images
    few = resized(train[pick(len(train), BASIS_IMAGES)], image_size)
    basis = make_basis(few, judge.network.image_size)

    def look(images: np.ndarray) -> Part:
        chunks = [
            look_at_images(resized(images[first : first + CHUNK], image_size), judge, basis)
            for first in range(0, len(images), CHUNK)
        ]
        return joined(chunks)

    return References(look(train), look(test), basis, image_size)


def joined(parts: list[Part]) -> Part:
    """Several parts as one."""
    features, logits = (np.concatenate([p.seen[i] for p in parts]) for i in (0, 1))
    codes, detail = (np.concatenate([p.looks[i] for p in parts]) for i in (0, 1))
    return Part(Seen(features, logits, parts[0].seen.judge), Looks(codes, detail))


def resized(images: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Images of the given height and width: themselves, or resized as training images are."""
    return images if images.shape[1:3] == image_size else resize_bilinear(images, *image_size)
