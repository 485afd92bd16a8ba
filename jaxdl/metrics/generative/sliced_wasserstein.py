"""Sliced Wasserstein distance of images, which needs no network and no labels."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative._features import check_finite

PATCH = 7
SMALLEST = 14  # two patches: 64 pixels give the levels 64, 32, 16, and 28 pixels 28, 14
BLUR = np.array([1, 4, 6, 4, 1], np.float32) / 16
CHUNK = 32  # directions sorted at a time


class SlicedWasserstein(NamedTuple):
    """Distances by level of the pyramid.

    Attributes:
        mean: over the levels.
        levels: finest first: full resolution shows textures and noise, the last one shapes.
    """

    mean: float
    levels: tuple[float, ...]


def sliced_wasserstein(
    images: ArrayLike,
    reference: ArrayLike,
    key: jax.Array,
    patches: int = 16,
    directions: int = 128,
) -> SlicedWasserstein:
    """Sliced Wasserstein distance of patches, at each level of a Laplacian pyramid.

    Each level holds what the next coarser one, enlarged, lacks; the last one is the small image
    itself. Of every image random 7 × 7 patches are taken, and both sets of patches are scaled by
    the mean and standard deviation of the reference's channels (Karras et al. scale each set by its
    own, which hides a lack of contrast). The distance of their projections on random directions
    is averaged over directions. Karras et al. take 128 patches and 512 directions, and print 1000
    times the result; compare scores of the same n, patches and image size.

    Args:
        images, reference: shape (n, H, W, C), the same for both, H and W at least 7; any numbers
            (0–255 or −1–1) on the same scale.
        key: for patches and directions.
        patches: of an image, in each level.

    Raises:
        ShapeError: shapes differ or are others.
        ConfigError: a pixel is NaN or infinite, or a count is below 1.

    Example:
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 64, 28, 28, 1))
        >>> same, dark = (sliced_wasserstein(a, x, jax.random.key(1)) for x in (b, b / 2))
        >>> len(same.levels), same.mean < 0.1 < dark.mean
        (2, True)

    References:
        Karras et al., Progressive Growing of GANs for Improved Quality, Stability, and Variation,
        2018.
        Burt and Adelson, The Laplacian Pyramid as a Compact Image Code, 1983.
    """
    if min(patches, directions) < 1:
        raise ConfigError(f"{patches} patches, {directions} directions: need at least 1 of each")
    sets = [jnp.asarray(values) for values in (images, reference)]
    for name, array in zip(("images", "reference"), sets, strict=True):
        if array.ndim != 4 or not array.size or min(array.shape[1:3]) < PATCH:
            raise ShapeError(
                f"{name} has shape {array.shape}: need (n, height, width, channels), with "
                f"{PATCH} × {PATCH} pixels or more"
            )
        if array.dtype != jnp.uint8:
            check_finite(name, array)
    if sets[0].shape != sets[1].shape:
        raise ShapeError(
            f"images have shape {sets[0].shape}, the reference {sets[1].shape}: "
            "take as many of the same size"
        )
    draw_directions, *draws = jax.random.split(key, 3)
    samples, reals = (
        _patches(array, draw, patches) for array, draw in zip(sets, draws, strict=True)
    )
    keys = jax.random.split(draw_directions, len(reals))
    levels = tuple(
        _distance(*level, directions) for level in zip(samples, reals, keys, strict=True)
    )
    return SlicedWasserstein(float(np.mean(levels)), levels)


@partial(jax.jit, static_argnames="count")
def _patches(images: jax.Array, key: jax.Array, count: int) -> list[jax.Array]:
    """Random patches of every level, each of shape (n, count, PATCH, PATCH, C)."""

    def cut(image_and_key: tuple[jax.Array, jax.Array]) -> list[jax.Array]:
        image, key = image_and_key
        levels = _pyramid(image.astype(jnp.float32))
        keys = jax.random.split(key, len(levels))
        return [_cut(level, key, count) for level, key in zip(levels, keys, strict=True)]

    keys = jax.random.split(key, len(images))
    return jax.lax.map(cut, (images, keys), batch_size=256)


def _cut(image: jax.Array, key: jax.Array, count: int) -> jax.Array:
    ends = jnp.array(image.shape[:2]) - PATCH + 1
    corners = jax.random.randint(key, (count, 2), 0, ends[None])
    return jax.vmap(
        lambda corner: jax.lax.dynamic_slice(
            image, (corner[0], corner[1], 0), (PATCH, PATCH, image.shape[2])
        )
    )(corners)


def _pyramid(image: jax.Array) -> list[jax.Array]:
    """The levels of an image (H, W, C), halved while sides are even and halves large enough."""
    levels = []
    while all(side % 2 == 0 and side >= 2 * SMALLEST for side in image.shape[:2]):
        small = _blur(image)[::2, ::2]
        spread = jnp.zeros_like(image).at[::2, ::2].set(4 * small)
        levels.append(image - _blur(spread))
        image = small
    return [*levels, image]


def _blur(image: jax.Array) -> jax.Array:
    """Binomial blur with mirrored edges."""
    for axis in (0, 1):
        size = image.shape[axis]
        padding = [(2, 2) if a == axis else (0, 0) for a in range(3)]
        padded = jnp.pad(image, padding, mode="reflect")
        image = sum(
            float(weight) * jax.lax.slice_in_dim(padded, i, i + size, axis=axis)
            for i, weight in enumerate(BLUR)
        )
    return image


def _distance(samples: jax.Array, reals: jax.Array, key: jax.Array, directions: int) -> float:
    """Mean distance of the projections, scaled by the reals' channels."""
    # On the host: NumPy sorts faster than XLA.
    sets = [np.asarray(x) for x in (samples, reals)]
    mean, sd = (f(sets[1], (0, 1, 2, 3), np.float64) for f in (np.mean, np.std))
    scale = np.float32(1 / np.where(sd > 0, sd, 1))
    points = [((x - np.float32(mean)) * scale).reshape(-1, x[0, 0].size) for x in sets]
    axes = np.asarray(jax.random.normal(key, (points[0].shape[1], directions)))
    axes = axes / np.linalg.norm(axes, axis=0)
    distances = []
    for start in range(0, directions, CHUNK):
        ordered = [np.sort((x @ axes[:, start : start + CHUNK]).T, axis=1) for x in points]
        distances.append(np.abs(ordered[0] - ordered[1]).mean(1))
    return float(np.concatenate(distances).mean(dtype=np.float64))
