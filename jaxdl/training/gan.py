"""DCGAN's adversarial training step, as in the course's code.

One step updates D, then G against the new D:

1. D sees the real batch (target 1) and the generated batch (target 0) in separate passes. Each pass
   is normalised with its own batch statistics and updates the running ones. D takes one update on
   the summed losses, L_D = BCE(D(x), 1) + BCE(D(G(z)), 0).
2. The same generated batch passes through the *updated* D. G's loss is the non-saturating
   L_G = BCE(D(G(z)), 1). This third pass updates D's running statistics again.

The course's prose draws a new z for G; its code does not, and this module follows the code.

References:
    Goodfellow et al., "Generative Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661;
    course document 000, "training".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxdl.data.sampling import batch_indices, steps_per_epoch
from jaxdl.data.transforms import to_signed_range
from jaxdl.distributed.parallel import Shard
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.losses.adversarial import NON_SATURATING, AdversarialLoss
from jaxdl.models import Discriminator, Generator
from jaxdl.training.averaging import ema_decay, update_ema
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import Stream, normal_per_sample, stream, uniform_per_sample
from jaxdl.training.state import NetworkState, average_over

Metrics = dict[str, jax.Array]
PyTree = Any


class GANState(flax.struct.PyTreeNode):
    """Generator and discriminator with their optimisers' states, and the number of steps done.

    Attributes:
        average: the moving average of G's ``params`` and ``batch_stats``; {} if none is kept.
    """

    step: jax.Array
    generator: NetworkState
    discriminator: NetworkState
    average: PyTree = flax.struct.field(default_factory=dict)

    __repr__ = short_repr

    @property
    def averaged_generator(self) -> NetworkState:
        """G with its averaged parameters and statistics; G itself if no average is kept."""
        return self.generator.replace(**self.average)

    def with_average(self) -> "GANState":
        """The state with an average of G that starts at G's present variables."""
        return self.replace(average=jax.tree.map(jnp.copy, self.generator.variables()))


def create_state(
    key: jax.Array,
    generator: Generator,
    discriminator: Discriminator,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
) -> GANState:
    """Initialises both networks, each from its own key.

    The discriminator must accept images of the generator's size.

    Example:
        >>> import jax, optax
        >>> state = create_state(
        ...     jax.random.key(0), Generator(features=4, image_size=16),
        ...     Discriminator(features=4, image_size=16),
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


class GANRecipe(NamedTuple):
    """How G and D are trained; the defaults are the course's.

    Attributes:
        batch_size: images in the global batch.
        loss: the adversarial loss.
        discriminator_steps: updates of D per update of G, each on new real and generated batches.
        ema_half_life: images after which the average of G has forgotten half of the past, for a
            state that keeps one (:meth:`GANState.with_average`).
    """

    batch_size: int = 100
    loss: AdversarialLoss = NON_SATURATING
    discriminator_steps: int = 1
    ema_half_life: float = 2000.0

    def steps_per_epoch(self, num_images: int) -> int:
        """Steps that find full batches of their own among so many images.

        Example:
            >>> GANRecipe(100).steps_per_epoch(70_000)
            700
        """
        if self.discriminator_steps < 1:
            raise ConfigError(f"discriminator_steps is {self.discriminator_steps}: at least 1")
        return steps_per_epoch(num_images, self.batch_size * self.discriminator_steps, True)

    def batch(self, permutation: jax.Array, position: jax.Array, turn: int) -> jax.Array:
        """The indices of the ``turn``-th batch of an epoch's step, (batch_size,)."""
        number = position * self.discriminator_steps + turn
        return batch_indices(permutation, number, self.batch_size)

    def batches(self, inputs: "GANInputs", position: int) -> jax.Array:
        """The indices of all examples of an epoch's step."""
        turns = range(self.discriminator_steps)
        return jnp.concatenate([self.batch(inputs.permutation, position, turn) for turn in turns])


def update_discriminator(
    discriminator: NetworkState,
    real: jax.Array,
    fake: jax.Array,
    *,
    loss: AdversarialLoss = NON_SATURATING,
    mix: jax.Array | None = None,
    axis_name: str | None = None,
) -> tuple[NetworkState, Metrics]:
    """One update of D on a real and a generated batch.

    Args:
        discriminator: D.
        real: real images (N, H, W, C) in [-1, 1].
        fake: generated images, likewise.
        loss: the adversarial loss.
        mix: random numbers for the loss's penalty, uniform in [0, 1), (N,); None without a penalty.
        axis_name: axis of a parallel map, see :func:`train_step`.

    Returns:
        The new D, and this device's ``loss_d``, ``d_x`` and ``d_g_z1``.
    """

    def loss_fn(params: dict) -> tuple[jax.Array, tuple]:
        real_outputs, stats = discriminator.forward(real, params=params, axis_name=axis_name)
        after_real = discriminator.replace(batch_stats=stats)
        fake_outputs, stats = after_real.forward(fake, params=params, axis_name=axis_name)
        value = loss.discriminator(real_outputs, fake_outputs)
        if loss.penalty is not None:
            value += loss.penalty(critic(params), real, fake, mix)
        outputs = [loss.output(each).mean() for each in (real_outputs, fake_outputs)]
        return value, (stats, *outputs)

    def critic(params: dict) -> Callable[[jax.Array], jax.Array]:
        return lambda images: discriminator.forward(images, params=params, axis_name=axis_name)[0]

    (value, (stats, d_x, d_g_z1)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
        discriminator.params
    )
    gradients = average_over(axis_name, gradients)
    metrics = {"loss_d": value, "d_x": d_x, "d_g_z1": d_g_z1}
    return discriminator.apply_gradients(gradients, stats), metrics


