"""DCGAN's adversarial training step, as in the course's code.

One step updates D, then G against the new D:

1. D sees the real batch (target 1) and the generated batch (target 0) in separate passes. Each pass
   is normalised with its own batch statistics and updates the running ones. D takes one update on
   the summed losses, L_D = BCE(D(x), 1) + BCE(D(G(z)), 0).
2. The same generated batch passes through the *updated* D. G's loss is the non-saturating
   L_G = BCE(D(G(z)), 1). This third pass updates D's running statistics again.

The course's prose draws a new z for G; its code does not, and this module follows the code.

Other losses take the same three passes; a relative one shows the updated D the real images once
more, before the generated ones. A ``show`` changes what D is shown in each of them, and penalties
are about what D is shown. With labels, the generated images are asked to be of the real ones'
classes, and D is told these.

References:
    Goodfellow et al., "Generative Adversarial Nets", 2014, https://arxiv.org/abs/1406.2661;
    course document 000, "training".
"""

import enum
from collections.abc import Callable

import jax

from jaxdl.errors import ShapeError
from jaxdl.losses.adversarial import NON_SATURATING, AdversarialLoss
from jaxdl.training.gan_state import GANState
from jaxdl.training.state import NetworkState, average_over

Metrics = dict[str, jax.Array]


class Occasion(enum.IntEnum):
    """D's passes in a step: random changes of the images are drawn anew in each."""

    REAL = 0
    FAKE = 1
    FAKE_FOR_G = 2
    REAL_FOR_G = 3


Show = Callable[[jax.Array, Occasion], jax.Array]  # images (N, H, W, C) -> what D is shown


def as_they_are(images: jax.Array, occasion: Occasion) -> jax.Array:
    """Shows D the images themselves."""
    return images


def packed(images: jax.Array, count: int) -> jax.Array:
    """Stacks every ``count`` images as channels: (N, H, W, C) to (N / count, H, W, count · C).

    A discriminator of such packs sees whether images are alike, which G must then avoid.

    Raises:
        ShapeError: N is not a multiple of ``count``.

    Example:
        >>> import jax.numpy as jnp
        >>> packed(jnp.arange(6.0).reshape(6, 1, 1, 1), 3).tolist()
        [[[[0.0, 1.0, 2.0]]], [[[3.0, 4.0, 5.0]]]]

    References:
        Lin et al., "PacGAN: The power of two samples in generative adversarial networks", 2018,
        https://arxiv.org/abs/1712.04086.
    """
    if count == 1:
        return images
    number, height, width, channels = images.shape
    if number % count:
        raise ShapeError(f"{number} images do not make packs of {count}: give a multiple of it")
    packs = images.reshape(-1, count, height, width, channels).transpose(0, 2, 3, 1, 4)
    return packs.reshape(-1, height, width, count * channels)


def update_discriminator(
    discriminator: NetworkState,
    real: jax.Array,
    fake: jax.Array,
    *,
    labels: jax.Array | None = None,
    loss: AdversarialLoss = NON_SATURATING,
    mix: jax.Array | None = None,
    show: Show = as_they_are,
    axis_name: str | None = None,
) -> tuple[NetworkState, Metrics]:
    """One update of D on a real and a generated batch.

    Args:
        discriminator: D.
        real: real images (N, H, W, C) in [-1, 1].
        fake: generated images, likewise.
        labels: the classes of both, integers (N,); None without classes.
        loss: the adversarial loss.
        mix: random numbers for the loss's penalty, uniform in [0, 1), one for each output of D;
            None without a penalty.
        show: what D is shown of a batch.
        axis_name: axis of a parallel map, see :func:`train_step`.

    Returns:
        The new D, and this device's ``loss_d``, ``d_x`` and ``d_g_z1``.
    """
    real, fake = show(real, Occasion.REAL), show(fake, Occasion.FAKE)
    classes = _given(labels)

    def loss_fn(params: dict) -> tuple[jax.Array, tuple]:
        how = {"params": params, "axis_name": axis_name}
        real_outputs, stats = discriminator.forward(real, *classes, **how)
        after_real = discriminator.replace(batch_stats=stats)
        fake_outputs, stats = after_real.forward(fake, *classes, **how)
        value = loss.discriminator(real_outputs, fake_outputs)
        if loss.penalty is not None:
            value += loss.penalty(critic(params), real, fake, mix)
        outputs = [loss.output(each).mean() for each in (real_outputs, fake_outputs)]
        return value, (stats, *outputs)

    def critic(params: dict) -> Callable[[jax.Array], jax.Array]:
        how = {"params": params, "axis_name": axis_name}
        return lambda images: discriminator.forward(images, *classes, **how)[0]

    (value, (stats, d_x, d_g_z1)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
        discriminator.params
    )
    gradients = average_over(axis_name, gradients)
    metrics = {"loss_d": value, "d_x": d_x, "d_g_z1": d_g_z1}
    return discriminator.apply_gradients(gradients, stats), metrics


