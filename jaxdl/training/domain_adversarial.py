r"""Training with labels from one domain and images from two (DANN).

The target's images join the training part with one label more than there are classes: "unlabelled".
With :class:`jaxdl.models.DomainAdversarial` the classifier's own step then descends

.. math:: \frac{1}{n}\sum_{source} \ell(y) + \frac{1}{n}\sum_{source} \ell(d = 0)
          + \frac{1}{n}\sum_{target} \ell(d = 1)

(halved, the mean over 2n images), in which the features climb the last two, times λ.

References:
    Ganin et al., Domain-Adversarial Training of Neural Networks, 2016.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.data import Split, epoch_permutation
from jaxdl.losses import binary_cross_entropy_with_logits, cross_entropy
from jaxdl.metrics import Accuracy
from jaxdl.training.objective import Objective


def joined_domains(source: Split, target: Split, num_classes: int) -> Split:
    """Source and target in one part; the target's labels, if any, are all ``num_classes``.

    Example:
        >>> part = Split(np.zeros((2, 4, 4, 1), np.uint8), np.array([3, 1]))
        >>> joined_domains(part, part, 10).labels.tolist()
        [3, 1, 10, 10]
    """
    unlabelled = np.full(len(target.images), num_classes, np.int32)
    return Split(
        np.concatenate([source.images, target.images]), np.concatenate([source.labels, unlabelled])
    )


class HalfAndHalf:
    """Draws source and target in turns, so that every batch of even size has as many of both.

    An epoch has as many images as the source: a random half of it beside as many of the target,
    which is drawn anew where it is smaller.

    Args:
        num_source: images of the source, which come first.
        num_target: images of the target, after them.

    Example:
        >>> order = HalfAndHalf(6, 2)(jax.random.key(0), 1)
        >>> (order < 6).tolist()
        [True, False, True, False, True, False]
    """

    def __init__(self, num_source: int, num_target: int) -> None:
        self.num_source, self.num_target = num_source, num_target

    def __call__(self, key: jax.Array, epoch: jax.typing.ArrayLike) -> jax.Array:
        """The indices of an epoch's examples, (num_source,)."""
        each = -(-self.num_source // 2)
        source = epoch_permutation(jax.random.fold_in(key, 0), epoch, self.num_source)
        rounds = -(-each // self.num_target)
        target = jnp.concatenate(
            [
                epoch_permutation(jax.random.fold_in(key, i + 1), epoch, self.num_target)
                for i in range(rounds)
            ]
        )
        pairs = jnp.stack([source[:each], self.num_source + target[:each]], axis=1)
        return pairs.ravel()[: self.num_source]


def domain_adversarial_objective(num_classes: int) -> Objective:
    """The loss of both parts, and the accuracy on images that have a label.

    In evaluation, where the domain's output is -∞, the loss is the cross-entropy.

    Example:
        >>> objective = domain_adversarial_objective(2)
        >>> outputs, labels = jnp.array([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]), jnp.array([1, 2])
        >>> found = objective.measure(outputs, labels, jnp.ones(2))
        >>> f"{found['loss'].total:.4f}"  # log 2 for the first image's domain, little else
        '0.6934'
        >>> found["accuracy"].compute().item()
        1.0
    """

    def loss(outputs: jax.Array, labels: jax.Array) -> jax.Array:
        named = cross_entropy(outputs[:, :-1], labels, ignore_index=num_classes)
        from_target = (labels == num_classes).astype(outputs.dtype)
        return named + binary_cross_entropy_with_logits(outputs[:, -1], from_target)

    def accuracy(outputs: jax.Array, labels: jax.Array, weights: jax.Array) -> Accuracy:
        return Accuracy.from_batch(outputs[:, :-1], labels, weights * (labels < num_classes))

    return Objective(loss, {"accuracy": accuracy})
