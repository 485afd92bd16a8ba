"""Random streams: every draw is a function of (root key, name, step).

A key that is split at every step must be carried, saved and restored, and its draws change with the
number of devices. Here no key is carried. A stream is the root key folded with the stream's name, a
draw is the stream folded with the step, and a sample's draw is also folded with its position in the
*global* batch. Resumed runs, and runs on other numbers of devices, therefore draw the same numbers.
"""

import enum
import zlib

import jax
import jax.numpy as jnp


class Stream(enum.StrEnum):
    """All purposes this project draws random numbers for; a stream's bits depend on its name.

    Your own programs can use other names: :func:`stream` takes any string.
    """

    WEIGHTS = "weights"
    """Initial parameters."""
    SHUFFLE = "shuffle"
    """The order of the examples in each epoch."""
    NOISE = "noise"
    """A generator's z in training."""
    FIXED_NOISE = "fixed noise"
    """The z of the sample grids."""
    EVALUATION = "evaluation"
    """The z of the images that a judge scores."""
    AUGMENTATION = "augmentation"
    """Augmentation of training images."""
    DROPOUT = "dropout"
    """Dropout masks."""
    SPLIT = "split"
    """Which examples are held out."""
    PICTURES = "pictures"
    """Which examples are shown in figures."""
    MADE_UP = "made up"
    """A lesson's synthetic data."""
    GENERATION = "generation"
    """The z of images drawn from a trained generator."""
    PENALTY = "penalty"
    """Random points of a penalty on D's inputs."""


def root_key(seed: int) -> jax.Array:
    """The key from which all random draws of a run derive."""
    return jax.random.key(seed)


def stream(key: jax.Array, name: str) -> jax.Array:
    """The key of a named purpose: a :class:`Stream` or any name, folded in as its CRC-32.

    Example:
        >>> key = root_key(0)
        >>> bool((stream(key, Stream.NOISE) == stream(key, Stream.SHUFFLE)).all())
        False
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def normal_per_sample(key: jax.Array, positions: jax.Array, size: int) -> jax.Array:
    """Standard normal float32 vectors (N, size), each depending only on its sample's position.

    Args:
        key: the key of this draw (a stream folded with the step).
        positions: positions in the global batch, integers (N,).
        size: length of each vector.

    Example:
        >>> key = root_key(0)
        >>> whole = normal_per_sample(key, jnp.arange(4), 3)
        >>> half = normal_per_sample(key, jnp.arange(2, 4), 3)
        >>> bool((whole[2:] == half).all())
        True
    """

    def draw(position: jax.Array) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(key, position), (size,))

    return jax.vmap(draw)(jnp.asarray(positions))


def uniform_per_sample(key: jax.Array, positions: jax.Array) -> jax.Array:
    """Uniform numbers in [0, 1), (N,), one per sample; see :func:`normal_per_sample`."""

    def draw(position: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, position))

    return jax.vmap(draw)(jnp.asarray(positions))
