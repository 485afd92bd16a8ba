r"""Penalties on the gradient of D's output by its input, one term an image.

A penalty is ``penalty(critic, real, fake, mix)``, a scalar mean over the batch: ``critic`` gives
D's outputs (N,) for images; ``real`` and ``fake`` are what D is shown, (N, H, W, C); ``mix`` is
uniform in [0, 1), (N,). As they are about single images, D must not have BatchNorm, which makes an
output depend on the whole batch (``Discriminator(normalization="none")``, or "spectral").
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError

Critic = Callable[[jax.Array], jax.Array]
Penalty = Callable[[Critic, jax.Array, jax.Array, jax.Array], jax.Array]


def r1(gamma: float) -> Penalty:
    r"""Zero-centred penalty on real images: γ/2 · E[‖∇D(x)‖²]. A negative γ raises ConfigError.

    Example:
        >>> ones = jnp.ones((2, 1, 1, 1))
        >>> penalty = r1(gamma=2.0)
        >>> print(penalty(lambda images: 3 * images.sum((1, 2, 3)), ones, ones, jnp.zeros(2)))
        9.0

    References:
        Mescheder et al., "Which Training Methods for GANs do actually Converge?", 2018,
        https://arxiv.org/abs/1801.04406.
    """
    _check("gamma", gamma)
    return lambda critic, real, fake, mix: gamma / 2 * squared_slopes(critic, real).mean()


def r2(gamma: float) -> Penalty:
    r"""Zero-centred penalty on generated images: γ/2 · E[‖∇D(G(z))‖²]; see :func:`r1`."""
    _check("gamma", gamma)
    return lambda critic, real, fake, mix: gamma / 2 * squared_slopes(critic, fake).mean()


def gradient_penalty(weight: float) -> Penalty:
    r"""Holds D's slope near 1 between real and generated images: λ · E[(‖∇D(x̂)‖ − 1)²].

    x̂ = ε x + (1 − ε) G(z), with a random ε for each image. A negative λ raises ConfigError.

    References:
        Gulrajani et al., "Improved Training of Wasserstein GANs", 2017,
        https://arxiv.org/abs/1704.00028.
    """
    _check("weight", weight)
    return lambda critic, real, fake, mix: (
        weight * jnp.square(slopes(critic, real, fake, mix) - 1).mean()
    )


def sum_of(*penalties: Penalty) -> Penalty | None:
    """The sum of some penalties; None without any.

    Example:
        >>> ones = jnp.ones((2, 1, 1, 1))
        >>> both = sum_of(r1(2.0), r2(4.0))
        >>> print(both(lambda images: images.sum((1, 2, 3)), ones, ones, jnp.zeros(2)))
        3.0
    """
    if len(penalties) < 2:
        return penalties[0] if penalties else None
    return lambda *arguments: sum(penalty(*arguments) for penalty in penalties)


def squared_slopes(critic: Critic, images: jax.Array) -> jax.Array:
    """Squared norms (N,) of the critic's gradients at images (N, H, W, C)."""
    gradients = jax.grad(lambda images: critic(images).sum())(images)
    return jnp.square(gradients).reshape(len(gradients), -1).sum(1)


def slopes(critic: Critic, real: jax.Array, fake: jax.Array, mix: jax.Array) -> jax.Array:
    """Gradient norms (N,) of the critic at points between real and generated images."""
    share = mix.reshape((-1,) + (1,) * (real.ndim - 1))
    squares = squared_slopes(critic, share * real + (1 - share) * fake)
    # The root has infinite slope at 0: a zero gradient must not turn the penalty's into NaN.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def _check(name: str, value: float) -> None:
    if not value >= 0:
        raise ConfigError(f"{name} is {value}: it must be at least 0")