def judge_generated(
    discriminator: NetworkState,
    fake: jax.Array,
    real: jax.Array,
    *,
    labels: jax.Array | None = None,
    loss: AdversarialLoss = NON_SATURATING,
    show: Show = as_they_are,
    axis_name: str | None = None,
) -> tuple[jax.Array, NetworkState, Metrics]:
    """G's loss under D; the real images count for a relative loss only.

    Returns:
        The loss's gradient by the generated images (N, H, W, C), D with updated running statistics,
        and ``loss_g`` and ``d_g_z2``.
    """
    real_outputs, classes = None, _given(labels)
    if loss.relative:
        shown = show(real, Occasion.REAL_FOR_G)
        real_outputs, stats = discriminator.forward(shown, *classes, axis_name=axis_name)
        discriminator = discriminator.replace(batch_stats=stats)

    def loss_fn(images: jax.Array) -> tuple[jax.Array, tuple]:
        shown = show(images, Occasion.FAKE_FOR_G)
        outputs, stats = discriminator.forward(shown, *classes, axis_name=axis_name)
        return loss.generator(real_outputs, outputs), (stats, loss.output(outputs).mean())

    (value, (stats, d_g_z2)), gradient = jax.value_and_grad(loss_fn, has_aux=True)(fake)
    metrics = {"loss_g": value, "d_g_z2": d_g_z2}
    return gradient, discriminator.replace(batch_stats=stats), metrics


def train_step(
    state: GANState,
    real: jax.Array,
    noise: jax.Array,
    *,
    labels: jax.Array | None = None,
    loss: AdversarialLoss = NON_SATURATING,
    mix: jax.Array | None = None,
    show: Show = as_they_are,
    axis_name: str | None = None,
) -> tuple[GANState, Metrics]:
    """One adversarial step; a pure function.

    Args:
        state: both networks.
        real: real images (N, H, W, C), float32 in [-1, 1].
        noise: z, (N, latent_dim), standard normal.
        labels: classes of the real images, integers (N,), which G is asked for, too; None without
            classes.
        loss: the adversarial loss.
        mix, show: see :func:`update_discriminator`.
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
        >>> from jaxdl.models import Discriminator, Generator
        >>> from jaxdl.training.gan_state import create_state
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
        return state.generator.forward(noise, *_given(labels), params=params, axis_name=axis_name)

    # One forward pass of G serves both updates; its backward pass follows D's update.
    fake, generator_backward, generator_stats = jax.vjp(
        generate, state.generator.params, has_aux=True
    )
    discriminator, metrics_d = update_discriminator(
        state.discriminator,
        real,
        fake,
        labels=labels,
        loss=loss,
        mix=mix,
        show=show,
        axis_name=axis_name,
    )
    image_gradient, discriminator, metrics_g = judge_generated(
        discriminator, fake, real, labels=labels, loss=loss, show=show, axis_name=axis_name
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
    labels: jax.Array | None = None,
    loss: AdversarialLoss = NON_SATURATING,
    mix: jax.Array | None = None,
    show: Show = as_they_are,
    axis_name: str | None = None,
) -> GANState:
    """An additional update of D before a :func:`train_step`, with the same arguments.

    It updates G's running statistics too, but does not count as a step.
    """
    fake, stats = state.generator.forward(noise, *_given(labels), axis_name=axis_name)
    discriminator, _ = update_discriminator(
        state.discriminator,
        real,
        fake,
        labels=labels,
        loss=loss,
        mix=mix,
        show=show,
        axis_name=axis_name,
    )
    generator = state.generator.replace(batch_stats=stats)
    return state.replace(generator=generator, discriminator=discriminator)


def _given(labels: jax.Array | None) -> tuple[jax.Array, ...]:
    """A network's further inputs."""
    return () if labels is None else (labels,)
