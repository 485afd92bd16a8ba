"""Predictions of a trained classifier."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError

from jaxdl.data.dataset import Split, as_images
from jaxdl.data.sampling import padded_batches
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn import softmax
from jaxdl.training.classifier import Transform
from jaxdl.training.state import NetworkState


def predict(
    network: NetworkState,
    images: jax.typing.ArrayLike | Split,
    transform: Transform,
    batch_size: int = 1000,
) -> np.ndarray:
    """The most probable class of each image, int32 (N,); the first one on ties.

    Args:
        network: a single trained network (not stacked over seeds).
        images: any number of images, (N, H, W, C) or (N, H, W), or a pair (images, labels) whose
            labels are ignored; see :func:`jaxdl.data.as_images`.
        transform: maps images to the network's inputs, as in training.
        batch_size: the largest number of images per forward pass, at least 1.

    Raises:
        DataError: see :func:`jaxdl.data.as_images`.
        ShapeError: the images have another size than the network expects.
        ConfigError: ``batch_size`` is less than 1.

    Example:
        >>> import jax, optax
        >>> from jaxdl.data import to_unit_range
        >>> from jaxdl.models import MLP
        >>> images = np.zeros((3, 28, 28, 1), np.uint8)
        >>> network = NetworkState.create(
        ...     jax.random.key(0), MLP(hidden=(4,)), optax.adam(1e-3), to_unit_range(images))
        >>> predict(network, images, to_unit_range).shape
        (3,)
    """
    logits = _all_logits(network, images, transform, batch_size)
    return logits.argmax(-1).astype(np.int32)


def predict_probabilities(
    network: NetworkState,
    images: jax.typing.ArrayLike | Split,
    transform: Transform,
    batch_size: int = 1000,
) -> np.ndarray:
    """Each image's class probabilities (softmax), float32 (N, classes); see :func:`predict`."""
    logits = _all_logits(network, images, transform, batch_size)
    return np.asarray(softmax(logits))


def _all_logits(
    network: NetworkState, images: jax.typing.ArrayLike | Split, transform: Transform, size: int
) -> np.ndarray:
    """Logits (N, classes), from passes of one shape; the last pass is padded with black images."""
    if size < 1:
        raise ConfigError(f"batch_size is {size}: it must be at least 1")
    if isinstance(images, tuple) and len(images) == 2:
        images = images[0]
    images = as_images(images, "prediction")
    count = len(images)
    # Powers of two, so that few shapes are compiled.
    size = min(size, 1 << max(count - 1, 0).bit_length())
    network = network.replace(opt_state=())
    passes = [_logits(network, batch, transform) for batch in padded_batches(images, size)]
    return np.concatenate(passes)[:count]


def _logits(network: NetworkState, images: np.ndarray, transform: Transform) -> np.ndarray:
    try:
        return np.asarray(_compiled(network, images, transform))
    except ScopeParamShapeError:
        raise ShapeError(
            f"images of shape {images.shape[1:]} do not fit the {type(network.model).__name__}: it "
            "was made for another size or number of channels"
        ) from None


@functools.partial(jax.jit, static_argnums=2)
def _compiled(network: NetworkState, images: jax.Array, transform: Transform) -> jax.Array:
    return network.predict(transform(jnp.asarray(images)))
