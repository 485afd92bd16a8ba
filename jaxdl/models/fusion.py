"""A classifier of several kinds of input, joined early, late or by a gate."""

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxdl import nn
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.models.mlp import MLP

FUSIONS = ("early", "late", "gated")


class Fusion(linen.Module):
    """Networks of vectors that consist of several parts, such as pixels and a measurement.

    - early: one MLP on all parts side by side.
    - late: an MLP for each part; their logits are averaged.
    - gated: an MLP for each part, and one on all parts that weights their logits, input by input.

    Attributes:
        sizes: numbers of each part; a part of a given size follows the one before.
        fusion: one of :data:`FUSIONS`.
        hidden: widths of every MLP's hidden layers.
        num_classes: number of logits.
        gate_hidden: neurons of the gate's hidden layer.

    Example:
        >>> model = Fusion(sizes=(784, 56), fusion="gated", hidden=(32,))
        >>> logits, _ = model.init_with_output(jax.random.key(0), jnp.zeros((2, 840)), train=False)
        >>> logits.shape
        (2, 10)

    References:
        Course document 001 (fusing several kinds of input); Jacobs et al., Adaptive Mixtures of
        Local Experts, 1991 (the gate).
    """

    sizes: tuple[int, ...]
    fusion: str = "early"
    hidden: tuple[int, ...] = (128,)
    num_classes: int = 10
    gate_hidden: int = 32

    def setup(self) -> None:
        """Creates mlp_0, mlp_1, …, one for each part or one for all, and the gate."""
        if self.fusion not in FUSIONS:
            raise ConfigError(f"fusion is {self.fusion!r}: choose {', '.join(FUSIONS)}")
        count = 1 if self.fusion == "early" else len(self.sizes)
        self.mlp = [MLP(self.hidden, self.num_classes) for _ in range(count)]
        if self.fusion == "gated":
            self.gate = MLP((self.gate_hidden,), len(self.sizes))

    def __call__(self, x: jax.Array, *, train: bool, axis_name: str | None = None) -> jax.Array:
        """Maps inputs (N, …), flattened, to logits (N, num_classes).

        Raises:
            ShapeError: an input has not as many numbers as its parts together.
        """
        x = self._rows(x)
        parts = [x] if self.fusion == "early" else jnp.split(x, self._ends(), axis=-1)
        logits = jnp.stack(
            [mlp(part, train=train) for mlp, part in zip(self.mlp, parts, strict=True)], axis=1
        )
        if self.fusion == "gated":
            logits = len(parts) * self.weights(x)[..., jnp.newaxis] * logits
        return logits.mean(1)

    def weights(self, x: jax.Array) -> jax.Array:
        """What each part counts (N, parts), positive with the sum 1: the gate's, or all alike."""
        x = self._rows(x)
        if self.fusion != "gated":
            return jnp.full((len(x), len(self.sizes)), 1 / len(self.sizes))
        return nn.softmax(self.gate(x, train=False))

    def _rows(self, x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        if x.shape[1] != sum(self.sizes):
            raise ShapeError(
                f"inputs have {x.shape[1]} numbers each; parts of {self.sizes} have "
                f"{sum(self.sizes)}"
            )
        return x

    def _ends(self) -> list[int]:
        """Where each part but the last ends."""
        return [sum(self.sizes[: i + 1]) for i in range(len(self.sizes) - 1)]
