"""Data sets: uint8 images, integer labels, and their origin.

Every source (an IDX folder, TFDS, the embedded sample) calls :func:`make_dataset`, so shapes and
labels are checked once, on the host. A label of -1 or of ``num_classes`` would otherwise silently
train towards the wrong class or give NaN in a loss.
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from jaxdl.data.stored import StoredImages, blocks
from jaxdl.errors import DataError, brief


class Split(NamedTuple):
    """Images, uint8 (N, H, W, C), and their labels, int32 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __repr__(self) -> str:
        return f"Split(images={_shape_of(self.images)}, labels={_shape_of(self.labels)})"


class Dataset(NamedTuple):
    """Images with labels, training samples first, then test samples.

    Attributes:
        images: uint8 in 0..255, shape (N, H, W, C); in memory, or :class:`StoredImages`.
        labels: int32 in 0..num_classes - 1, shape (N,).
        name: the requested name, e.g. "mnist".
        source: "idx", "tfds", "embedded" or "folder".
        location: the folder or package it was read from.
        num_train: number of training samples.
        num_classes: number of classes.
        fingerprint: see :func:`fingerprint`; it does not depend on the source.
        notice: a caveat to show with any results, or "".
        class_names: of the classes, if they have names.
    """

    images: np.ndarray | StoredImages
    labels: np.ndarray
    name: str
    source: str
    location: str
    num_train: int
    num_classes: int
    fingerprint: str
    notice: str = ""
    class_names: tuple[str, ...] = ()

    @property
    def train(self) -> Split:
        """The training samples, as views."""
        return self._part(0, self.num_train)

    @property
    def test(self) -> Split:
        """The test samples, as views."""
        return self._part(self.num_train, len(self.labels))

    def _part(self, first: int, stop: int) -> Split:
        stored = isinstance(self.images, StoredImages)
        images = self.images.view(first, stop) if stored else self.images[first:stop]
        return Split(images, self.labels[first:stop])

    @property
    def description(self) -> str:
        """Name, counts, source and location in one line for the user; then one line per notice."""
        num_test = len(self.images) - self.num_train
        height, width, channels = self.images.shape[1:]
        line = (
            f"{self.name}: {self.num_train:,} training and {num_test:,} test images, "
            f"{height}x{width}x{channels}, {self.num_classes} classes, "
            f"from source {self.source!r} ({self.location})"
        )
        return "\n".join([line, *(f"Notice: {text}" for text in self.notice.splitlines())])

    def __repr__(self) -> str:
        return f"Dataset({self.description.splitlines()[0]})"


def make_dataset(
    train: Split,
    test: Split,
    *,
    name: str,
    source: str,
    location: str,
    num_classes: int,
    notice: str = "",
) -> Dataset:
    """Joins a training and a test part into a checked :class:`Dataset`.

    Both parts have uint8 images (N, H, W, C) of one size and integer labels (N,).

    Raises:
        DataError: a part is empty, sizes differ, or a label is outside 0..num_classes - 1.

    Example:
        >>> part = Split(np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 1, 1]))
        >>> toy = make_dataset(
        ...     part, part, name="toy", source="idx", location="here", num_classes=2
        ... )
        >>> toy.images.shape, toy.labels.dtype.name, toy.num_train
        ((6, 2, 2, 1), 'int32', 3)
        >>> toy.description
        "toy: 3 training and 3 test images, 2x2x1, 2 classes, from source 'idx' (here)"
    """
    for part_name, part in (("training", train), ("test", test)):
        _check_part(part, num_classes, f"{part_name} part of {name!r} in {location}")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"training images of {name!r} are {train.images.shape[1:]} (H, W, C) and test images "
            f"{test.images.shape[1:]} in {location}: both parts need one size; are the files of "
            "two data sets mixed?"
        )
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels]).astype(np.int32)
    num_train = len(train.images)
    return Dataset(
        images=images,
        labels=labels,
        name=name,
        source=source,
        location=location,
        num_train=num_train,
        num_classes=num_classes,
        fingerprint=fingerprint(images, labels, num_train),
        notice=notice,
    )


