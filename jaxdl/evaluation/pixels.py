"""What is seen in the pixels alone: copies of training images, repetitions, blur and noise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.data import padded_batches
from jaxdl.evaluation.judge import to_judge_size
from jaxdl.metrics import generative

BATCH = 1000
COMPONENTS = 64
RARE = 0.01  # share of real images that count as alike, or as copies by each distance


class Basis(NamedTuple):
    """Principal components of real images, in which distances ignore most of the noise.

    Attributes:
        mean: (pixels,).
        components: (pixels, 64).
        size: height and width to which images are resized.
    """

    mean: np.ndarray
    components: np.ndarray
    size: int


class Looks(NamedTuple):
    """What is known of each image's pixels.

    Attributes:
        codes: coordinates in a basis, float32 (N, 64); pixels count from -1 to 1.
        pixels: the images, resized to the basis's size, uint8 (N, size, size, C).
        detail: mean square difference between neighbouring pixels, (N,); blur lowers it, noise
            raises it.
    """

    codes: np.ndarray
    pixels: np.ndarray
    detail: np.ndarray


def make_basis(images: np.ndarray, size: int) -> Basis:
    """The principal components of real images uint8 (N, H, W, C), resized to ``size``."""
    batches = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
    rows = np.concatenate(
        [np.asarray(to_judge_size(batch, size)).reshape(len(batch), -1) for batch in batches]
    )
    mean = rows.mean(0)
    _, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean))
    return Basis(mean, np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS]), size)


def look_at(images: np.ndarray, basis: Basis) -> Looks:
    """Codes, pixels and detail of uint8 images (N, H, W, C) of any size."""
    batches = padded_batches(images, min(BATCH, len(images)))
    found = [_look(batch, basis.mean, basis.components, basis.size) for batch in batches]
    return Looks(*(np.concatenate(parts)[: len(images)] for parts in zip(*found, strict=True)))


@jax.jit(static_argnums=3)
def _look(
    images: jax.Array, mean: jax.Array, components: jax.Array, size: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    pixels = to_judge_size(images, size)
    down, right = jnp.diff(pixels, axis=1), jnp.diff(pixels, axis=2)
    detail = (jnp.square(down).mean((1, 2, 3)) + jnp.square(right).mean((1, 2, 3))) / 2
    rows = pixels.reshape(len(pixels), -1) - mean[None]
    codes = jnp.dot(rows, components, precision=jax.lax.Precision.HIGHEST)
    return codes, jnp.round((pixels + 1) * 127.5).astype(jnp.uint8), detail


def alike_distance(codes: np.ndarray) -> float:
    """A distance that counts as alike, from real images' codes (N, D).

    It is smaller than 99% of the distances to the nearest neighbour, and than half of their median,
    as few real images lie far apart.
    """
    own = generative.nearest_neighbors(codes, codes, 2).distances[:, 1]
    return float(min(np.quantile(own, RARE), np.median(own) / 2))


def distinct_images(codes: np.ndarray, distance: float) -> float:
    """How many images there are in effect: the reciprocal of :func:`alike_pairs`; inf without."""
    pairs = alike_pairs(codes, distance)
    return 1 / pairs if pairs else np.inf


def alike_pairs(codes: np.ndarray, distance: float) -> float:
    """Share of the pairs of images whose codes (N, D) are nearer than ``distance``."""
    squares = np.square(codes).sum(1)
    squared = squares[:, None] + squares[None] - 2 * codes @ codes.T
    alike = squared < distance**2
    np.fill_diagonal(alike, False)
    return float(alike.sum() / (alike.size - len(alike)))
