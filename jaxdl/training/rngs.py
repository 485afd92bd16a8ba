"""Random numbers without a chain of keys: every draw is a function of (root key, name, step).

A key that is split anew each step has to be carried, saved and restored, and breaks when the
number of devices changes. Here nothing is carried: a stream is the root key folded with the
stream's name, a draw is the stream folded with the step, and what belongs to one sample is folded
with the sample's position in the *global* batch. So a resumed run, and a run on another number of
devices, draw the same numbers.
"""

import enum
import zlib

import jax
import jax.numpy as jnp


class Stream(enum.StrEnum):
    """Every purpose that this project draws random numbers for; a stream's bits hang on its name.

    A program of one's own may name further streams: :func:`stream` takes any string.
    """

    WEIGHTS = "weights"
    """Initial parameters."""
    SHUFFLE = "shuffle"
    """The order of the examples, anew each epoch."""
    NOISE = "noise"
    """A generator's z in training."""
    FIXED_NOISE = "fixed noise"
    """The z of the sample grids."""
    AUGMENTATION = "augmentation"
    """What happens to a training image."""
    DROPOUT = "dropout"
    """Dropout masks."""
    SPLIT = "split"
    """Which examples are held out."""
    PICTURES = "pictures"
    """Which examples are shown in figures."""
    MADE_UP = "made up"
    """Data that a lesson makes up."""
    PENALTY = "penalty"
    """Random points of a penalty on D's inputs."""


def root_key(seed: int) -> jax.Array:
    """The key from which every random draw of a run descends."""
    return jax.random.key(seed)


def stream(key: jax.Array, name: str) -> jax.Array:
    """A key of its own for a named purpose.

    Args:
        key: the root key.
        name: the purpose, one of :class:`Stream` or a name of your own; its CRC-32 is folded into
            the key.

    Returns:
        The stream's key.

    Example:
        >>> key = root_key(0)
        >>> bool((stream(key, Stream.NOISE) == stream(key, Stream.SHUFFLE)).all())
        False
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def normal_per_sample(key: jax.Array, positions: jax.Array, size: int) -> jax.Array:
    """Standard normal vectors, each a function of its sample's position in the global batch.

    Args:
        key: the key of this draw (a stream folded with the step).
        positions: positions in the global batch, integers (N,).
        size: length of each vector.

    Returns:
        Array (N, size), float32.

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
    """Uniform numbers in [0, 1), (N,), one a sample; see :func:`normal_per_sample`."""

    def draw(position: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, position))

    return jax.vmap(draw)(jnp.asarray(positions))
