"""The adversarial training step of DCGAN, as the course's code does it.

One step, D first, then G against the new D:

1. D judges the real batch (target 1) and the generated batch (target 0) in two separate passes,
   each normalised with its own batch statistics and each moving the running ones; one update on
   the gradient of the summed losses, L_D = BCE(D(x), 1) + BCE(D(G(z)), 0).
2. The same generated batch goes through the *updated* D; G's loss is the non-saturating
   L_G = BCE(D(G(z)), 1). This third pass moves D's running statistics once more.

The course's prose draws z anew for G; its code does not, and the code wins.

References:
    Goodfellow et al., "Generative Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661;
    course document 000, "training".
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxdl.data.sampling import batch_indices
from jaxdl.data.transforms import to_signed_range
from jaxdl.distributed.parallel import Shard
from jaxdl.errors import ShapeError
from jaxdl.losses import binary_cross_entropy_with_logits
from jaxdl.models import Discriminator, Generator
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import normal_per_sample
from jaxdl.training.state import NetworkState, average_over

Metrics = dict[str, jax.Array]


class GANState(flax.struct.PyTreeNode):
    """Two networks and the number of steps they have trained.

    Attributes:
        step: steps done, int32 scalar.
        generator: G with its optimiser's state.
        discriminator: D with its own.
    """

    step: jax.Array
    generator: NetworkState
    discriminator: NetworkState

    __repr__ = short_repr


def create_state(
    key: jax.Array,
    generator: Generator,
    discriminator: Discriminator,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
) -> GANState:
    """Initialises both networks.

    Args:
        key: random key; G and D get keys of their own from it.
        generator: G.
        discriminator: D, for images of G's size.
        generator_optimizer: optimiser of G.
        discriminator_optimizer: optimiser of D.

    Returns:
        The state before the first step.

    Example:
        >>> import jax, optax
        >>> state = create_state(
        ...     jax.random.key(0), Generator(features=4), Discriminator(features=4),
        ...     optax.adam(2e-4, b1=0.5), optax.adam(2e-4, b1=0.5))
        >>> int(state.step)
        0
    """
    noise = jnp.zeros((1, generator.latent_dim))
    images = jnp.zeros((1, generator.image_size, generator.image_size, generator.channels))
    return GANState(
        step=jnp.zeros((), jnp.int32),
        generator=NetworkState.create(
            jax.random.fold_in(key, 0), generator, generator_optimizer, noise
        ),
        discriminator=NetworkState.create(
            jax.random.fold_in(key, 1), discriminator, discriminator_optimizer, images
        ),
    )


def _mean_loss(logits: jax.Array, target: float) -> jax.Array:
    return binary_cross_entropy_with_logits(logits, jnp.full_like(logits, target)).mean()


def _mean_probability(logits: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(logits).mean()


def update_discriminator(
    discriminator: NetworkState, real: jax.Array, fake: jax.Array, axis_name: str | None
) -> tuple[NetworkState, Metrics]:
    """One step of D on a real and a generated batch, each (N, H, W, C) in [-1, 1]."""

    def loss_fn(params: dict) -> tuple[jax.Array, tuple]:
        real_logits, stats = discriminator.forward(real, params=params, axis_name=axis_name)
        after_real = discriminator.replace(batch_stats=stats)
        fake_logits, stats = after_real.forward(fake, params=params, axis_name=axis_name)
        loss = _mean_loss(real_logits, 1.0) + _mean_loss(fake_logits, 0.0)
        return loss, (stats, _mean_probability(real_logits), _mean_probability(fake_logits))

    (loss, (stats, d_x, d_g_z1)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
        discriminator.params
    )
    gradients = average_over(axis_name, gradients)
    metrics = {"loss_d": loss, "d_x": d_x, "d_g_z1": d_g_z1}
    return discriminator.apply_gradients(gradients, stats), metrics


def judge_generated(
    discriminator: NetworkState, fake: jax.Array, axis_name: str | None
) -> tuple[jax.Array, NetworkState, Metrics]:
    """G's loss under D: its gradient by the images (N, H, W, C), and D with moved statistics."""

    def loss_fn(images: jax.Array) -> tuple[jax.Array, tuple]:
        logits, stats = discriminator.forward(images, axis_name=axis_name)
        return _mean_loss(logits, 1.0), (stats, _mean_probability(logits))

    (loss, (stats, d_g_z2)), gradient = jax.value_and_grad(loss_fn, has_aux=True)(fake)
    metrics = {"loss_g": loss, "d_g_z2": d_g_z2}
    return gradient, discriminator.replace(batch_stats=stats), metrics


