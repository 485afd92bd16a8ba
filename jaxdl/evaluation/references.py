"""What generated images are compared with: real images as the judge and their pixels show them."""

from typing import NamedTuple

import numpy as np

from jaxdl.data import Dataset, StoredImages, resize_bilinear, resize_square
from jaxdl.evaluation.judge import Judge, Seen
from jaxdl.evaluation.pixels import Basis, Looks, look_at, make_basis

CHUNK = 5000  # images that are resized at once
BASIS_IMAGES = 10_000  # from which the principal components are computed
KEPT = 2000  # images whose pixels are kept
BASIS_SIZE = 28  # of the images whose principal components are computed, without a judge


class Part(NamedTuple):
    """Images as the judge and the pixels show them; without a judge, ``seen`` is None."""

    seen: Seen | None
    looks: Looks

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.looks.codes)

    def some(self, count: int) -> "Part":
        """At most ``count`` of the images, see :func:`pick`."""
        indices = pick(self.count, count)
        seen = self.seen and self.seen._replace(
            features=self.seen.features[indices], logits=self.seen.logits[indices]
        )
        return Part(seen, Looks(*(array[indices] for array in self.looks)))


class References(NamedTuple):
    """A data set as the judge and the pixels show it.

    Attributes:
        train: the training images.
        test: the test images.
        basis: in which pixels are compared.
        train_images: some of the training images, resized, uint8 (n, H, W, C).
        test_images: some of the test images, likewise.
    """

    train: Part
    test: Part
    basis: Basis
    train_images: np.ndarray
    test_images: np.ndarray


def pick(total: int, count: int) -> np.ndarray:
    """At most ``count`` indices below ``total``, in order; always the same ones.

    Neither the first ones, as MNIST's first test digits are the easier, nor every so many, as a
    data set may repeat its classes in turn.

    Example:
        >>> pick(3, 5).tolist(), len(pick(10, 4))
        ([0, 1, 2], 4)
    """
    return np.sort(np.random.default_rng(0).permutation(total)[:count])


def halves(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two random halves of some rows, always the same ones; the first is the smaller."""
    order = np.random.default_rng(1).permutation(len(rows))
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]


def look_at_images(images: np.ndarray, judge: Judge | None, basis: Basis) -> Part:
    """What the judge and the pixels show of uint8 images (N, H, W, C)."""
    return Part(judge and judge.see(images), look_at(images, basis))


def look_at_dataset(
    dataset: Dataset, judge: Judge | None, image_size: tuple[int, int]
) -> References:
    """Looks at a data set's images.

    Real images are first resized to the size of the generated ones, as a generator's training
    images are, and then to the judge's: 28 → 64 → 28 pixels takes half of the contrast between
    neighbouring pixels, which would otherwise count against a perfect generator.

    Args:
        dataset: the real images.
        judge: looks at them; None for images that no judge knows.
        image_size: height and width of the generated images.

    Raises:
        ShapeError: the judge knows colour and the images are grey, or the reverse.
    """
    train, test = dataset.train.images, dataset.test.images
    few = resized(train[pick(len(train), BASIS_IMAGES)], image_size)
    basis = make_basis(few, judge.network.image_size if judge else BASIS_SIZE)

    def look(images: np.ndarray) -> Part:
        chunks = [
            look_at_images(resized(images[first : first + CHUNK], image_size), judge, basis)
            for first in range(0, len(images), CHUNK)
        ]
        return joined(chunks)

    kept = (resized(part[pick(len(part), KEPT)], image_size) for part in (train, test))
    return References(look(train), look(test), basis, *kept)


def joined(parts: list[Part]) -> Part:
    """Several parts as one."""
    looks = Looks(*map(np.concatenate, zip(*(part.looks for part in parts), strict=True)))
    if parts[0].seen is None:
        return Part(None, looks)
    features, logits = map(np.concatenate, zip(*(part.seen[:2] for part in parts), strict=True))
    return Part(Seen(features, logits, parts[0].seen.judge), looks)


def resized(images: np.ndarray | StoredImages, image_size: tuple[int, int]) -> np.ndarray:
    """Images of the given height and width: themselves, or made so as training images are."""
    height, width = image_size
    if height == width:
        return resize_square(images, height)
    return images if images.shape[1:3] == image_size else resize_bilinear(images, *image_size)
