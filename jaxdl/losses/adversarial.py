"""Adversarial losses: what D and G minimise, from D's outputs.

Penalties on D's gradient, which can be added to each, are in
:mod:`jaxdl.losses.gradient_penalties`.

Example:
    >>> real, fake = jnp.array([2.0, 0.5]), jnp.array([-3.0, 0.5])
    >>> for loss in (NON_SATURATING, HINGE, WASSERSTEIN, RELATIVISTIC):
    ...     both = loss.discriminator(real, fake), loss.generator(real, fake)
    ...     print("D {:.4f}, G {:.4f}".format(*map(float, both)))
    D 0.8118, G 1.7613
    D 1.0000, G 1.2500
    D -2.5000, G 1.2500
    D 0.3499, G 2.8499
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.losses.binary import binary_cross_entropy_with_logits
from jaxdl.losses.gradient_penalties import Penalty


class AdversarialLoss(NamedTuple):
    """A pair of losses of D's outputs (N,) on real and on generated images; each a scalar mean.

    Attributes:
        discriminator: D's loss.
        generator: G's loss. Its first argument, D's outputs on real images, is None unless
            ``relative``.
        penalty: added to D's loss, see :data:`~jaxdl.losses.gradient_penalties.Penalty`.
        output: maps D's outputs to what is reported as D(x).
        relative: whether G's loss compares with real images, which then pass D once more.
    """

    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator: Callable[[jax.Array | None, jax.Array], jax.Array]
    penalty: Penalty | None = None
    output: Callable[[jax.Array], jax.Array] = jax.nn.sigmoid
    relative: bool = False


def _mean_cross_entropy(logits: jax.Array, target: float) -> jax.Array:
    return binary_cross_entropy_with_logits(logits, jnp.full_like(logits, target)).mean()


def _as_it_is(outputs: jax.Array) -> jax.Array:
    return outputs


NON_SATURATING = AdversarialLoss(
    lambda real, fake: _mean_cross_entropy(real, 1.0) + _mean_cross_entropy(fake, 0.0),
    lambda _, fake: _mean_cross_entropy(fake, 1.0),
)
"""The course's pair: BCE(D(x), 1) + BCE(D(G(z)), 0) for D, BCE(D(G(z)), 1) for G.

References:
    Goodfellow et al., "Generative Adversarial Nets", 2014, section 3; course document 000.
"""

HINGE = AdversarialLoss(
    lambda real, fake: jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean(),
    lambda _, fake: -fake.mean(),
    output=_as_it_is,
)
"""max(0, 1 − D(x)) + max(0, 1 + D(G(z))) for D, −D(G(z)) for G.

D gains nothing from outputs beyond ±1.

References:
    Lim and Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894; Miyato et al., "Spectral
    Normalization for Generative Adversarial Networks", 2018, https://arxiv.org/abs/1802.05957.
"""

WASSERSTEIN = AdversarialLoss(
    lambda real, fake: fake.mean() - real.mean(),
    lambda _, fake: -fake.mean(),
    output=_as_it_is,
)
"""D(G(z)) − D(x) for D, −D(G(z)) for G: has no minimum unless something bounds D's slope.

:func:`~jaxdl.losses.wasserstein.wasserstein` is the pair with the gradient penalty.

References:
    Arjovsky et al., "Wasserstein GAN", 2017, https://arxiv.org/abs/1701.07875.
"""

RELATIVISTIC = AdversarialLoss(
    lambda real, fake: jax.nn.softplus(fake - real).mean(),
    lambda real, fake: jax.nn.softplus(real - fake).mean(),
    output=_as_it_is,
    relative=True,
)
"""softplus(D(G(z)) − D(x)) for D, softplus(D(x) − D(G(z))) for G, image by image.

D need not tell all real images from all generated ones, only each pair; G therefore cannot satisfy
it with a few good modes. Only differences of D's outputs mean something.

References:
    Jolicoeur-Martineau, "The relativistic discriminator", 2018, https://arxiv.org/abs/1807.00734;
    with R1 and R2: Huang et al., "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2024,
    https://arxiv.org/abs/2501.05441.
"""