def train_step(
    state: GANState, real: jax.Array, noise: jax.Array, *, axis_name: str | None = None
) -> tuple[GANState, Metrics]:
    """One adversarial step: a pure function of its arguments.

    Args:
        state: both networks.
        real: real images (N, H, W, C), float32 in [-1, 1].
        noise: z, (N, latent_dim), standard normal.
        axis_name: axis of the parallel map that spreads the batch over devices; N is then the
            number on this device, and gradients, statistics and metrics are those of the whole
            batch.

    Returns:
        The new state, of exactly the same structure, and scalar metrics: ``loss_d``, ``loss_g``,
        ``d_x`` = mean D(x), ``d_g_z1`` and ``d_g_z2`` = mean D(G(z)) before and after D's update
        (probabilities).

    Raises:
        ShapeError: the batch sizes of ``real`` and ``noise`` differ.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> adam = optax.adam(2e-4, b1=0.5)
        >>> state = create_state(
        ...     jax.random.key(0), Generator(features=2, image_size=16),
        ...     Discriminator(features=2, image_size=16), adam, adam)
        >>> noise = jax.random.normal(jax.random.key(1), (4, 100))
        >>> state, metrics = jax.jit(train_step)(state, jnp.zeros((4, 16, 16, 1)), noise)
        >>> int(state.step), sorted(metrics)
        (1, ['d_g_z1', 'd_g_z2', 'd_x', 'loss_d', 'loss_g'])
    """
    if real.shape[0] != noise.shape[0]:
        raise ShapeError(f"{real.shape[0]} real images but {noise.shape[0]} noise vectors")

    def generate(params: dict) -> tuple[jax.Array, dict]:
        return state.generator.forward(noise, params=params, axis_name=axis_name)

    # One pass of G serves both updates: its backward pass waits until D has judged the images.
    fake, generator_backward, generator_stats = jax.vjp(
        generate, state.generator.params, has_aux=True
    )
    discriminator, metrics_d = update_discriminator(state.discriminator, real, fake, axis_name)
    image_gradient, discriminator, metrics_g = judge_generated(discriminator, fake, axis_name)
    (gradients,) = generator_backward(image_gradient)
    gradients = average_over(axis_name, gradients)
    new_state = state.replace(
        step=state.step + 1,
        generator=state.generator.apply_gradients(gradients, generator_stats),
        discriminator=discriminator,
    )
    return new_state, average_over(axis_name, metrics_d | metrics_g)


class GANInputs(NamedTuple):
    """What stays the same between the steps of an epoch.

    Attributes:
        images: the data set on the device, uint8 (N, H, W, C).
        permutation: this epoch's order, integers (N,).
        noise_key: the stream from which z is drawn.
    """

    images: jax.Array
    permutation: jax.Array
    noise_key: jax.Array


def batch_step(
    state: GANState, inputs: GANInputs, position: jax.Array, shard: Shard, *, batch_size: int
) -> tuple[GANState, Metrics]:
    """One :func:`train_step` on this device's share of the epoch's ``position``-th batch.

    Args:
        state: both networks.
        inputs: data set, order and noise stream.
        position: number of the step within the epoch.
        shard: this device's share.
        batch_size: size of the global batch, a multiple of the number of shares.

    Returns:
        As :func:`train_step`.
    """
    indices = shard.take(batch_indices(inputs.permutation, position, batch_size))
    real = to_signed_range(inputs.images[indices])
    noise = normal_per_sample(
        jax.random.fold_in(inputs.noise_key, state.step),
        shard.take(jnp.arange(batch_size)),
        state.generator.model.latent_dim,
    )
    return train_step(state, real, noise, axis_name=shard.axis_name)


def generate(state: GANState, noise: jax.Array) -> jax.Array:
    """Images (N, H, W, C) in [-1, 1] for noise (N, latent_dim), with the running statistics.

    In evaluation mode an image depends on its own z alone, whatever else is in the batch.
    """
    return state.generator.predict(noise)
