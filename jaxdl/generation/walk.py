"""Walks between z's along great circles.

z's of many dimensions have almost the same length, about √d. A straight line between two passes
through shorter ones, which the generator never saw in training; a great circle keeps the length.

References:
    White, "Sampling Generative Networks", 2016, https://arxiv.org/abs/1609.04468;
    Shoemake, "Animating Rotation with Quaternion Curves", 1985.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxdl import plot
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.files import new_folder
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.training.reprs import short_repr

SHOWN_PIXELS = 256  # frames are enlarged to about this size
SECONDS_PER_FRAME = 0.1


class Walk(NamedTuple):
    """What :func:`interpolate` returns.

    Attributes:
        z: (legs, steps + 1, latent_dim); each leg begins where the one before it ends.
        images: (legs, steps + 1, H, W, C), float32 in [-1, 1].
        figure: a row of images for each leg, as a Matplotlib figure.
        animation: plays the whole walk.
    """

    z: np.ndarray
    images: np.ndarray
    figure: Any
    animation: plot.Animation

    __repr__ = short_repr

    def save(self, folder: str | os.PathLike) -> Path:
        """Writes ``walk.png``, ``walk.gif`` and ``walk.html`` into a new or empty folder."""
        with new_folder(folder) as part:
            plot.save_figure(self.figure, part / "walk.png")
            self.animation.save(part / "walk.gif")
            self.animation.save(part / "walk.html")
        return Path(folder)


def slerp(start: ArrayLike, end: ArrayLike, shares: ArrayLike) -> np.ndarray:
    r"""Points on the great circle between two vectors, (N, D).

    .. math::
        \frac{\sin((1 - t)\theta)}{\sin\theta} a + \frac{\sin(t\theta)}{\sin\theta} b

    with θ the angle between a and b. Vectors of one length keep it.

    Args:
        start: a, (D,).
        end: b, (D,).
        shares: t, (N,), from 0 at a to 1 at b.

    Raises:
        ShapeError: the vectors have different shapes, or there is no way between them: one is zero,
            or they are exactly opposite.

    Example:
        >>> slerp([1.0, 0.0], [0.0, 1.0], [0.0, 0.5, 1.0]).round(3)
        array([[1.   , 0.   ],
               [0.707, 0.707],
               [0.   , 1.   ]])
    """
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    t = np.asarray(shares, np.float64)[:, None]
    if a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(f"vectors of shapes {a.shape} and {b.shape}: give two of one length")
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not all(0 < length < np.inf for length in lengths):
        raise ShapeError("a vector is zero or no number: it has no direction")
    unit_a, unit_b = a / lengths[0], b / lengths[1]
    # Exact for small angles, where arccos of the product is not.
    angle = 2 * np.arctan2(np.linalg.norm(unit_a - unit_b), np.linalg.norm(unit_a + unit_b))
    if np.pi - angle < 1e-6:
        raise ShapeError("the vectors are opposite: no great circle between them is the shortest")
    if angle < 1e-6:
        return (1 - t) * a + t * b
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def interpolate(
    generator: TrainedGenerator,
    anchors: ArrayLike,
    *,
    steps: int = 12,
    names: Sequence[object] | None = None,
    classes: ArrayLike | None = None,
) -> Walk:
    """Walks from z to z along great circles, and from class to class along straight lines.

    Args:
        generator: from :func:`jaxdl.generation.load_generator`.
        anchors: two z's or more, (N, latent_dim), such as ``generator.noise([3, 17, 42])``.
        steps: steps from one anchor to the next.
        names: N names of the anchors, for the titles; by default 1, 2, ….
        classes: N classes of the anchors, for a generator of classes; by default those of the first
            N images.

    Raises:
        ConfigError: there are fewer than two anchors, no steps, or another number of names.
        ShapeError: the anchors do not fit the generator, or have no way between them.
    """
    dim = generator.model.latent_dim
    rows = np.concatenate(list(generator.given_batches(anchors, classes)))
    z, shares = rows[:, :dim], rows[:, dim:]
    names = range(1, len(z) + 1) if names is None else names
    if len(z) < 2 or steps < 1 or len(names) != len(z):
        raise ConfigError(
            f"{len(z)} anchors, {len(names)} names and {steps} steps: a walk needs two anchors, a "
            "name for each, and a step"
        )
    done = np.linspace(0, 1, steps + 1)
    legs = np.stack([slerp(a, b, done) for a, b in itertools.pairwise(z)])
    legs = legs.astype(np.float32)
    mixed = np.stack(
        [np.outer(1 - done, a) + np.outer(done, b) for a, b in itertools.pairwise(shares)]
    )
    mixed = mixed.reshape(-1, shares.shape[1]) if generator.model.num_classes else None
    flat = generator.images(legs.reshape(-1, dim), mixed)
    images = flat.reshape(*legs.shape[:2], *flat.shape[1:])
    title = "A walk through " + ", ".join(map(str, names))
    figure = plot.image_grid(flat, columns=steps + 1, title=title)
    return Walk(legs, images, figure, _animation(images, names))


def _animation(images: np.ndarray, names: Sequence[object]) -> plot.Animation:
    """One frame per image; a leg's last one, which is the next leg's first, only at the end."""
    scale = max(1, SHOWN_PIXELS // images.shape[2])
    legs, steps = images.shape[0], images.shape[1] - 1
    frames, titles = [], []
    for number in range(legs * steps + 1):
        leg = min(number // steps, legs - 1)
        step = number - leg * steps
        pixels = plot.tile(images[leg, step][None], padding=0)
        frames.append(pixels.repeat(scale, 0).repeat(scale, 1))
        titles.append(f"{names[leg]} → {names[leg + 1]}: {100 * step // steps}%")
    return plot.Animation(frames, titles, SECONDS_PER_FRAME)
