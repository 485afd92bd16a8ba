"""How images become a classifier's inputs: a scaling that is stored with its weights."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxdl.data import grey_moments, normalize
from jaxdl.errors import ConfigError, ShapeError

SCALINGS = ("standard", "unit", "raw")
DIGITS = 4  # of mean and standard deviation; MNIST's are then the course's 0.1307 and 0.3081


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Pads uint8 images with black to squares and scales them: (x / 255 - mean) / std.

    Attributes:
        mean: one number per channel, or one for all.
        std: likewise, positive.
        side: height and width after padding; None for images as they are.

    Example:
        >>> images = np.full((2, 3, 4, 1), 255, np.uint8)
        >>> x = Inputs((0.5,), (0.5,), side=4)(images)
        >>> x.shape, float(x.min()), float(x.max())
        ((2, 4, 4, 1), -1.0, 1.0)
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    side: int | None = None

    def __call__(self, images: ArrayLike) -> jax.Array:
        """Maps images (N, H, W, C) to inputs, float32 (N, side, side, C).

        Raises:
            ShapeError: the images are not uint8, or larger than ``side``.
        """
        images = jnp.asarray(images)
        return normalize(self._padded(images), self.mean, self.std)

    def _padded(self, images: jax.Array) -> jax.Array:
        if self.side is None or images.ndim != 4:
            return images
        missing = [self.side - size for size in images.shape[1:3]]
        if min(missing) < 0:
            raise ShapeError(
                f"images have shape {images.shape}; this network takes at most "
                f"{self.side} by {self.side} pixels"
            )
        widths = [(pixels // 2, pixels - pixels // 2) for pixels in missing]
        return jnp.pad(images, ((0, 0), *widths, (0, 0)))


def inputs_for(
    images: ArrayLike,
    scaling: Literal["standard", "unit", "raw"] = "standard",
    multiple_of: int | None = None,
) -> Inputs:
    """Chooses inputs for training images.

    Args:
        images: the training images, uint8 (N, H, W, C).
        scaling: "standard" gives each channel mean 0 and standard deviation 1 over these images,
            "unit" the range [0, 1], "raw" leaves 0 to 255.
        multiple_of: pad to squares whose side is a multiple of this; None for no padding.

    Example:
        >>> images = np.zeros((2, 28, 28, 1), np.uint8)
        >>> images[0] = 255
        >>> inputs_for(images, multiple_of=8)
        Inputs(mean=(0.5,), std=(0.5,), side=32)
    """
    images = np.asarray(images)
    if scaling not in SCALINGS:
        raise ConfigError(f"scaling is {scaling!r}: choose {', '.join(SCALINGS)}")
    mean, std = (0.0,), (1.0,)
    if scaling == "raw":
        std = (1 / 255,)
    if scaling == "standard":
        mean, std = _moments(images)
    side = None if multiple_of is None else -(-max(images.shape[1:3]) // multiple_of) * multiple_of
    return Inputs(mean, std, side)


def _moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Each channel's mean and standard deviation in [0, 1]."""
    means, stds = [], []
    for channel in range(images.shape[-1]):
        mean, std = grey_moments(images[..., channel])
        means.append(round(mean / 255, DIGITS))
        stds.append(round(std / 255, DIGITS) or 1.0)  # a channel without contrast stays 0
    return tuple(means), tuple(stds)