def fingerprint(images: np.ndarray | StoredImages, labels: np.ndarray, num_train: int) -> str:
    """Hexadecimal SHA-256 of the images' shape and values, the labels, and ``num_train``.

    Images are uint8 (N, H, W, C), labels integers (N,).

    Example:
        >>> fingerprint(np.zeros((1, 1, 1, 1), np.uint8), np.zeros(1, np.int32), 1)[:8]
        'f094f317'
    """
    digest = hashlib.sha256(f"{images.shape} {num_train}".encode())
    for block in blocks(images):
        digest.update(np.ascontiguousarray(block, np.uint8))
    digest.update(np.ascontiguousarray(labels, "<i4"))
    return digest.hexdigest()


def as_split(part: Any, where: str = "data") -> Split:
    """Converts images and labels to a :class:`Split` of NumPy arrays.

    Accepts NumPy, JAX and PyTorch arrays, pandas columns and lists. Refuses what would silently
    train on something else, and names the conversion to make. It copies only what it must convert,
    and leaves counts and the labels' range to :func:`check_split`.

    Args:
        part: a :class:`Split` or a pair (images, labels): images as for :func:`as_images`, labels
            integers (N,).
        where: the part's name, for messages.

    Raises:
        DataError: not a pair, or images or labels of another type or shape.

    Example:
        >>> as_split(([[[0, 255], [9, 0]]], [3]))
        Split(images=uint8[1, 2, 2, 1], labels=int64[1])
    """
    if isinstance(part, Dataset):
        raise DataError(f"the {where} is a whole Dataset: give its .train or its .test")
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise DataError(f"the {where} is a {type(part).__name__}: need a pair (images, labels)")
    return Split(as_images(part[0], where), _as_labels(part[1], where))


def as_images(images: Any, where: str = "data") -> np.ndarray:
    """Converts images to a NumPy array (N, H, W, C); integers become uint8.

    Args:
        images: grey values 0..255 of any integer type, (N, H, W, C), or (N, H, W), which gets C =
            1. Floating-point images, and rows (N, D), stay as they are, for a transform to handle.
        where: the images' name, for messages.

    Raises:
        DataError: not numbers, integers outside 0..255 or only 0 and 1, a single image, or
            PyTorch's axis order.

    Example:
        >>> as_images(np.zeros((5, 28, 28), int)).shape
        (5, 28, 28, 1)
    """
    images = _as_array(images, f"images of the {where}")
    shape = images.shape
    if images.ndim < 2:
        raise DataError(f"images of the {where} have shape {shape}: need (N, H, W, C)")
    if images.ndim == 3 and shape[2] in (1, 3):
        raise DataError(
            f"images of the {where} have shape {shape}, like a single image: need (N, H, W, C); "
            "images[None] is a batch of one"
        )
    if images.ndim == 4 and shape[1] in (1, 3) and shape[3] > 4:
        raise DataError(
            f"images of the {where} have shape {shape}, like PyTorch's (N, C, H, W): need "
            "(N, H, W, C), by images.transpose(0, 2, 3, 1) or a tensor's .permute(0, 2, 3, 1)"
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    return _as_grey_values(images, where) if images.ndim > 2 and images.size else images


def _as_grey_values(images: np.ndarray, where: str) -> np.ndarray:
    if images.dtype.kind not in "iub":
        return images
    low, high = images.min(), images.max()
    if images.dtype == bool or (low >= 0 and high == 1):
        raise DataError(
            f"images of the {where} are {images.dtype} and hold nothing above 1, where white is "
            "255: give 255 * images.astype('uint8'); pixels in [0, 1] that were cut to integers "
            "are (255 * pixels).round().astype('uint8')"
        )
    if low < 0 or high > 255:
        raise DataError(
            f"images of the {where} are {images.dtype} from {low} to {high}: need grey values "
            "in 0..255"
        )
    return images.astype(np.uint8, copy=False)


def _as_labels(labels: Any, where: str) -> np.ndarray:
    labels = _as_array(
        labels, f"labels of the {where}", "np.unique(labels, return_inverse=True)[1]"
    )
    problem = f"labels of the {where} are {labels.dtype} of shape {labels.shape}"
    if labels.ndim == 2 and labels.shape[1] == 1:
        raise DataError(f"{problem}: need (N,), as labels.ravel() gives")
    if labels.ndim == 2:
        raise DataError(f"{problem}: need (N,); convert one-hot rows with labels.argmax(-1)")
    if labels.dtype.kind in "iu" or labels.ndim != 1:
        return labels
    numbers = labels.astype(np.float64)
    not_whole = np.flatnonzero(~np.isfinite(numbers) | (numbers != np.floor(numbers)))
    if not_whole.size:
        index = not_whole[0]
        raise DataError(f"label {index} of the {where} is {labels[index]}: not a class number")
    raise DataError(f"{problem}: need integers, as labels.astype('int32') gives")


def _as_array(values: Any, what: str, numbers_by: str = "") -> np.ndarray:
    """Converts anything array-like to a NumPy array of numbers."""
    try:
        if hasattr(values, "detach"):  # a PyTorch tensor, which may have a gradient or a device
            values = values.detach().cpu()
            values = values.float() if str(values.dtype) == "torch.bfloat16" else values
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{what} are a {type(values).__name__}, not an array: {brief(error)}"
        ) from None
    if array.dtype.kind not in "biuf" and not np.can_cast(array.dtype, np.float32):
        hint = f", by {numbers_by}" if numbers_by else ""
        raise DataError(f"{what} are {array.dtype}: need numbers{hint}")
    return array


