"""A trained generator as something that draws images.

A generator of classes is asked for one with each z: image number ``i`` is of class ``i`` modulo
their number, unless a class is chosen (:meth:`TrainedGenerator.of_class`). Its z's are then
followed by the shares of the classes, in rows (N, latent_dim + classes).

Images are drawn in passes of one fixed size, so that an image's bits depend on its z and its place
in its pass, not on how many are drawn or on how many devices there are. z number ``i`` of a seed
is a draw of its own (see :func:`jaxdl.training.rngs.normal_per_sample`).
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.distributed.precision import products_as
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.models import Generator
from jaxdl.models.dcgan import class_shares
from jaxdl.training.rngs import Stream, normal_per_sample, root_key, stream

PASS = 64  # images per forward pass
MOST_SAMPLES = 2**31 - 1  # z's are numbered by int32


@dataclass(frozen=True, repr=False, eq=False)
class TrainedGenerator:
    """A generator with its weights; get one from :func:`jaxdl.generation.load_generator`.

    Attributes:
        model: the network.
        variables: its parameters and running statistics, the collections ``model.apply`` takes.
        source: where they come from, for messages.
        label: the class that is drawn, of a generator of classes; None for all in turn.

    Example:
        >>> model = Generator(features=4, image_size=16)
        >>> init = jax.jit(lambda key: model.init(key, jnp.zeros((1, 100)), train=False))
        >>> variables = init(jax.random.key(0))
        >>> generator = TrainedGenerator(model, variables, "nowhere")
        >>> generator.sample(3, seed=1).shape
        (3, 16, 16, 1)
        >>> generator
        TrainedGenerator(16×16×1 images, features=4, latent_dim=100, from nowhere)
    """

    model: Generator
    variables: dict[str, Any]
    source: str = "memory"
    label: int | None = None

    def __repr__(self) -> str:
        model = self.model
        classes = f"{model.num_classes} classes, " if model.num_classes else ""
        return (
            f"{type(self).__name__}({model.image_size}×{model.image_size}×{model.channels} images, "
            f"{classes}features={model.features}, latent_dim={model.latent_dim}, "
            f"from {self.source})"
        )

    def of_class(self, label: int) -> "TrainedGenerator":
        """The generator of one class only.

        Raises:
            ConfigError: it knows no classes, or not this one.
        """
        known = self.model.num_classes
        if not 0 <= label < known:
            what = f"knows the classes 0 to {known - 1}" if known else "knows no classes"
            raise ConfigError(f"label {label}: the generator of {self.source} {what}")
        return replace(self, label=label)

    def classes(self, numbers: ArrayLike) -> np.ndarray | None:
        """The classes (N,) of the images with these numbers; None if there are no classes."""
        if not self.model.num_classes:
            return None
        numbers = np.asarray(numbers)
        if self.label is not None:
            return np.full(numbers.shape, self.label, np.int32)
        return (numbers % self.model.num_classes).astype(np.int32)

    @property
    def exact_model(self) -> Generator:
        """The network with plain convolutions in float32."""
        return self.model.clone(conv="lax", dtype=jnp.float32)

    def images(self, z: ArrayLike, classes: ArrayLike | None = None) -> np.ndarray:
        """Maps noise (N, latent_dim) to images (N, H, W, C), float32 in [-1, 1].

        ``classes`` are whole numbers (N,), or shares of each class (N, classes); None for those of
        the first N images.

        Convolutions are plain ones, so that other programs' images differ by less than 1e-5. The
        faster ones of :meth:`pixels` differ by 2e-5, which is far less than a grey level.

        Raises:
            ShapeError: z or the classes have another shape, or values that are not finite numbers.
        """
        return np.concatenate(list(self._passes(self.given_batches(z, classes), pixels=False)))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draws images (count, H, W, C), float32 in [-1, 1]; a smaller count gives the first ones.

        Raises:
            ConfigError: ``count`` is below 1.
        """
        batches = self.noise_batches(count, seed)
        return np.concatenate(list(self._passes(batches, pixels=False)))

    def pixels(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Images as uint8 (N, H, W, C), for batches of at most 64: fast, in constant memory."""
        return self._passes(batches, pixels=True)

    def noise(self, numbers: ArrayLike, seed: int = 0) -> np.ndarray:
        """The z's of a seed with the given numbers, counted from 0: float32 (N, latent_dim).

        ``sample(count, seed)`` draws from the numbers 0 to count - 1.
        """
        numbers = np.asarray(numbers)
        if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise ConfigError(f"numbers of z's must be a list of whole numbers, not {numbers!r}")
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < MOST_SAMPLES:
            raise ConfigError(f"numbers of z's must be from 0 to {MOST_SAMPLES - 1}")
        return np.asarray(_noise(seed, numbers, self.model.latent_dim))

    def noise_batches(self, count: int, seed: int = 0) -> Iterator[np.ndarray]:
        """The first ``count`` z's of a seed, in batches for :meth:`pixels`."""
        if not 1 <= count <= MOST_SAMPLES:
            raise ConfigError(f"count is {count}: it must be from 1 to {MOST_SAMPLES}")
        blocks = numbers_of_passes(count)
        return (self._rows(self.noise(block, seed), self.classes(block)) for block in blocks)

    def given_batches(self, z: ArrayLike, classes: ArrayLike | None = None) -> Iterator[np.ndarray]:
        """Noise (N, latent_dim) as float32, checked, in batches for :meth:`pixels`.

        ``classes`` are those of :meth:`images`.
        """
        z = np.asarray(z)
        if z.ndim != 2 or z.shape[1] != self.model.latent_dim or len(z) == 0:
            raise ShapeError(
                f"z has shape {z.shape}; this generator needs (N, {self.model.latent_dim}), N at "
                "least 1"
            )
        if not np.issubdtype(z.dtype, np.floating) and not np.issubdtype(z.dtype, np.integer):
            raise ShapeError(f"z has type {z.dtype}; it must hold real numbers")
        if classes is not None:
            classes = np.asarray(classes)
            self._check_classes(classes, len(z))
        elif self.model.num_classes:
            classes = self.classes(np.arange(len(z)))
        return (
            self._rows(_finite(z[part]), None if classes is None else classes[part])
            for part in (slice(first, first + PASS) for first in range(0, len(z), PASS))
        )

    def _check_classes(self, classes: np.ndarray, count: int) -> None:
        known = self.model.num_classes
        if not known:
            raise ShapeError("classes are given to a generator that knows none: leave them out")
        whole = classes.shape == (count,) and np.issubdtype(classes.dtype, np.integer)
        if not (whole and 0 <= classes.min() <= classes.max() < known) and not (
            classes.shape == (count, known) and np.isfinite(classes).all()
        ):
            raise ShapeError(
                f"classes {classes.dtype} {classes.shape} for {count} z's: this generator needs "
                f"whole numbers from 0 to {known - 1}, ({count},), or shares ({count}, {known})"
            )

    def _rows(self, z: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
        """z's, followed by the shares of the classes if there are any."""
        shares = class_shares(classes, len(z), self.model.num_classes)
        return z if shares is None else np.concatenate([z, np.asarray(shares, np.float32)], axis=1)

    def _passes(self, batches: Iterable[np.ndarray], pixels: bool) -> Iterator[np.ndarray]:
        """The images of each batch; the next pass runs while a batch is in use."""
        model = self.model if pixels else self.exact_model
        waiting = None
        for rows in batches:
            padding = np.zeros((PASS - len(rows), rows.shape[1]), np.float32)
            with products_as("float32", jax.default_backend()):
                padded = np.concatenate([rows, padding])
                running = _draw(model, pixels, self.variables, padded), len(rows)
            if waiting is not None:
                yield np.asarray(waiting[0])[: waiting[1]]
            waiting = running
        if waiting is not None:
            yield np.asarray(waiting[0])[: waiting[1]]


def numbers_of_passes(count: int) -> Iterator[np.ndarray]:
    """The numbers from 0 to count - 1, in blocks of a pass.

    Example:
        >>> [len(block) for block in numbers_of_passes(130)]
        [64, 64, 2]
    """
    return (np.arange(first, min(first + PASS, count)) for first in range(0, count, PASS))


def draw_rows(model: Generator, variables: dict[str, Any], rows: jax.Array) -> jax.Array:
    """Images of z's, each followed by the shares of the classes if the model knows any."""
    if not model.num_classes:
        return model.apply(variables, rows, train=False)
    z, shares = rows[:, : model.latent_dim], rows[:, model.latent_dim :]
    return model.apply(variables, z, shares, train=False)


def _finite(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = z.astype(np.float32)
    if not np.isfinite(z).all():
        raise ShapeError("z holds values that are not finite float32 numbers")
    return z


@functools.partial(jax.jit, static_argnums=2)
def _noise(seed: int, numbers: jax.Array, size: int) -> jax.Array:
    return normal_per_sample(stream(root_key(seed), Stream.GENERATION), numbers, size)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw(model: Generator, pixels: bool, variables: dict[str, Any], rows: jax.Array) -> jax.Array:
    images = draw_rows(model, variables, rows)
    if not pixels:
        return images
    images = images.astype(jnp.float32)  # bfloat16 cannot hold every grey value
    return jnp.floor((jnp.clip(images, -1, 1) + 1) * 127.5 + 0.5).astype(jnp.uint8)
