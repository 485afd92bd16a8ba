"""``GANState``: generator and discriminator in training."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jaxdl.models import Discriminator, Generator
from jaxdl.training.reprs import short_repr
from jaxdl.training.state import NetworkState

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
    pack: int = 1,
) -> GANState:
    """Initialises both networks, each from its own key.

    The discriminator must accept images of the generator's size, and know as many classes; it sees
    ``pack`` images stacked as channels.

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
    labels = [jnp.zeros(1, jnp.int32)] if generator.num_classes else []
    images = jnp.zeros((1, generator.image_size, generator.image_size, pack * generator.channels))
    return GANState(
        step=jnp.zeros((), jnp.int32),
        generator=NetworkState.create(
            jax.random.fold_in(key, 0), generator, generator_optimizer, noise, *labels
        ),
        discriminator=NetworkState.create(
            jax.random.fold_in(key, 1), discriminator, discriminator_optimizer, images, *labels
        ),
    )
