"""The two networks of DCGAN, for any image size that doubling a small map reaches.

In the course's setting (64×64, one channel, width 64) they match its networks exactly: no biases,
BatchNorm with epsilon 1e-5 and running averages that keep 0.9, kernels from N(0, 0.02) and
BatchNorm scales from N(1, 0.02); 3,574,656 and 2,763,520 parameters.

References:
    Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional
    Generative Adversarial Networks", 2016, https://arxiv.org/abs/1511.06434;
    Miyato and Koyama, "cGANs with Projection Discriminator", 2018,
    https://arxiv.org/abs/1802.05637, for classes; course document 000.
"""

from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxdl import nn
from jaxdl.errors import ConfigError, ShapeError

NORMALIZATIONS = ("batch", "layer", "none", "spectral")  # of the discriminator
LEAKY_SLOPE = 0.2


class Pyramid(NamedTuple):
    """A ``base`` × ``base`` map, doubled ``doublings`` times."""

    base: int
    doublings: int


def possible_image_sizes() -> list[int]:
    """Supported image sizes in pixels: 4 to 7, doubled two to five times."""
    return sorted(base * 2**doublings for base in (4, 5, 6, 7) for doublings in (2, 3, 4, 5))


def image_pyramid(image_size: int) -> Pyramid:
    """Splits an image size, in pixels, into the innermost map (4 to 7) and the number of doublings.

    Raises:
        ConfigError: the size is not 4, 5, 6 or 7 doubled two to five times.

    Example:
        >>> image_pyramid(64)
        Pyramid(base=4, doublings=4)
        >>> image_pyramid(28)
        Pyramid(base=7, doublings=2)
    """
    for base in (4, 5, 6, 7):
        for doublings in (2, 3, 4, 5):
            if base * 2**doublings == image_size:
                return Pyramid(base, doublings)
    raise ConfigError(
        f"image_size {image_size} cannot be reached by doubling a map of 4 to 7 pixels; "
        f"possible sizes: {', '.join(map(str, possible_image_sizes()))}"
    )


def _batch_norm(name: str) -> nn.BatchNorm:
    return nn.BatchNorm(momentum=0.9, epsilon=1e-5, scale_init=nn.dcgan_scale_init, name=name)


