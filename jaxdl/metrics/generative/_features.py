"""What the scores share: the check of their arguments, and distances in bounded memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError

ROWS = 256  # whose distances to all other points are held at once


def check_features(least: int = 2, **sets: ArrayLike) -> list[np.ndarray]:
    """Returns the named sets of features in float64.

    Raises:
        ShapeError: a set is not of shape (samples, features), has fewer samples than ``least``, or
            its width differs from the first set's.
        ConfigError: a feature is NaN or infinite.
    """
    arrays = {name: check_finite(name, values) for name, values in sets.items()}
    first, width = next((name, array.shape[-1:]) for name, array in arrays.items())
    for name, array in arrays.items():
        if array.ndim != 2 or not array.size:
            raise ShapeError(f"{name} has shape {array.shape}: need (samples, features)")
        if array.shape[1:] != width:
            raise ShapeError(
                f"{name} has {array.shape[1]} features a sample, {first} has {width[0]}: "
                "take both from the same layer of the same network"
            )
        if len(array) < least:
            raise ShapeError(f"{name} has {len(array)} samples: need at least {least}")
    return list(arrays.values())


def check_finite(name: str, values: ArrayLike) -> np.ndarray:
    """Returns the values in float64; ShapeError for other things than numbers."""
    array = np.asarray(values)
    if not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "iu"):
        raise ShapeError(f"{name} has type {array.dtype}: need real numbers")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        finite = np.isfinite(array.reshape(len(array), -1)).all(1)
        raise ConfigError(
            f"{name} has NaN or infinite values in {(~finite).sum():,} of {len(array):,} samples: "
            "look at what made them (a generator that diverged?)"
        )
    return array


def centred(*sets: np.ndarray) -> tuple[jax.Array, ...]:
    """The sets in float32 relative to the first one's mean, which saves digits of distances."""
    middle = sets[0].mean(0)
    return tuple(jnp.asarray(array - middle, jnp.float32) for array in sets)


def squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """‖x − y‖² of a point of shape (d,) and each of n points (n, d), in float32."""
    # A GPU would otherwise multiply in TF32, with three digits.
    products = jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x * x) + jnp.sum(y * y, 1) - 2 * products, 0)


@partial(jax.jit, static_argnames=("k", "same"))
def nearest(
    x: jax.Array,
    y: jax.Array,
    k: int,
    tags: tuple[jax.Array, jax.Array] | None = None,
    same: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """Squared distances (n, k) of each x to its k nearest y, ascending, and the indices of these.

    With ``tags``, one integer a point of x and of y, only those y are considered whose tag is the
    same (or, ``same=False``, another); where there are too few of them the distance is infinite.
    """
    x_tags, y_tags = (jnp.zeros(len(x), jnp.int32), None) if tags is None else tags

    def look(point: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row, tag = point
        distances = squared_distances(row, y)
        if y_tags is not None:
            distances = jnp.where((y_tags == tag) == same, distances, jnp.inf)
        negative, indices = jax.lax.top_k(-distances, k)
        return -negative, indices

    return jax.lax.map(look, (x, x_tags), batch_size=ROWS)
