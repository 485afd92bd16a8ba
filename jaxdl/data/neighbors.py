"""What the nearest images say of labels and parts, without any network."""

from typing import NamedTuple

import numpy as np

from jaxdl.data.dataset import Split

REFERENCES, QUERIES = 5000, 1000  # images at most
NEAREST, CLEAR = 10, 6  # neighbours that are asked, and how many of them must agree
SEED = 8_271_945  # not one that also drew the data
MOST_PIXELS = 1024  # larger images are averaged down


class _References(NamedTuple):
    pixels: np.ndarray
    labels: np.ndarray
    squares: np.ndarray


def neighbor_facts(train: Split, test: Split) -> dict[str, dict[str, float]]:
    """How images of each part lie among the training images, on at most a thousand of each.

    Returns:
        For "train" (an image is not its own neighbour) and "test": ``agreement``, the share of
        images whose nearest training image has their label; ``clear``, the number of those with
        six of the ten nearest in one class; ``contradicted``, the share of these with another
        label; and ``distance``, the median distance to the nearest, in grey values per pixel.

        Random labels lower the agreement of the part they are in and raise its contradictions.
        Without neighbours all are 0. Test images of another kind lie farther from the training
        images than these from each other.

    Example:
        >>> images = np.repeat(np.arange(0, 240, 2, dtype=np.uint8), 4).reshape(-1, 2, 2, 1)
        >>> labels = (np.arange(120) >= 60).astype(int)
        >>> clean = neighbor_facts(Split(images, labels), Split(images[:60] + 1, labels[:60]))
        >>> clean["train"]["contradicted"], clean["test"]["distance"]
        (0.0, 1.0)
    """
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(train.labels))
    chosen = order[:REFERENCES]
    pixels = _pixels(train.images[chosen])
    references = _References(pixels, np.asarray(train.labels)[chosen], (pixels**2).sum(axis=1))
    tests = rng.permutation(len(test.labels))[:QUERIES]
    itself = np.arange(min(QUERIES, len(chosen)))
    queries = _pixels(test.images[tests])
    return {
        "train": _facts(pixels[itself], references.labels[itself], references, itself),
        "test": _facts(queries, np.asarray(test.labels)[tests], references, None),
    }


def _pixels(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) as rows of about :data:`MOST_PIXELS` numbers at most."""
    images = np.asarray(images, np.float32)
    count, height, width, channels = images.shape
    factor = int(np.ceil(np.sqrt(height * width * channels / MOST_PIXELS)))
    rows, columns = height // factor, width // factor
    if factor > 1 and min(rows, columns) > 0:
        images = images[:, : rows * factor, : columns * factor]
        blocks = images.reshape(count, rows, factor, columns, factor, channels)
        images = blocks.mean(axis=(2, 4))
    return images.reshape(count, -1)


def _facts(
    pixels: np.ndarray, labels: np.ndarray, references: _References, itself: np.ndarray | None
) -> dict[str, float]:
    squares = (pixels**2).sum(axis=1)[:, None] + references.squares[None]
    squares -= 2 * pixels @ references.pixels.T
    if itself is not None:
        squares[np.arange(len(labels)), itself] = np.inf
    asked = min(NEAREST, squares.shape[1] - (itself is not None))
    if asked < 1 or not len(labels):
        return {"agreement": 0.0, "clear": 0, "contradicted": 0.0, "distance": 0.0}
    nearest = np.argpartition(squares, asked - 1, axis=1)[:, :asked]
    near = np.take_along_axis(squares, nearest, axis=1)
    closest = nearest[np.arange(len(labels)), near.argmin(axis=1)]
    votes = np.zeros((len(labels), references.labels.max() + 1), int)
    np.add.at(votes, (np.arange(len(labels))[:, None], references.labels[nearest]), 1)
    clear = votes.max(axis=1) >= CLEAR * asked / NEAREST
    contradicted = votes.argmax(axis=1)[clear] != labels[clear]
    distance = np.sqrt(np.maximum(near.min(axis=1), 0) / pixels.shape[1])
    return {
        "agreement": float((references.labels[closest] == labels).mean()),
        "clear": int(clear.sum()),
        "contradicted": float(contradicted.mean()) if clear.any() else 0.0,
        "distance": round(float(np.median(distance)), 3),
    }
