"""Augmentations by name and strength, one after another."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.data.augmentation.elastic import elastic_distortion
from jaxdl.data.augmentation.geometry import random_flip, random_scale_and_crop, random_shift
from jaxdl.data.augmentation.intensity import (
    gaussian_noise,
    random_brightness,
    random_contrast,
    salt_and_pepper,
)
from jaxdl.data.augmentation.rotation import random_rotation
from jaxdl.errors import ConfigError


class Kind(NamedTuple):
    """A named augmentation.

    Attributes:
        apply: ``apply(key, images, strength, positions=...)``.
        strength: the strength if none is given.
        unit: what the strength means.
    """

    apply: Callable[..., jax.Array]
    strength: float
    unit: str


def _flip(
    key: jax.Array, images: jax.Array, strength: float, *, axis: str, positions: jax.Array
) -> jax.Array:
    return random_flip(key, images, axis=axis, probability=strength, positions=positions)


def _scale(
    key: jax.Array, images: jax.Array, strength: float, *, positions: jax.Array
) -> jax.Array:
    low, high = 1 - strength, 1 + strength
    return random_scale_and_crop(key, images, low, high, positions=positions)


KINDS: dict[str, Kind] = {
    "rotation": Kind(random_rotation, 10.0, "degrees"),
    "shift": Kind(random_shift, 2.0, "pixels"),
    "scale": Kind(_scale, 0.1, "share of the size"),
    "elastic": Kind(elastic_distortion, 34.0, "alpha, in pixels"),
    "flip": Kind(functools.partial(_flip, axis="horizontal"), 0.5, "probability"),
    "vertical_flip": Kind(functools.partial(_flip, axis="vertical"), 0.5, "probability"),
    "brightness": Kind(random_brightness, 0.3, "largest change"),
    "contrast": Kind(random_contrast, 0.3, "largest change"),
    "noise": Kind(gaussian_noise, 20.0, "grey values"),
    "salt_and_pepper": Kind(salt_and_pepper, 0.05, "share of pixels"),
}


@dataclasses.dataclass(frozen=True)
class Augmentations:
    """Augmentations in the form a training step calls: ``augment(key, images, positions)``.

    Attributes:
        steps: names of :data:`KINDS` with their strengths, in the order they are applied; each
            draws with a key of its own.

    Raises:
        ConfigError: a name is unknown, or a strength is out of its range.

    Example:
        >>> augment = Augmentations((("rotation", 20.0), ("shift", 2.0)))
        >>> images = jnp.zeros((3, 8, 8, 1), jnp.uint8)
        >>> augment(jax.random.key(0), images, jnp.arange(3)).shape
        (3, 8, 8, 1)
    """

    steps: Sequence[tuple[str, float]]

    def __post_init__(self) -> None:
        """Checks names and strengths, with an image of one pixel."""
        for name, strength in self.steps:
            if name not in KINDS:
                raise ConfigError(f"unknown augmentation {name!r}: choose {', '.join(KINDS)}")
            try:
                jax.eval_shape(functools.partial(_one_pixel, name, strength))
            except ConfigError as error:
                raise ConfigError(f"augmentation {name}:{strength:g}: {error}") from error

    def __call__(self, key: jax.Array, images: jax.Array, positions: jax.Array) -> jax.Array:
        """Augments uint8 images (N, H, W, C); ``positions`` (N,) are those in the global batch."""
        keys = jax.random.split(key, len(self.steps))
        for key, (name, strength) in zip(keys, self.steps, strict=True):
            images = KINDS[name].apply(key, images, strength, positions=positions)
        return images


def _one_pixel(name: str, strength: float) -> jax.Array:
    image = jnp.zeros((1, 1, 1, 1), jnp.uint8)
    return KINDS[name].apply(jax.random.key(0), image, strength, positions=jnp.arange(1))


def parse_augmentations(text: str) -> Augmentations | None:
    """Reads augmentations such as ``rotation:15,shift,elastic``; None for ``none`` or nothing.

    A name without a strength takes the usual one.

    Raises:
        ConfigError: a name is unknown, or a strength is not a number in its range.

    Example:
        >>> parse_augmentations("rotation:15,shift").steps
        (('rotation', 15.0), ('shift', 2.0))
        >>> parse_augmentations("blur")
        Traceback (most recent call last):
            ...
        jaxdl.errors.ConfigError: unknown augmentation 'blur': choose rotation, shift, ...
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words in ([], ["none"]):
        return None
    return Augmentations(tuple(map(_step, words)))


def _step(word: str) -> tuple[str, float]:
    name, colon, strength = word.partition(":")
    if not colon:
        return name, KINDS[name].strength if name in KINDS else 0.0
    try:
        return name, float(strength)
    except ValueError:
        raise ConfigError(
            f"augmentation {word!r}: {strength!r} is not a number; write name:strength, such as "
            "rotation:15"
        ) from None
