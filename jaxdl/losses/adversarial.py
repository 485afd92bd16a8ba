"""Adversarial losses: what D and G minimise, and a penalty on D's inputs."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.losses.binary import binary_cross_entropy_with_logits

# penalty(critic, real, fake, mix) -> scalar. ``critic`` gives D's outputs (N,) for images;
# ``real`` and ``fake`` are images (N, H, W, C); ``mix`` is uniform in [0, 1), (N,).
Critic = Callable[[jax.Array], jax.Array]
Penalty = Callable[[Critic, jax.Array, jax.Array, jax.Array], jax.Array]


class AdversarialLoss(NamedTuple):
    """A pair of losses, each a mean over the batch.

    Attributes:
        discriminator: of D's outputs (N,) on real and on generated images; a scalar.
        generator: of D's outputs (N,) on generated images; a scalar.
        penalty: added to D's loss, see :data:`Penalty`.
        output: maps D's outputs to what is reported as D(x).
    """

    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator: Callable[[jax.Array], jax.Array]
    penalty: Penalty | None = None
    output: Callable[[jax.Array], jax.Array] = jax.nn.sigmoid


def _mean_cross_entropy(logits: jax.Array, target: float) -> jax.Array:
    return binary_cross_entropy_with_logits(logits, jnp.full_like(logits, target)).mean()


NON_SATURATING = AdversarialLoss(
    lambda real, fake: _mean_cross_entropy(real, 1.0) + _mean_cross_entropy(fake, 0.0),
    lambda fake: _mean_cross_entropy(fake, 1.0),
)
"""The course's pair: BCE(D(x), 1) + BCE(D(G(z)), 0) for D, BCE(D(G(z)), 1) for G.

References:
    Goodfellow et al., "Generative Adversarial Nets", 2014, section 3; course document 000.
"""
