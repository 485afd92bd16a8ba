"""The inputs of a GAN's epochs, wherever the images are: on the device, on the host, in a file."""

from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.data import StoredImages, batch_groups, epoch_permutation
from jaxdl.distributed import parallel
from jaxdl.run.feed import Pieces
from jaxdl.run.loop import LONGEST_CHUNK
from jaxdl.training.gan import GANInputs, GANRecipe
from jaxdl.training.rngs import Stream, stream

GROUP_BYTES = 1 << 26  # of the images that go to the device at a time


def whole_inputs(
    images: np.ndarray | jax.Array,
    root: jax.Array,
    devices: Sequence[jax.Device] | None = None,
    labels: jax.Array | None = None,
) -> Callable[[int], GANInputs]:
    """Inputs by epoch, with all images on each of this process's devices.

    Args:
        images: uint8 (N, H, W, C).
        root: the run's root key.
        devices: this process's devices; None for the first one.
        labels: the images' classes, integers (N,), for networks that know classes.
    """
    devices = devices or jax.local_devices()[:1]
    on_devices, labels = parallel.replicate((images, labels), devices)
    permutation = _permutation(root, len(images))
    return lambda epoch: GANInputs(on_devices, permutation(epoch), root, labels=labels)


def streamed_inputs(
    images: np.ndarray | StoredImages,
    root: jax.Array,
    recipe: GANRecipe,
    labels: jax.Array | None = None,
) -> Callable[[int], Pieces]:
    """Inputs by epoch that bring to the devices what the next steps need, and give the same bits.

    Of several processes each reads its own part of each batch.

    Args:
        images: uint8 (N, H, W, C), in memory or in a file.
        root: the run's root key.
        recipe: says how many images a step takes.
        labels: those of all images, see :func:`whole_inputs`.
    """
    permutation = _permutation(root, len(images))
    turns, batch = recipe.discriminator_steps, recipe.batch_size
    steps = recipe.steps_per_epoch(len(images))
    part = batch // jax.process_count()
    row = part * jax.process_index()
    step_bytes = turns * part * int(np.prod(images.shape[1:]))
    size = max(1, min(LONGEST_CHUNK, steps, GROUP_BYTES // step_bytes))

    def pieces(epoch: int) -> Pieces:
        order = permutation(epoch)
        batches = np.asarray(order)[: steps * turns * batch].reshape(-1, batch)

        def groups(first: int) -> Iterator[np.ndarray]:
            own = batches[:, row : row + part]
            return batch_groups(images, own, size * turns, first * turns)

        def inputs(group: np.ndarray, position: int) -> GANInputs:
            first = jnp.array([position * turns, row])
            return GANInputs(group, order, root, first, labels)

        return Pieces(groups, size, steps, inputs)

    return pieces


def _permutation(root: jax.Array, count: int) -> Callable[[int], jax.Array]:
    """The order of an epoch's images."""
    order = jax.jit(epoch_permutation, static_argnums=2)
    key = stream(root, Stream.SHUFFLE)
    return lambda epoch: order(key, epoch, count)
