"""The multilayer perceptron of the course's regularisation study, and its deeper relatives.

Dense layers with PyTorch's initialisation and ReLU between them; in the course's setting
784 → 6 × 700 → 10, 3,010,010 parameters. In the course's code dropout acts before the ReLU of the
last two hidden layers, here after it. With ReLU both are the same function, since ReLU maps 0 to 0
and commutes with positive scaling.

References:
    Course document 004, levels 9 and 13.
"""

from collections.abc import Sequence

import flax.linen as linen
import jax
from jax.nn.initializers import Initializer

from jaxdl import nn
from jaxdl.errors import ShapeError


class MLP(linen.Module):
    """A classifier of flattened images that returns logits.

    Attributes:
        hidden: widths of the hidden layers.
        num_classes: number of logits.
        dropout_rate: share of activations set to zero in training, in [0, 1).
        dropout_layers: dropout acts in this many of the last hidden layers.
        activation: of the hidden layers, a name in ``nn.ACTIVATIONS``.
        normalize: BatchNorm between a hidden layer and its activation.
        residual: a hidden layer as wide as its input adds its output to it.
        kernel_init: of all layers' kernels.
        bias_init: of the hidden layers' biases; None for PyTorch's.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> first = jax.jit(MLP(hidden=(30, 20)).init_with_output, static_argnames="train")
        >>> logits, variables = first(jax.random.key(0), jnp.zeros((2, 28, 28, 1)), train=False)
        >>> logits.shape
        (2, 10)
    """

    hidden: tuple[int, ...] = (700,) * 6
    num_classes: int = 10
    dropout_rate: float = 0.0
    dropout_layers: int = 2
    activation: str = "relu"
    normalize: bool = False
    residual: bool = False
    kernel_init: Initializer = nn.torch_linear_init
    bias_init: Initializer | None = None

    @property
    def dropout_widths(self) -> tuple[int, ...]:
        """Widths of the layers with dropout."""
        first = len(self.hidden) - self.dropout_layers
        return self.hidden[first:] if self.dropout_rate > 0 else ()

    def dropout_masks(self, key: jax.Array, positions: jax.Array) -> tuple[jax.Array, ...]:
        """Draws which activations to keep for each sample, by its position in the global batch.

        Args:
            key: PRNG key of this step.
            positions: integers (N,).

        Returns:
            For each layer with dropout, booleans (N, width), True with probability 1 − rate.
        """

        def draw(position: jax.Array) -> tuple[jax.Array, ...]:
            sample = jax.random.fold_in(key, position)
            return tuple(
                jax.random.bernoulli(jax.random.fold_in(sample, i), 1 - self.dropout_rate, (width,))
                for i, width in enumerate(self.dropout_widths)
            )

        return jax.vmap(draw)(positions)

    @linen.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
        masks: Sequence[jax.Array] | None = None,
    ) -> jax.Array:
        """Maps inputs (N, …), flattened, to logits (N, num_classes).

        ``mask`` (N,) is 1 for examples that count in BatchNorm's statistics; None counts all. In
        training with dropout, ``masks`` are those of :meth:`dropout_masks`.

        Raises:
            ShapeError: training with dropout, but not one mask for each of its layers.
        """
        dropped = len(self.dropout_widths) if train else 0
        if dropped and (masks is None or len(masks) != dropped):
            raise ShapeError(
                f"training with dropout in {dropped} layers takes {dropped} masks; "
                f"got {0 if masks is None else len(masks)} (see MLP.dropout_masks)"
            )
        x = x.reshape(x.shape[0], -1)
        for i, width in enumerate(self.hidden):
            y = nn.Dense(
                width,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                name=f"dense_{i + 1}",
            )(x)
            if self.normalize:
                normalize = nn.BatchNorm(momentum=0.9, epsilon=1e-5, name=f"batch_norm_{i + 1}")
                y = normalize(y, train=train, axis_name=axis_name, mask=mask)
            y = nn.Activation(self.activation, name=f"act_{i + 1}")(y)
            layer = i - (len(self.hidden) - dropped)
            if layer >= 0:
                y = y * masks[layer] / (1 - self.dropout_rate)
            x = x + y if self.residual and x.shape == y.shape else y
        last = f"dense_{len(self.hidden) + 1}"
        return nn.Dense(self.num_classes, kernel_init=self.kernel_init, name=last)(x)