def class_shares(labels: jax.Array | None, count: int, num_classes: int) -> jax.Array | None:
    """Classes (N,) as shares (N, num_classes), 1 for an image's own; shares are left as they are.

    Returns:
        The shares; None for a network without classes.

    Raises:
        ShapeError: there is not a label for each of ``count`` images, or one too many.

    Example:
        >>> class_shares(jnp.array([1, 0]), 2, 3).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if (labels is None) != (num_classes == 0):
        given = "no labels are" if labels is None else "labels are"
        raise ShapeError(f"the network knows {num_classes} classes, and {given} given")
    if labels is None:
        return None
    shares = jax.nn.one_hot(labels, num_classes) if labels.ndim == 1 else labels
    if shares.shape != (count, num_classes):
        raise ShapeError(
            f"labels have shape {labels.shape}; expected ({count},) or ({count}, {num_classes})"
        )
    return shares


def _of_class(what: str, shares: jax.Array, x: jax.Array, layer: int) -> jax.Array:
    """Numbers for the channels of maps x, learnt for each class: (N, 1, 1, C)."""
    zeros, name = linen.initializers.zeros, f"class_{what}_{layer}"
    table = nn.Dense(x.shape[-1], use_bias=False, kernel_init=zeros, name=name)
    return table(shares.astype(x.dtype))[:, None, None, :]


def _check_normalization(normalization: str, known: tuple[str, ...]) -> None:
    if normalization not in known:
        raise ConfigError(f"normalization {normalization!r}: choose {', '.join(known)}")


def _widened(x: jax.Array) -> jax.Array:
    """Casts to float32, or keeps float64 if the network computes in it."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Generator(linen.Module):
    """Generates images from noise: transposed convolutions, BatchNorm and ReLU, with a final tanh.

    Attributes:
        features: channels of the last hidden map (the course's ngf); each earlier map has twice as
            many.
        latent_dim: length of the noise vector z (the course's nz).
        image_size: height and width in pixels, see :func:`image_pyramid`.
        channels: 1 (grey) or 3 (colour).
        conv: method for the layers it applies to, see :func:`jaxdl.nn.transposed_convolution`.
        dtype: type of activations and products. Parameters and statistics are float32, results
            float32 or wider.
        normalization: "batch", as in the course, or "none".
        num_classes: 0, or the number of classes, of which one is asked for with each z. Each class
            then scales and shifts every channel after BatchNorm in its own way; at first, all
            classes alike. (A class's embedding beside z was tried: G ignored z.)

    Example:
        >>> import jax, jax.numpy as jnp
        >>> generator = Generator(features=8, image_size=16)
        >>> first = jax.jit(generator.init_with_output, static_argnames="train")
        >>> images, variables = first(jax.random.key(0), jnp.zeros((2, 100)), train=False)
        >>> images.shape
        (2, 16, 16, 1)
    """

    features: int = 64
    latent_dim: int = 100
    image_size: int = 64
    channels: int = 1
    conv: str = "auto"
    dtype: Any = jnp.float32
    normalization: str = "batch"
    num_classes: int = 0

    @linen.compact
    def __call__(
        self,
        z: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool,
        axis_name: str | None = None,
    ) -> jax.Array:
        """Maps noise (N, latent_dim), standard normal, to images (N, H, W, channels) in [-1, 1].

        ``labels`` are the classes, integers (N,), or shares of each class, (N, num_classes), for
        images between classes; None without classes.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ShapeError(f"noise has shape {z.shape}; expected (N, {self.latent_dim})")
        _check_normalization(self.normalization, ("batch", "none"))
        base, doublings = image_pyramid(self.image_size)

        def upsample(x: jax.Array, features: int, layer: int) -> jax.Array:
            kernel, stride, padding = (base, 1, 0) if layer == 0 else (4, 2, 1)
            return nn.ConvTranspose(
                features,
                kernel_size=kernel,
                stride=stride,
                padding=padding,
                use_bias=False,
                kernel_init=nn.dcgan_kernel_init,
                method=(self.conv, "auto"),
                name=f"conv_transpose_{layer}",
            )(x)

        shares = class_shares(labels, z.shape[0], self.num_classes)
        x = z[:, None, None, :].astype(self.dtype)
        for layer in range(doublings):
            x = upsample(x, self.features * 2 ** (doublings - 1 - layer), layer)
            if self.normalization == "batch":
                x = _batch_norm(f"batch_norm_{layer}")(x, train=train, axis_name=axis_name)
            if shares is not None:
                x = x * (1 + _of_class("scale", shares, x, layer)) + _of_class(
                    "shift", shares, x, layer
                )
            x = nn.relu(x)
        return nn.tanh(_widened(upsample(x, self.channels, doublings)))


class Discriminator(linen.Module):
    """Judges images: strided convolutions, BatchNorm (not after the first), LeakyReLU 0.2.

    It returns a logit, whose sigmoid is the probability that the image is real.

    Attributes:
        features: channels of the first map (the course's ndf); each later map has twice as many.
        image_size: height and width in pixels, see :func:`image_pyramid`.
        conv: method for the layers it applies to, see :func:`jaxdl.nn.convolution`.
        dtype: type of activations and products. Parameters and statistics are float32, results
            float32 or wider.
        normalization: "batch" normalises activations over each batch, as in the course; "layer"
            over each image; "spectral" every kernel by its largest singular value; "none" nothing.
            Penalties on single images rule out "batch".
        num_classes: 0, or the number of classes. The logit is then the sum of a linear function of
            the last maps and of another one for each class (Miyato and Koyama's projection).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> discriminator = Discriminator(features=8, image_size=16)
        >>> first = jax.jit(discriminator.init_with_output, static_argnames="train")
        >>> logits, variables = first(jax.random.key(0), jnp.zeros((2, 16, 16, 1)), train=False)
        >>> logits.shape
        (2,)
    """

    features: int = 64
    image_size: int = 64
    conv: str = "auto"
    dtype: Any = jnp.float32
    normalization: str = "batch"
    num_classes: int = 0

    @linen.compact
    def __call__(
        self,
        images: jax.Array,
        labels: jax.Array | None = None,
        *,
        train: bool,
        axis_name: str | None = None,
    ) -> jax.Array:
        """Maps images (N, H, W, C) in [-1, 1] to logits (N,), positive for "real".

        Because BatchNorm mixes a batch, it must be all real or all generated. ``labels`` are the
        images' classes, integers (N,); None without classes.
        """
        if images.ndim != 4 or images.shape[1:3] != (self.image_size, self.image_size):
            raise ShapeError(
                f"images have shape {images.shape}; expected "
                f"(N, {self.image_size}, {self.image_size}, channels)"
            )
        _check_normalization(self.normalization, NORMALIZATIONS)
        base, doublings = image_pyramid(self.image_size)

        def convolve(x: jax.Array, features: int, layer: int, name: str | None = None) -> jax.Array:
            kernel, stride, padding = (base, 1, 0) if layer == doublings else (4, 2, 1)
            return nn.Conv(
                features,
                kernel_size=kernel,
                stride=stride,
                padding=padding,
                use_bias=False,
                kernel_init=nn.dcgan_kernel_init,
                method=(self.conv, "auto"),
                spectral=self.normalization == "spectral",
                name=name or f"conv_{layer}",
            )(x, train=train)

        x = images.astype(self.dtype)
        for layer in range(doublings):
            x = convolve(x, self.features * 2**layer, layer)
            if layer > 0:
                x = self._normalize(x, layer, train, axis_name)
            x = nn.leaky_relu(x, LEAKY_SLOPE)
        logits = _widened(convolve(x, 1, doublings).reshape(-1))
        shares = class_shares(labels, x.shape[0], self.num_classes)
        if shares is None:
            return logits
        of_each = _widened(convolve(x, self.num_classes, doublings, "projection"))
        return logits + (of_each.reshape(shares.shape) * shares).sum(1)

    def _normalize(self, x: jax.Array, layer: int, train: bool, axis_name: str | None) -> jax.Array:
        if self.normalization == "batch":
            return _batch_norm(f"batch_norm_{layer}")(x, train=train, axis_name=axis_name)
        if self.normalization == "layer":  # one group: over all positions and channels
            return linen.GroupNorm(num_groups=1, epsilon=1e-5, name=f"layer_norm_{layer}")(x)
        return x
