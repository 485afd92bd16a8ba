"""A small convolutional digit classifier (after course document 003), also a source of features."""

import flax.linen as linen
import jax
from jax.nn.initializers import Initializer

from jaxdl import nn
from jaxdl.errors import ConfigError, ShapeError


class CNN(linen.Module):
    """Blocks of convolution, BatchNorm and activation that halve the image, then two dense layers.

    Attributes:
        widths: channels of each block; every block halves the image, rounding down.
        hidden: neurons of the first dense layer, whose activations are the features.
        num_classes: neurons of the output layer.
        image_size: height and width of the images, in pixels.
        pool: whether blocks halve the image by max pooling after a 3×3 convolution; if not, by a
            4×4 convolution of stride 2, which takes a tenth of the time on a CPU (sides that
            2^blocks divides).
        dropout_rate: share of the features set to zero in training, in [0, 1).
        activation: of the hidden layers, a name in ``nn.ACTIVATIONS``.
        normalize: whether blocks have BatchNorm.
        kernel_init: of all layers' kernels.
        bias_init: of the hidden layers' biases; None for PyTorch's.

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
    pool: bool = True
    dropout_rate: float = 0.0
    activation: str = "relu"
    normalize: bool = True
    kernel_init: Initializer = nn.torch_conv_init
    bias_init: Initializer | None = None

    def setup(self) -> None:
        """Creates conv_0, batch_norm_0, …, dense_0, dense_1."""
        self.final_size()  # refuses sizes that leave no pixels
        kernel = {"kernel_size": 3} if self.pool else {"kernel_size": 4, "stride": 2}
        first = {"kernel_init": self.kernel_init, "bias_init": self.bias_init}
        self.conv = [nn.Conv(width, **kernel, padding=1, **first) for width in self.widths]
        blocks = self.widths if self.normalize else ()
        self.batch_norm = [nn.BatchNorm(momentum=0.9, epsilon=1e-5) for _ in blocks]
        self.act = [nn.Activation(self.activation) for _ in (*self.widths, 0)]
        self.dense = [
            nn.Dense(self.hidden, **first),
            nn.Dense(self.num_classes, kernel_init=self.kernel_init),
        ]

    def dropout_masks(self, key: jax.Array, positions: jax.Array) -> jax.Array:
        """Draws which features to keep, booleans (N, hidden), by positions in the global batch."""

        def draw(position: jax.Array) -> jax.Array:
            sample = jax.random.fold_in(key, position)
            return jax.random.bernoulli(sample, 1 - self.dropout_rate, (self.hidden,))

        return jax.vmap(draw)(positions)

    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
        masks: jax.Array | None = None,
    ) -> jax.Array:
        """Maps images (N, image_size, image_size, C) to logits (N, num_classes).

        ``mask`` (N,) is 1 for images that count in the batch's statistics; None counts all. In
        training with dropout, ``masks`` are those of :meth:`dropout_masks`.

        Raises:
            ShapeError: the images have another size, or masks for dropout are missing.
            ConfigError: no pixel would be left after the last block.
        """
        features = self.features(x, train=train, axis_name=axis_name, mask=mask)
        if train and self.dropout_rate > 0:
            if masks is None:
                raise ShapeError("training with dropout takes masks (see CNN.dropout_masks)")
            features = features * masks / (1 - self.dropout_rate)
        return self.dense[1](features)

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
        for i, conv in enumerate(self.conv):
            x = conv(x)
            if self.normalize:
                x = self.batch_norm[i](x, train=train, axis_name=axis_name, mask=mask)
            x = self.act[i](x)
            x = nn.max_pool(x, 2) if self.pool else x
        return self.act[-1](self.dense[0](x.reshape(x.shape[0], -1)))

    def final_size(self) -> int:
        """Height and width of the last block's maps, in pixels; ConfigError if nothing is left."""
        side = self.image_size // 2 ** len(self.widths)
        if not self.widths or side < 1:
            raise ConfigError(
                f"CNN: {len(self.widths)} blocks on images of {self.image_size} pixels leave "
                f"maps of {side}; use at least one block, and images of 2^blocks pixels or more"
            )
        return side