def check_split(part: Split, num_classes: int, where: str) -> None:
    """Checks images (N, …) of any numeric type and their labels before training or evaluation.

    Raises:
        DataError: there are no images, a pixel is NaN or infinite, or labels are not one integer in
            0..num_classes - 1 per image.

    Example:
        >>> part = Split(np.array([[0.5], [np.nan]]), np.array([0, 1]))
        >>> check_split(part, 2, "training part")
        Traceback (most recent call last):
            ...
        jaxdl.errors.DataError: image 1 of the training part has a pixel that is nan: ...
    """
    images, labels = np.asarray(part.images), np.asarray(part.labels)
    if images.size == 0:
        raise DataError(f"no images in the {where}: shape {images.shape}")
    if images.ndim == 0 or labels.shape != (len(images),):
        raise DataError(
            f"{len(images) if images.ndim else 1} images but labels of shape {labels.shape} in the "
            f"{where}: need one label per image"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels are {labels.dtype} in the {where}: need integers")
    _check_finite(images, where)
    out_of_range = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if out_of_range.size:
        index = out_of_range[0]
        raise DataError(
            f"label {labels[index]} of sample {index} is outside 0..{num_classes - 1} "
            f"in the {where}: the files are damaged or belong to another data set"
        )


def _shape_of(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}" if hasattr(array, "shape") else repr(array)


def _check_part(part: Split, num_classes: int, where: str) -> None:
    images = part.images
    if images.ndim != 4 or images.dtype != np.uint8:
        raise DataError(
            f"images are {images.dtype} of shape {images.shape} in the {where}: "
            "need uint8 of shape (N, H, W, C)"
        )
    check_split(part, num_classes, where)


def _check_finite(images: np.ndarray, where: str) -> None:
    """Refuses NaN and infinite pixels, naming the first."""
    if images.dtype.kind not in "iub":
        for index, image in enumerate(images):
            bad = image[~np.isfinite(image)]
            if bad.size:
                raise DataError(
                    f"image {index} of the {where} has a pixel that is {bad.flat[0]}: the "
                    "loss would be NaN from its batch on; remove or repair it"
                )
