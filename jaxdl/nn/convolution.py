"""Two-dimensional convolution and transposed convolution, by the fastest known method.

A *lowering* is one way to compute the same numbers. `jaxdl.nn.lowerings.rule` lists them and the
rule by which `method="auto"` picks one. On a CPU the 4×4 stride-2 layers use Winograd's algorithms,
with up to five times the rounding error of a plain sum (2e-6 of the values in float32);
`method="lax"` is XLA's own convolution.

Images are NHWC, kernels HWIO. As usual in deep learning, convolution means cross-correlation (no
flip). Padding is zeros, equal on all four sides, as in PyTorch.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn.initializers import torch_conv_init, torch_conv_transpose_init, torch_uniform_init
from jaxdl.nn.lowerings.rule import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS, Geometry, choose
from jaxdl.nn.spectral_norm import spectrally_normalized


def convolution(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    method: str | Sequence[str] = "auto",
) -> jax.Array:
    r"""Convolves images with a kernel, like PyTorch's `conv2d`.

    .. math::
        y_{n,i,j,o} = \sum_{a,b,c} x^{pad}_{n,\,si+da,\,sj+db,\,c}\; k_{a,b,c,o}

    A sequence is an image of one row, for a kernel of one row; pad it with `jnp.pad`.

    Args:
        x: Images (N, H, W, C_in).
        kernel: (height, width, C_in, C_out).
        stride: In pixels, at least 1.
        padding: Zeros added on each side, in pixels, at least 0.
        dilation: Distance d between neighbouring taps of the kernel, in pixels, at least 1. With 2
            there is a gap of one pixel: the kernel sees more with as many weights.
        method: "auto", or a key of `lowerings.CONVOLUTIONS`, or several keys, of which the first
            that applies is used.

    Returns:
        (N, (H + 2·padding - dilation·(height - 1) - 1) // stride + 1, likewise for W, C_out).

    Raises:
        ConfigError: The stride, padding, dilation or method is invalid.
        ShapeError: The arrays do not fit, or the output would be empty.

    Example:
        >>> edge = jnp.array([1.0, -1.0]).reshape(1, 2, 1, 1)
        >>> image = jnp.array([0.0, 0.0, 1.0, 1.0]).reshape(1, 1, 4, 1)
        >>> convolution(image, edge).ravel().round()
        Array([ 0., -1.,  0.], dtype=float32)

    References:
        Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, 2016.
    """
    geometry = Geometry(stride, padding, dilation=dilation)
    _check("convolution", x, kernel, geometry)
    height, width = (
        (size + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for size, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    _check_output("convolution", x, kernel, geometry, height, width)
    return choose("convolution", CONVOLUTIONS, method, x, kernel, geometry)(x, kernel, geometry)


def transposed_convolution(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int,
    padding: int,
    output_padding: int = 0,
    method: str | Sequence[str] = "auto",
) -> jax.Array:
    r"""Transposed (fractionally strided) convolution, like PyTorch's `conv_transpose2d`.

    Every input pixel adds a copy of the kernel, scaled by its value, to the output, `stride` pixels
    apart; then `padding` pixels are cut off each side. As in `flax.linen.ConvTranspose`, the copy
    is of the kernel rotated by 180°:

    .. math::
        y_{n,\,si+p',\,sj+q',\,o} \mathrel{+}= x_{n,i,j,c}\; k_{h-1-p,\,w-1-q,\,c,\,o},
        \qquad p' = p - padding, \; q' = q - padding

    A PyTorch weight W (C_in, C_out, h, w) becomes `W.transpose(2, 3, 0, 1)[::-1, ::-1]`.

    Args:
        x: Images (N, H, W, C_in).
        kernel: (height, width, C_in, C_out).
        stride: Distance between copies, in pixels, at least 1.
        padding: Pixels cut off each side of the output, at least 0.
        output_padding: Pixels added at the lower and right sides, 0 ≤ output_padding < stride.
        method: "auto", or a key of `lowerings.TRANSPOSED_CONVOLUTIONS`, or several keys, of which
            the first that applies is used.

    Returns:
        (N, (H - 1)·stride - 2·padding + height + output_padding, likewise for W, C_out).

    Raises:
        ConfigError: The stride, a padding or the method is invalid.
        ShapeError: The arrays do not fit, or the output would be empty.

    Example:
        >>> kernel = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
        >>> image = jnp.array([1.0, 10.0]).reshape(1, 1, 2, 1)
        >>> transposed_convolution(image, kernel, stride=2, padding=0).ravel().round()
        Array([ 3.,  2., 31., 20., 10.], dtype=float32)
    """
    geometry = Geometry(stride, padding, output_padding)
    _check("transposed_convolution", x, kernel, geometry)
    height, width = (
        (size - 1) * stride - 2 * padding + k + output_padding
        for size, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    _check_output("transposed_convolution", x, kernel, geometry, height, width)
    run = choose("transposed_convolution", TRANSPOSED_CONVOLUTIONS, method, x, kernel, geometry)
    return run(x, kernel, geometry)


class Conv(nn.Module):
    """A convolution layer with parameters `kernel` (HWIO) and, optionally, `bias` (C_out,).

    Maps (N, H, W, C_in) to (N, H', W', C_out). Parameters are float32; the layer computes in the
    input's type. `stride`, `padding`, `dilation` and `method` are those of `convolution`.

    Attributes:
        features: C_out.
        kernel_size: Side of the kernel, or (height, width), in pixels.
        kernel_init: PyTorch's initialiser by default.
        bias_init: None for PyTorch's, U(±1/√fan_in).
        spectral: Divide the kernel by its largest singular value, see
            :func:`~jaxdl.nn.spectral_norm.spectrally_normalized`.

    Example:
        >>> layer = Conv(8, 3, padding=1)
        >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 5, 5, 2)))
        >>> jax.tree.map(jnp.shape, variables["params"])
        {'bias': (8,), 'kernel': (3, 3, 2, 8)}
    """

    features: int
    kernel_size: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    use_bias: bool = True
    kernel_init: Initializer = torch_conv_init
    bias_init: Initializer | None = None
    method: str | tuple[str, ...] = "auto"
    spectral: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Applies the layer, see `convolution`; `train` matters for spectral normalisation only."""
        shape = (*_pair(self.kernel_size), x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        if self.spectral:
            kernel = spectrally_normalized(self, kernel, train)
        kernel = kernel.astype(x.dtype)
        geometry = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        y = convolution(x, kernel, **geometry, method=self.method)
        if not self.use_bias:
            return y
        bias_init = self.bias_init or torch_uniform_init(shape[0] * shape[1] * shape[2])
        return _add_bias(y, self.param("bias", bias_init, (self.features,), jnp.float32))


class ConvTranspose(nn.Module):
    """A transposed-convolution layer with parameters `kernel` (HWIO) and, optionally, `bias`.

    Maps (N, H, W, C_in) to (N, H', W', C_out). Parameters are float32; the layer computes in the
    input's type. `stride`, paddings and `method` are those of `transposed_convolution`.

    Attributes:
        features: C_out.
        kernel_size: Side of the kernel, or (height, width), in pixels.
        kernel_init: PyTorch's initialiser by default.
        bias_init: None for PyTorch's, U(±1/√fan_in) with a fan-in of height · width · C_out.

    Example:
        >>> layer = ConvTranspose(8, 4, stride=2, padding=1, use_bias=False)
        >>> x = jnp.ones((1, 4, 4, 2))
        >>> y, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x)
        >>> y.shape
        (1, 8, 8, 8)
    """

    features: int
    kernel_size: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    use_bias: bool = True
    kernel_init: Initializer = torch_conv_transpose_init
    bias_init: Initializer | None = None
    method: str | tuple[str, ...] = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the layer; see `transposed_convolution`."""
        shape = (*_pair(self.kernel_size), x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(x.dtype)
        y = transposed_convolution(
            x,
            kernel,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            method=self.method,
        )
        if not self.use_bias:
            return y
        bias_init = self.bias_init or torch_uniform_init(shape[0] * shape[1] * self.features)
        return _add_bias(y, self.param("bias", bias_init, (self.features,), jnp.float32))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _add_bias(y: jax.Array, bias: jax.Array) -> jax.Array:
    return y + bias.astype(y.dtype).reshape(1, 1, 1, -1)


def _check(name: str, x: jax.Array, kernel: jax.Array, geometry: Geometry) -> None:
    """Refuses arrays and numbers that do not make a convolution."""
    stride, padding, output_padding, dilation = geometry
    if stride < 1 or padding < 0 or dilation < 1:
        raise ConfigError(
            f"{name}: stride {stride} and dilation {dilation} must be ≥ 1 and padding {padding} ≥ 0"
        )
    if not 0 <= output_padding < stride:
        raise ConfigError(
            f"{name}: output_padding {output_padding} must be ≥ 0 and below the stride {stride}"
        )
    if x.ndim != 4 or kernel.ndim != 4:
        raise ShapeError(
            f"{name}: needs images (N, H, W, C_in) and a kernel (height, width, C_in, C_out), "
            f"got {x.shape} and {kernel.shape}"
        )
    if x.shape[3] != kernel.shape[2]:
        raise ShapeError(
            f"{name}: images {x.shape} have {x.shape[3]} channels, the kernel {kernel.shape} "
            f"takes {kernel.shape[2]}; is an array in NCHW or OIHW order?"
        )


def _check_output(
    name: str, x: jax.Array, kernel: jax.Array, geometry: Geometry, height: int, width: int
) -> None:
    if height < 1 or width < 1:
        raise ShapeError(
            f"{name}: images {x.shape} with kernel {kernel.shape} and {geometry} leave an output "
            f"of {height}×{width} pixels; use larger images or another padding"
        )
