"""The judge's network: a small classifier that is cheap enough to run during training."""

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxdl import nn
from jaxdl.errors import ShapeError


class JudgeNetwork(linen.Module):
    """Stride-2 convolutions with BatchNorm and ReLU, then two dense layers.

    Kernels are 4×4, and images are padded with black to a multiple of 2^blocks, because DCGAN's
    layers are those with a fast method on a CPU. Pooling's gradient would take most of a step.

    Attributes:
        widths: channels of each block; every block halves the image.
        hidden: neurons of the first dense layer, whose activations are the features.
        num_classes: neurons of the output layer.
        image_size: height and width of the images, in pixels.
        channels: 1 for grey images, 3 for colour.

    Example:
        >>> import jax.numpy as jnp
        >>> model, images = JudgeNetwork(widths=(4, 8)), jnp.zeros((2, 28, 28, 1))
        >>> first = jax.jit(model.init_with_output, static_argnames=("train", "method"))
        >>> (features, logits), variables = first(
        ...     jax.random.key(0), images, train=False, method="features_and_logits")
        >>> features.shape, logits.shape
        ((2, 64), (2, 10))
    """

    widths: tuple[int, ...] = (32, 64, 96)
    hidden: int = 64
    num_classes: int = 10
    image_size: int = 28
    channels: int = 1

    def setup(self) -> None:
        """Creates conv_0, batch_norm_0, …, dense_0, dense_1."""
        self.conv = [nn.Conv(width, kernel_size=4, stride=2, padding=1) for width in self.widths]
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
        """Maps images (N, image_size, image_size, channels) to logits (N, num_classes).

        ``mask`` (N,) is 1 for images that count in the batch's statistics; None counts all.

        Raises:
            ShapeError: the images have another size or number of channels.
        """
        return self.features_and_logits(x, train=train, axis_name=axis_name, mask=mask)[1]

    def features_and_logits(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Features (N, hidden) and logits (N, num_classes); same arguments as a call."""
        wanted = (self.image_size, self.image_size, self.channels)
        if x.shape[1:] != wanted:
            raise ShapeError(f"images have shape {x.shape}; expected {('N', *wanted)}")
        x = self._padded(x)
        for conv, batch_norm in zip(self.conv, self.batch_norm, strict=True):
            x = nn.relu(batch_norm(conv(x), train=train, axis_name=axis_name, mask=mask))
        features = nn.relu(self.dense[0](x.reshape(x.shape[0], -1)))
        return features, self.dense[1](features)

    def _padded(self, x: jax.Array) -> jax.Array:
        missing = -self.image_size % 2 ** len(self.widths)
        pixels = (missing // 2, missing - missing // 2)
        return jnp.pad(x, ((0, 0), pixels, pixels, (0, 0)), constant_values=-1)
