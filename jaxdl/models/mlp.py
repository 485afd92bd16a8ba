"""The multilayer perceptron of the course's regularisation study.

Dense layers with PyTorch's initialisation and ReLU between them; in the course's setting
784 → 6 × 700 → 10, 3,010,010 parameters. As in the course's code, dropout acts before the ReLU of
the last two hidden layers. It usually comes after; with ReLU both are the same function, since ReLU
maps 0 to 0 and commutes with positive scaling.

References:
    Course document 004, levels 9 and 13.
"""

from collections.abc import Sequence

import flax.linen as linen
import jax

from jaxdl import nn
from jaxdl.errors import ShapeError


class MLP(linen.Module):
    """A classifier of flattened images that returns logits.

    Attributes:
        hidden: widths of the hidden layers.
        num_classes: number of logits.
        dropout_rate: share of activations set to zero in training, in [0, 1).
        dropout_layers: dropout acts in this many of the last hidden layers.

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
        masks: Sequence[jax.Array] | None = None,
    ) -> jax.Array:
        """Maps inputs (N, …), flattened, to logits (N, num_classes).

        In training with dropout, ``masks`` are those of :meth:`dropout_masks`. ``axis_name`` has no
        effect.

        Raises:
            ShapeError: training with dropout, but not one mask for each of its layers.
        """
        del axis_name
        dropped = len(self.dropout_widths) if train else 0
        if dropped and (masks is None or len(masks) != dropped):
            raise ShapeError(
                f"training with dropout in {dropped} layers takes {dropped} masks; "
                f"got {0 if masks is None else len(masks)} (see MLP.dropout_masks)"
            )
        x = x.reshape(x.shape[0], -1)
        for i, width in enumerate(self.hidden):
            x = nn.Dense(width, name=f"dense_{i + 1}")(x)
            layer = i - (len(self.hidden) - dropped)
            if layer >= 0:
                x = x * masks[layer] / (1 - self.dropout_rate)
            x = nn.relu(x)
        return nn.Dense(self.num_classes, name=f"dense_{len(self.hidden) + 1}")(x)
