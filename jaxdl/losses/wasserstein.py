"""The Wasserstein loss with a gradient penalty (WGAN-GP)."""

from jaxdl.errors import ConfigError
from jaxdl.losses.adversarial import WASSERSTEIN, AdversarialLoss
from jaxdl.losses.gradient_penalties import gradient_penalty


def wasserstein(penalty_weight: float = 10.0) -> AdversarialLoss:
    r"""D widens the gap between its mean outputs, with its slope held near 1; G narrows it.

    .. math::
        L_D = E[D(G(z))] - E[D(x)] + \lambda\, E[(\|\nabla D(\hat x)\| - 1)^2],
        \qquad L_G = -E[D(G(z))], \qquad \hat x = \epsilon x + (1 - \epsilon) G(z)

    The penalty is per image, so D must not have BatchNorm
    (``Discriminator(normalization="none")``). The paper takes five D steps per G step and λ = 10. A
    negative λ raises ConfigError.

    Example:
        >>> import jax.numpy as jnp
        >>> loss = wasserstein()
        >>> print(loss.discriminator(jnp.array([3.0]), jnp.array([1.0])))
        -2.0

    References:
        Gulrajani et al., "Improved Training of Wasserstein GANs", 2017,
        https://arxiv.org/abs/1704.00028.
    """
    if not penalty_weight >= 0:
        raise ConfigError(f"penalty_weight is {penalty_weight}: it must be at least 0")
    return WASSERSTEIN._replace(penalty=gradient_penalty(penalty_weight))
