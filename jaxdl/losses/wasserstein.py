"""The Wasserstein loss with a gradient penalty (WGAN-GP)."""

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError
from jaxdl.losses.adversarial import AdversarialLoss, Critic


def wasserstein(penalty_weight: float = 10.0) -> AdversarialLoss:
    r"""D widens the gap between its mean outputs, with its slope held near 1; G narrows it.

    .. math::
        L_D = E[D(G(z))] - E[D(x)] + \lambda\, E[(\|\nabla D(\hat x)\| - 1)^2],
        \qquad L_G = -E[D(G(z))], \qquad \hat x = \epsilon x + (1 - \epsilon) G(z)

    The penalty is per image, so D must not have BatchNorm
    (``Discriminator(normalization="none")``). The paper takes five D steps per G step and λ = 10. A
    negative λ raises ConfigError.

    Example:
        >>> loss = wasserstein()
        >>> print(loss.discriminator(jnp.array([3.0]), jnp.array([1.0])))
        -2.0

    References:
        Gulrajani et al., "Improved Training of Wasserstein GANs", 2017,
        https://arxiv.org/abs/1704.00028.
    """
    if not penalty_weight >= 0:
        raise ConfigError(f"penalty_weight is {penalty_weight}: it must be at least 0")

    def penalty(critic: Critic, real: jax.Array, fake: jax.Array, mix: jax.Array) -> jax.Array:
        return penalty_weight * jnp.square(slopes(critic, real, fake, mix) - 1).mean()

    return AdversarialLoss(
        lambda real, fake: fake.mean() - real.mean(),
        lambda fake: -fake.mean(),
        penalty,
        output=lambda outputs: outputs,
    )


def slopes(critic: Critic, real: jax.Array, fake: jax.Array, mix: jax.Array) -> jax.Array:
    """Gradient norms (N,) of the critic at points between real and generated images."""
    share = mix.reshape((-1,) + (1,) * (real.ndim - 1))
    between = share * real + (1 - share) * fake
    gradients = jax.grad(lambda images: critic(images).sum())(between)
    squares = jnp.square(gradients).reshape(len(gradients), -1).sum(1)
    # The root has infinite slope at 0: a zero gradient must not turn the penalty's into NaN.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
