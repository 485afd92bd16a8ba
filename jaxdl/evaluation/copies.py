"""Copies of training images, also noisy or shifted ones."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.data import padded_batches
from jaxdl.evaluation.references import Part
from jaxdl.metrics import generative

CANDIDATES = 32  # training images that are compared closely with each image, per kind of distance
MOST_SHIFT = 2  # pixels by which a copy may be moved
BATCH = 64  # images that are compared closely at once
TINY = 1e-6  # distance below which images are equal


def nearness(part: Part, train: Part) -> list[np.ndarray]:
    """Distance to the nearest training image divided by that to the second.

    For a new image both are about as far, at whatever distance. The original of a copy is nearer
    than all others, also if the copy is noisy.

    Returns:
        Ratios (N,) of distances in pixels, with a judge of those in its features, and of those in
        pixels where the image is moved by up to two pixels to fit best.
    """
    pairs = [(part.looks.codes, train.looks.codes)]
    if part.seen is not None:
        pairs.append((part.seen.features, train.seen.features))
    count = min(CANDIDATES, train.count)
    found = [generative.nearest_neighbors(*pair, count) for pair in pairs]
    ratios = [_ratio(one.distances) for one in found]
    candidates = np.concatenate([one.indices for one in found], 1)
    return [*ratios, _ratio(shifted_distances(part.looks.pixels, train.looks.pixels, candidates))]


def _ratio(distances: np.ndarray) -> np.ndarray:
    """The smallest of each row (N, k) divided by the second."""
    first, second = np.partition(distances, 1, axis=1)[:, :2].T
    return first / np.maximum(second, TINY)


def shifted_distances(images: np.ndarray, others: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Distances of images, moved by up to two pixels to where they fit best, to chosen others.

    A margin of two pixels is left out, so that nothing is compared with what a shift brings in.

    Args:
        images: uint8 (N, S, S, C).
        others: uint8 (M, S, S, C).
        candidates: indices into ``others`` (N, K).

    Returns:
        Root mean square differences (N, K); infinite where a row of indices repeats one.
    """
    rows = np.sort(candidates, 1)
    batches = zip(padded_batches(images, BATCH), padded_batches(rows, BATCH), strict=True)
    fits = [np.asarray(_best_fits(batch, others[chosen])) for batch, chosen in batches]
    found = np.concatenate(fits)[: len(images)]
    found[:, 1:][rows[:, 1:] == rows[:, :-1]] = np.inf
    return found


@jax.jit
def _best_fits(images: jax.Array, others: jax.Array) -> jax.Array:
    """Root mean square differences (N, K) of images (N, S, S, C) and others (N, K, S, S, C)."""
    # Black is 0, so that images with a black ground lose few digits in the differences.
    images, others = (array.astype(jnp.float32) / 127.5 for array in (images, others))
    inner = slice(MOST_SHIFT, images.shape[1] - MOST_SHIFT)
    others = others[:, :, inner, inner].reshape(*others.shape[:2], -1)
    shifts = range(-MOST_SHIFT, MOST_SHIFT + 1)
    moved = [
        jnp.roll(images, (down, right), (1, 2))[:, inner, inner].reshape(len(images), -1)
        for down in shifts
        for right in shifts
    ]
    moved = jnp.stack(moved, 1)
    products = jnp.einsum("nsp,nkp->nsk", moved, others, precision=jax.lax.Precision.HIGHEST)
    sums = jnp.square(moved).sum(-1)[:, :, None] + jnp.square(others).sum(-1)[:, None]
    squares = (sums - 2 * products).min(1)
    return jnp.sqrt(jnp.maximum(squares, 0) / others.shape[-1])
