"""Adversarial training from data on the device: the recipe, and the steps of an epoch.

The networks are in :mod:`jaxdl.training.gan_state`, the step on one batch in
:mod:`jaxdl.training.gan_step`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.data.augmentation import diff_augment
from jaxdl.data.sampling import batch_indices, steps_per_epoch
from jaxdl.data.transforms import to_signed_range
from jaxdl.distributed.parallel import Shard
from jaxdl.errors import ConfigError
from jaxdl.losses.adversarial import NON_SATURATING, AdversarialLoss
from jaxdl.models import Discriminator
from jaxdl.training.averaging import ema_decay, update_ema
from jaxdl.training.gan_state import GANState, create_state
from jaxdl.training.gan_step import (
    Metrics,
    Occasion,
    discriminator_step,
    packed,
    train_step,
)
from jaxdl.training.rngs import Stream, normal_per_sample, stream, uniform_per_sample

__all__ = [
    "GANInputs",
    "GANRecipe",
    "GANState",
    "batch_step",
    "check_normalization",
    "create_state",
    "generate",
    "train_step",
]


class GANRecipe(NamedTuple):
    """How G and D are trained; the defaults are the course's.

    Attributes:
        batch_size: images in the global batch.
        loss: the adversarial loss.
        discriminator_steps: updates of D per update of G, each on new real and generated batches.
        pack: images that D sees stacked as channels, see :func:`~jaxdl.training.gan_step.packed`;
            each shard's part of the batch must be a multiple of it.
        diff_augment: whether D sees images through
            :func:`~jaxdl.data.augmentation.diff_augment`.
        ema_half_life: images after which the average of G has forgotten half of the past, for a
            state that keeps one (:meth:`GANState.with_average`).
    """

    batch_size: int = 100
    loss: AdversarialLoss = NON_SATURATING
    discriminator_steps: int = 1
    ema_half_life: float = 2000.0
    pack: int = 1
    diff_augment: bool = False

    def steps_per_epoch(self, num_images: int) -> int:
        """Steps that find full batches of their own among so many images.

        Example:
            >>> GANRecipe(100).steps_per_epoch(70_000)
            700
        """
        if self.discriminator_steps < 1:
            raise ConfigError(f"discriminator_steps is {self.discriminator_steps}: at least 1")
        return steps_per_epoch(num_images, self.batch_size * self.discriminator_steps, True)

    def batches(self, inputs: "GANInputs", position: int) -> jax.Array:
        """The indices of all examples of an epoch's step."""
        size = self.discriminator_steps * self.batch_size
        return batch_indices(inputs.permutation, position, size)


class GANInputs(NamedTuple):
    """The inputs of an epoch's steps.

    Attributes:
        images: the data set on the device, uint8 (N, H, W, C); or consecutive batches of this
            epoch, (batches, n, H, W, C), of each the consecutive images that this process needs.
        permutation: this epoch's order, integers (N,).
        key: the run's root key.
        first: for batches, the number of the first one in the epoch, and the number of the first
            image in its batch, integers (2,).
        labels: the classes of all images, integers (N,), for networks that know classes; else None.
    """

    images: jax.Array
    permutation: jax.Array
    key: jax.Array
    first: jax.Array | None = None
    labels: jax.Array | None = None


def batch_step(
    state: GANState,
    inputs: GANInputs,
    position: jax.Array,
    shard: Shard,
    *,
    recipe: GANRecipe,
) -> tuple[GANState, Metrics]:
    """Runs :func:`train_step` on this device's shard of the batches of one step of an epoch.

    Step ``position`` of an epoch uses ``recipe.discriminator_steps`` batches. The batch size must
    be a multiple of the number of shards.
    """
    check_normalization(recipe.loss, state.discriminator.model)
    positions = shard.take(jnp.arange(recipe.batch_size))
    dim, turns = state.generator.model.latent_dim, recipe.discriminator_steps

    def arguments(turn: int) -> dict[str, Any]:
        """The real images and random draws of the step's ``turn``-th batch."""
        number = position * turns + turn
        batch = batch_indices(inputs.permutation, number, recipe.batch_size)
        noise, mix, changes = (
            _key(inputs.key, name, state.step, turns - 1 - turn)
            for name in (Stream.NOISE, Stream.PENALTY, Stream.AUGMENTATION)
        )
        draws = None
        if recipe.loss.penalty is not None:
            draws = uniform_per_sample(mix, positions[:: recipe.pack] // recipe.pack)
        return {
            "real": to_signed_range(_real_images(inputs, batch, number, shard)),
            "labels": None if inputs.labels is None else inputs.labels[shard.take(batch)],
            "noise": normal_per_sample(noise, positions, dim),
            "loss": recipe.loss,
            "mix": draws,
            "show": functools.partial(_show, recipe, changes, positions),
            "axis_name": shard.axis_name,
        }

    # The last batch serves D and G. Draws depend on state.step, which only train_step increments.
    for turn in range(turns - 1):
        state = discriminator_step(state, **arguments(turn))
    done = state.step
    state, metrics = train_step(state, **arguments(turns - 1))
    if state.average:
        decay = ema_decay(recipe.ema_half_life, recipe.batch_size)
        state = state.replace(
            average=update_ema(state.average, state.generator.variables(), decay, done)
        )
    return state, metrics


def _real_images(inputs: GANInputs, batch: jax.Array, number: jax.Array, shard: Shard) -> jax.Array:
    """This shard's images of the epoch's batch of that number, which has those indices."""
    if inputs.first is None:
        return inputs.images[shard.take(batch)]
    rows = shard.take(jnp.arange(len(batch))) - inputs.first[1]
    return inputs.images[number - inputs.first[0], rows]


def check_normalization(loss: AdversarialLoss, discriminator: Discriminator) -> None:
    """Raises a ConfigError if the loss has a penalty on single images and D mixes a batch."""
    if loss.penalty is not None and discriminator.normalization == "batch":
        raise ConfigError(
            "the loss's penalty is about single images, and the discriminator's BatchNorm mixes "
            "them: use Discriminator(normalization='none'), 'spectral' or 'layer'"
        )


def _show(
    recipe: GANRecipe, key: jax.Array, positions: jax.Array, images: jax.Array, occasion: Occasion
) -> jax.Array:
    """What D is shown of this shard's part of a batch."""
    if recipe.diff_augment:
        key = jax.random.fold_in(key, occasion)
        images = diff_augment(key, images, positions=positions)
    return packed(images, recipe.pack)


def _key(root: jax.Array, name: str, step: jax.Array, more: int) -> jax.Array:
    """The key of a draw in a step; additional updates of D fold in their number."""
    key = jax.random.fold_in(stream(root, name), step)
    return jax.random.fold_in(key, more) if more else key


def generate(state: GANState, noise: jax.Array, labels: jax.Array | None = None) -> jax.Array:
    """Images (N, H, W, C) in [-1, 1] from noise (N, latent_dim), by the average of G if it is kept.

    With classes, ``labels`` are integers (N,) or shares (N, classes).

    In evaluation mode, with running statistics, an image depends only on its own z, not on the rest
    of the batch.
    """
    given = () if labels is None else (labels,)
    return state.averaged_generator.predict(noise, *given)
