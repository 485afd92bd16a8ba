"""What can be said of a data set before anything is trained."""

from typing import Any

import numpy as np

from jaxdl.data.dataset import Split
from jaxdl.data.neighbors import neighbor_facts


def data_facts(train: Split, test: Split, num_classes: int) -> dict[str, Any]:
    """Counts, ranges and repetitions of a training and a test part, as plain values.

    Returns:
        ``num_classes``; ``train`` and ``test``, each with ``images`` (their number),
        ``class_counts``, the pixels' ``min``, ``max``, ``mean`` and ``std`` in grey values, and
        ``constant_images``; ``duplicates``: how many training images repeat an earlier one
        (``within_train``), how many of these have another label (``relabelled``), how many test
        images are also training images (``test_in_train``), how many of these have another label
        there (``test_relabelled``), and how many repeat an earlier test image (``within_test``):
        only equal pixels count; and ``neighbors``, see :func:`neighbor_facts`.

    Example:
        >>> images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
        >>> train = Split(images[[0, 1, 1]], np.array([0, 1, 0]))
        >>> facts = data_facts(train, Split(images[[1, 3]], np.array([1, 1])), 2)
        >>> facts["train"]["class_counts"], facts["train"]["max"]
        ([2, 1], 1)
        >>> facts["duplicates"]["within_train"], facts["duplicates"]["test_in_train"]
        (1, 1)
    """
    return {
        "num_classes": num_classes,
        "train": _part_facts(train, num_classes),
        "test": _part_facts(test, num_classes),
        "duplicates": _duplicates(train, test),
        "neighbors": neighbor_facts(train, test),
    }


def grey_moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of uint8 values, in grey values, without a copy in float.

    Example:
        >>> grey_moments(np.array([[0, 0], [2, 2]], np.uint8))
        (1.0, 1.0)
    """
    grey, counts = np.arange(256), np.bincount(pixels.ravel(), minlength=256)
    mean = (counts * grey).sum() / counts.sum()
    return float(mean), float(np.sqrt((counts * (grey - mean) ** 2).sum() / counts.sum()))


def _part_facts(part: Split, num_classes: int) -> dict[str, Any]:
    images = np.asarray(part.images)
    mean, std = grey_moments(images)
    flat = images.reshape(len(images), -1)
    return {
        "images": len(images),
        "class_counts": np.bincount(part.labels, minlength=num_classes).tolist(),
        "min": int(images.min()),
        "max": int(images.max()),
        "mean": mean,
        "std": std,
        "constant_images": int((flat == flat[:, :1]).all(axis=1).sum()),
    }


def _duplicates(train: Split, test: Split) -> dict[str, int]:
    seen: dict[bytes, int] = {}
    repeated, relabelled = _count_seen(train, seen, remember=True)
    leaked, leaked_relabelled = _count_seen(test, seen, remember=False)
    return {
        "within_train": repeated,
        "relabelled": relabelled,
        "test_in_train": leaked,
        "test_relabelled": leaked_relabelled,
        "within_test": _count_seen(test, {}, remember=True)[0],
    }


def _count_seen(part: Split, seen: dict[bytes, int], remember: bool) -> tuple[int, int]:
    """How many images were seen before, and how many of them with another label."""
    found = other = 0
    for image, label in zip(np.asarray(part.images), part.labels.tolist(), strict=True):
        content = image.tobytes()
        if content in seen:
            found, other = found + 1, other + (seen[content] != label)
        elif remember:
            seen[content] = label
    return found, other
