"""A classifier whose features are not to tell where an image comes from."""

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxdl import nn
from jaxdl.errors import ConfigError


class DomainAdversarial(linen.Module):
    """Features, a layer that names the class, and two that name the domain, reversed.

    The domain's layers learn to tell target images from source images; the gradient that they send
    to the features is reversed, so the features learn to look alike. Train it with
    :mod:`jaxdl.training.domain_adversarial`.

    Attributes:
        network: a network with a method ``features``, such as a CNN; its last layer is not used.
        steps: length of the training, over which λ rises as in ``nn.reversal_strength``.
        largest: λ at the end; 0 trains on the source's labels alone, but lets BatchNorm see both
            domains.
        num_classes: classes.
        hidden: neurons of the domain's hidden layer.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxdl.models import CNN
        >>> model = DomainAdversarial(CNN(widths=(8, 16), hidden=32), steps=100)
        >>> images = jnp.zeros((2, 28, 28, 1))
        >>> first = jax.jit(model.init_with_output, static_argnames="train")
        >>> outputs, _ = first(jax.random.key(0), images, train=False)
        >>> outputs.shape, outputs[0, -1].item()
        ((2, 11), -inf)

    References:
        Ganin et al., Domain-Adversarial Training of Neural Networks, 2016.
    """

    network: linen.Module
    steps: int
    largest: float = 1.0
    num_classes: int = 10
    hidden: int = 100

    def setup(self) -> None:
        """Creates dense_label, dense_domain_0 and dense_domain_1 beside the network."""
        self.dense_label = nn.Dense(self.num_classes)
        self.dense_domain = [nn.Dense(self.hidden), nn.Dense(1)]

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
        step: jax.Array | None = None,
    ) -> jax.Array:
        """Maps inputs (N, …) to outputs (N, num_classes + 1).

        The last output is the logit of "from the target". Outside training it is -∞: an image gets
        a class whatever its domain, and the outputs are those of an ordinary classifier.

        ``mask`` (N,) is 1 for inputs that count in the batch's statistics; ``step`` counts the
        training steps from 0.

        Raises:
            ConfigError: a training step is not given.
        """
        features = self.features(x, train=train, axis_name=axis_name, mask=mask)
        logits = self.dense_label(features)
        if train and step is None:
            raise ConfigError("DomainAdversarial: training takes the step, from which λ follows")
        strength = self.largest * nn.reversal_strength(step / self.steps) if train else 0.0
        domain = nn.reverse_gradient(features, strength)
        domain = self.dense_domain[1](nn.relu(self.dense_domain[0](domain)))
        domain = domain if train else jnp.full_like(domain, -jnp.inf)
        return jnp.concatenate([logits, domain], axis=-1)

    def features(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """The network's features (N, width), which both parts see; same arguments as a call."""
        return self.network.features(x, train=train, axis_name=axis_name, mask=mask)
