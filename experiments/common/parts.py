"""The parts of a data set in a run: trained on, held out, measured after each epoch."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxdl import data
from jaxdl.training.rngs import Stream, root_key, stream

EXAMPLES = 5000  # training images on which loss and accuracy are measured after each epoch


class Parts(NamedTuple):
    """The parts of a data set.

    Attributes:
        train: the images to train on.
        evaluated: what to evaluate on after each epoch: "train", some of the training images as
            they are (not augmented); "val", those held out, if any; "test".
        indices: where "train" and "val" lie in the data set's training split.
    """

    train: data.Split
    evaluated: dict[str, data.Split]
    indices: dict[str, np.ndarray]


def take(part: data.Split, indices: np.ndarray) -> data.Split:
    """Some examples of a part."""
    return data.Split(part.images[indices], part.labels[indices])


def thinned(part: data.Split, counts: Sequence[int]) -> data.Split:
    """The first images of each class, as many as ``counts`` (C,) says, in the part's order.

    Example:
        >>> part = data.Split(np.zeros((5, 2, 2, 1), np.uint8), np.array([1, 0, 0, 1, 0]))
        >>> thinned(part, (2, 1)).labels.tolist()
        [1, 0, 0]
    """
    rank = np.empty(len(part.labels), int)
    for label, count in enumerate(np.bincount(part.labels)):
        rank[part.labels == label] = np.arange(count)
    return take(part, np.flatnonzero(rank < np.asarray(counts)[part.labels]))


def make_parts(dataset: data.Dataset, validation: float, seed: int) -> Parts:
    """Holds out a share of the training images, stratified by class; 0 holds out none."""
    key = stream(root_key(seed), Stream.SPLIT)
    kept, held = np.arange(dataset.num_train), {}
    if validation:
        kept, held["val"] = data.stratified_train_test_split(
            dataset.train.labels, 1 - validation, key=key
        )
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 1), len(kept)))
    indices = {"train": kept[order[:EXAMPLES]], **held}
    evaluated = {name: take(dataset.train, chosen) for name, chosen in indices.items()}
    return Parts(take(dataset.train, kept), evaluated | {"test": dataset.test}, indices)


def predictions_file(parts: Parts, probabilities: Mapping[str, np.ndarray]) -> bytes:
    """An `.npz` with each part's probabilities (N, C), labels (N,) and, if known, indices (N,)."""
    arrays: dict[str, np.ndarray] = {}
    for name, part in parts.evaluated.items():
        arrays[f"{name}_probabilities"] = probabilities[name]
        arrays[f"{name}_labels"] = part.labels
    arrays |= {f"{name}_indices": indices for name, indices in parts.indices.items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()