def judge_generated(
    discriminator: NetworkState,
    fake: jax.Array,
    *,
    loss: AdversarialLoss = NON_SATURATING,
    axis_name: str | None = None,
) -> tuple[jax.Array, NetworkState, Metrics]:
    """G's loss under D.

    Returns:
        The loss's gradient by the images (N, H, W, C), D with updated running statistics, and
        ``loss_g`` and ``d_g_z2``.
    """

    def loss_fn(images: jax.Array) -> tuple[jax.Array, tuple]:
        outputs, stats = discriminator.forward(images, axis_name=axis_name)
        return loss.generator(outputs), (stats, loss.output(outputs).mean())

    (value, (stats, d_g_z2)), gradient = jax.value_and_grad(loss_fn, has_aux=True)(fake)
    metrics = {"loss_g": value, "d_g_z2": d_g_z2}
    return gradient, discriminator.replace(batch_stats=stats), metrics


def train_step(
    state: GANState,
    real: jax.Array,
    noise: jax.Array,
    *,
    loss: AdversarialLoss = NON_SATURATING,
    mix: jax.Array | None = None,
    axis_name: str | None = None,
) -> tuple[GANState, Metrics]:
    """One adversarial step; a pure function.

    Args:
        state: both networks.
        real: real images (N, H, W, C), float32 in [-1, 1].
        noise: z, (N, latent_dim), standard normal.
        loss: the adversarial loss.
        mix: random numbers for the loss's penalty, see :func:`update_discriminator`.
        axis_name: axis of a parallel map over devices. N is then this device's share, and
            gradients, statistics and metrics are those of the whole batch.

    Returns:
        The new state, with the same structure, and scalar metrics: ``loss_d``, ``loss_g``,
        ``d_x`` = mean D(x), ``d_g_z1`` and ``d_g_z2`` = mean D(G(z)) before and after D's update
        (probabilities).

    Raises:
        ShapeError: the batch sizes of ``real`` and ``noise`` differ.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxdl import optim
        >>> adam = optim.adam(2e-4, b1=0.5)
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

    # One forward pass of G serves both updates; its backward pass follows D's update.
    fake, generator_backward, generator_stats = jax.vjp(
        generate, state.generator.params, has_aux=True
    )
    discriminator, metrics_d = update_discriminator(
        state.discriminator, real, fake, loss=loss, mix=mix, axis_name=axis_name
    )
    image_gradient, discriminator, metrics_g = judge_generated(
        discriminator, fake, loss=loss, axis_name=axis_name
    )
    (gradients,) = generator_backward(image_gradient)
    gradients = average_over(axis_name, gradients)
    new_state = state.replace(
        step=state.step + 1,
        generator=state.generator.apply_gradients(gradients, generator_stats),
        discriminator=discriminator,
    )
    return new_state, average_over(axis_name, metrics_d | metrics_g)


def discriminator_step(
    state: GANState,
    real: jax.Array,
    noise: jax.Array,
    *,
    loss: AdversarialLoss = NON_SATURATING,
    mix: jax.Array | None = None,
    axis_name: str | None = None,
) -> GANState:
    """An additional update of D before a :func:`train_step`, with the same arguments.

    It updates G's running statistics too, but does not count as a step.
    """
    fake, stats = state.generator.forward(noise, axis_name=axis_name)
    discriminator, _ = update_discriminator(
        state.discriminator, real, fake, loss=loss, mix=mix, axis_name=axis_name
    )
    generator = state.generator.replace(batch_stats=stats)
    return state.replace(generator=generator, discriminator=discriminator)


class GANInputs(NamedTuple):
    """The inputs of an epoch's steps.

    Attributes:
        images: the data set on the device, uint8 (N, H, W, C).
        permutation: this epoch's order, integers (N,).
        key: the run's root key.
    """

    images: jax.Array
    permutation: jax.Array
    key: jax.Array


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
    if recipe.loss.penalty is not None and state.discriminator.batch_stats:
        raise ConfigError(
            "the loss's penalty is about single images, and the discriminator's BatchNorm mixes "
            "them: use Discriminator(normalization='none') or 'layer'"
        )
    positions = shard.take(jnp.arange(recipe.batch_size))
    dim, turns = state.generator.model.latent_dim, recipe.discriminator_steps

    def arguments(turn: int) -> dict[str, Any]:
        """The real images and random draws of the step's ``turn``-th batch."""
        batch = recipe.batch(inputs.permutation, position, turn)
        noise, mix = (
            _key(inputs.key, name, state.step, turns - 1 - turn)
            for name in (Stream.NOISE, Stream.PENALTY)
        )
        draws = None
        if recipe.loss.penalty is not None:
            draws = uniform_per_sample(mix, positions)
        return {
            "real": to_signed_range(inputs.images[shard.take(batch)]),
            "noise": normal_per_sample(noise, positions, dim),
            "loss": recipe.loss,
            "mix": draws,
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


def _key(root: jax.Array, name: str, step: jax.Array, more: int) -> jax.Array:
    """The key of a draw in a step; additional updates of D fold in their number."""
    key = jax.random.fold_in(stream(root, name), step)
    return jax.random.fold_in(key, more) if more else key


def generate(state: GANState, noise: jax.Array) -> jax.Array:
    """Images (N, H, W, C) in [-1, 1] from noise (N, latent_dim), by the average of G if it is kept.

    In evaluation mode, with running statistics, an image depends only on its own z, not on the rest
    of the batch.
    """
    return state.averaged_generator.predict(noise)
