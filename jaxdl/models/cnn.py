"""A small convolutional digit classifier (after course document 003), also a source of features."""

import flax.linen as linen
import jax

from jaxdl import nn
from jaxdl.errors import ConfigError, ShapeError


class CNN(linen.Module):
    """Blocks of convolution, BatchNorm, ReLU and pooling, followed by two dense layers.

    Attributes:
        widths: channels of each block; every block halves the image, rounding down.
        hidden: neurons of the first dense layer, whose activations are the features.
        num_classes: neurons of the output layer.
        image_size: height and width of the images, in pixels.

    Example:
        >>> import jax.numpy as jnp
        >>> model, images = CNN(widths=(8, 16)), jnp.zeros((2, 28, 28, 1))
        >>> first = jax.jit(model.init_with_output, static_argnames="train")
        >>> logits, variables = first(jax.random.key(0), images, train=False)
        >>> logits.shape
        (2, 10)
        >>> apply = jax.jit(model.apply, static_argnames=("train", "method"))
        >>> apply(variables, images, train=False, method="features").shape
        (2, 128)
    """

    widths: tuple[int, ...] = (32, 64)
    hidden: int = 128
    num_classes: int = 10
    image_size: int = 28

    def setup(self) -> None:
        """Creates conv_0, batch_norm_0, …, dense_0, dense_1."""
        self.final_size()  # refuses sizes that leave no pixels
        self.conv = [nn.Conv(width, kernel_size=3, padding=1) for width in self.widths]
        self.batch_norm = [nn.BatchNorm(momentum=0.9, epsilon=1e-5) for _ in self.widths]
        self.dense = [nn.Dense(features) for features in (self.hidden, self.num_classes)]

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Maps images (N, image_size, image_size, C) to logits (N, num_classes).

        ``mask`` (N,) is 1 for images that count in the batch's statistics; None counts all.

        Raises:
            ShapeError: the images have another size.
            ConfigError: no pixel would be left after the last block.
        """
        return self.dense[1](self.features(x, train=train, axis_name=axis_name, mask=mask))

    def features(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Activations (N, hidden) of the last hidden layer; same arguments as a call."""
        if x.ndim != 4 or x.shape[1:3] != (self.image_size, self.image_size):
            raise ShapeError(
                f"images have shape {x.shape}; expected "
                f"(N, {self.image_size}, {self.image_size}, channels)"
            )
        for conv, batch_norm in zip(self.conv, self.batch_norm, strict=True):
            x = nn.relu(batch_norm(conv(x), train=train, axis_name=axis_name, mask=mask))
            x = nn.max_pool(x, 2)
        return nn.relu(self.dense[0](x.reshape(x.shape[0], -1)))

    def final_size(self) -> int:
        """Height and width of the last block's maps, in pixels; ConfigError if nothing is left."""
        side = self.image_size // 2 ** len(self.widths)
        if not self.widths or side < 1:
            raise ConfigError(
                f"CNN: {len(self.widths)} blocks on images of {self.image_size} pixels leave "
                f"maps of {side}; use at least one block, and images of 2^blocks pixels or more"
            )
        return side
