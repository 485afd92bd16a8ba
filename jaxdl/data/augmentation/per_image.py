"""What all augmentations share: input checks, per-image draws, rounding."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError


def as_images(images: ArrayLike) -> jax.Array:
    """Converts to an array; raises a ShapeError unless it is uint8 (N, H, W, C)."""
    images = jnp.asarray(images)
    if images.dtype != jnp.uint8 or images.ndim != 4:
        raise ShapeError(
            f"cannot augment {images.dtype} of shape {images.shape}: need uint8 (N, H, W, C)"
        )
    return images


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises a ConfigError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}: it must lie between {low} and {high}")


def draw_per_image(
    draw: Callable[[jax.Array], jax.Array],
    key: jax.Array,
    images: jax.Array,
    positions: ArrayLike | None,
) -> jax.Array:
    """Calls ``draw`` once per image, with a key that depends only on ``key`` and the position.

    Args:
        draw: makes one image's draw from a key.
        key: the positions are folded into it.
        images: shape (N, ...), of which only N matters.
        positions: positions in the global batch, integers (N,); None for 0..N-1.

    Returns:
        The draws, shape (N, ...).

    Example:
        >>> key, images = jax.random.key(0), jnp.zeros((4, 2, 2, 1), jnp.uint8)
        >>> whole = draw_per_image(jax.random.uniform, key, images, None)
        >>> part = draw_per_image(jax.random.uniform, key, images[2:], jnp.arange(2, 4))
        >>> bool((whole[2:] == part).all())
        True
    """
    positions = jnp.arange(len(images)) if positions is None else jnp.asarray(positions)
    if positions.shape != images.shape[:1] or not jnp.issubdtype(positions.dtype, jnp.integer):
        raise ShapeError(
            f"{len(images)} images and positions {positions.dtype} {positions.shape}: "
            "need one integer per image"
        )
    return jax.vmap(lambda position: draw(jax.random.fold_in(key, position)))(positions)


def uniform_per_image(
    key: jax.Array,
    images: jax.Array,
    positions: ArrayLike | None,
    low: float = 0.0,
    high: float = 1.0,
) -> jax.Array:
    """One number per image, uniform in [low, high), shape (N,)."""
    return draw_per_image(
        lambda key: jax.random.uniform(key, minval=low, maxval=high), key, images, positions
    )


def per_image(values: jax.Array) -> jax.Array:
    """Reshapes one number per image, (N,), to (N, 1, 1, 1)."""
    return values[:, None, None, None]


# Compiled as one program where they are called outside of any; within one, nothing changes.
@functools.partial(jax.jit, inline=True)
def to_grey_values(images: jax.Array) -> jax.Array:
    """Rounds to the nearest grey value (ties to even) and clips to 0..255, uint8."""
    return jnp.clip(jnp.round(images), 0.0, 255.0).astype(jnp.uint8)


@functools.partial(jax.jit, inline=True)
def pick_pixels(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Pixel (n, rows, columns) of each image, or 0 outside it; indices broadcast to (N, H, W)."""
    num_images, height, width, num_channels = images.shape
    rows, columns = jnp.broadcast_arrays(rows, columns)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    first = jnp.arange(num_images)[:, None, None] * (height * width)
    flat = first + jnp.where(inside, rows * width + columns, 0)
    pixels = images.reshape(-1, num_channels).at[flat].get(mode="promise_in_bounds")
    return jnp.where(inside[..., None], pixels, 0)
