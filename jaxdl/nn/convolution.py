"""Two-dimensional convolution and transposed convolution, each computed the fastest known way.

A *lowering* is one way to compute the same numbers. Which one `method="auto"` takes is read off
the tables at the end of the module (`CONVOLUTIONS`, `TRANSPOSED_CONVOLUTIONS`): the first entry
for this backend that applies to the shapes. `lax` applies to everything and comes last. The order
was found by measurement of the DCGAN layers: XLA's own convolution is several times slower than
its matrix product on a CPU, and the best choice on a GPU.

Images are NHWC, kernels HWIO; convolution is what deep learning calls so (cross-correlation, no
flip), and padding is zeros, the same number on all four sides, as in PyTorch.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.nn.initializers import torch_conv, torch_conv_transpose, torch_uniform
from jaxdl.nn.winograd import winograd_convolution, winograd_transposed_convolution

_LAYOUT = ("NHWC", "HWIO", "NHWC")


class Geometry(NamedTuple):
    """How a kernel moves over an image."""

    stride: int
    padding: int
    output_padding: int = 0


class Lowering(NamedTuple):
    """One way to compute a convolution.

    Attributes:
        run: (x, kernel, geometry) -> output.
        applies: (x, kernel, geometry) -> whether `run` may be called.
        needs: What `applies` asks for, in words.
        backends: Where `method="auto"` may take it; empty means everywhere.
    """

    run: Callable[[jax.Array, jax.Array, Geometry], jax.Array]
    applies: Callable[[jax.Array, jax.Array, Geometry], bool]
    needs: str
    backends: tuple[str, ...] = ()


def convolution(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: int = 0, method: str = "auto"
) -> jax.Array:
    r"""Convolves images with a kernel, like PyTorch's `conv2d`.

    .. math::
        y_{n,i,j,o} = \sum_{a,b,c} x^{pad}_{n,\,si+a,\,sj+b,\,c}\; k_{a,b,c,o}

    Args:
        x: Images (N, H, W, C_in).
        kernel: (height, width, C_in, C_out).
        stride: Step of the kernel, in pixels, at least 1.
        padding: Zeros added on each side, in pixels, at least 0.
        method: "auto", or the name of an entry of `CONVOLUTIONS`.

    Returns:
        (N, (H + 2·padding - height) // stride + 1, likewise for W, C_out).

    Raises:
        ConfigError: The stride, the padding or the method is unusable.
        ShapeError: The arrays do not belong together, or nothing would be left of the image.

    Example:
        >>> edge = jnp.array([1.0, -1.0]).reshape(1, 2, 1, 1)
        >>> image = jnp.array([0.0, 0.0, 1.0, 1.0]).reshape(1, 1, 4, 1)
        >>> convolution(image, edge).ravel()
        Array([ 0., -1.,  0.], dtype=float32)
    """
    geometry = Geometry(stride, padding)
    _check("convolution", x, kernel, geometry)
    height, width = (
        (size + 2 * padding - k) // stride + 1
        for size, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    _check_output("convolution", x, kernel, geometry, height, width)
    return _choose("convolution", CONVOLUTIONS, method, x, kernel, geometry)(x, kernel, geometry)


def transposed_convolution(
    x: jax.Array,
    kernel: jax.Array,
    *,
    stride: int,
    padding: int,
    output_padding: int = 0,
    method: str = "auto",
) -> jax.Array:
    r"""Convolves images transposedly (fractionally strided), like PyTorch's `conv_transpose2d`.

    Every input pixel adds a copy of the kernel, scaled by its value, to the output, `stride`
    pixels apart; then `padding` pixels are cut off each side. In the orientation used here, that
    of `flax.linen.ConvTranspose`, the copy is of the kernel turned by 180°:

    .. math::
        y_{n,\,si+p',\,sj+q',\,o} \mathrel{+}= x_{n,i,j,c}\; k_{h-1-p,\,w-1-q,\,c,\,o},
        \qquad p' = p - padding, \; q' = q - padding

    A PyTorch weight W (C_in, C_out, h, w) becomes `W.transpose(2, 3, 0, 1)[::-1, ::-1]`.

    Args:
        x: Images (N, H, W, C_in).
        kernel: (height, width, C_in, C_out).
        stride: Distance between two copies, in pixels, at least 1.
        padding: Pixels cut off each side of the output, at least 0.
        output_padding: Pixels added at the lower and right side, 0 ≤ output_padding < stride.
        method: "auto", or the name of an entry of `TRANSPOSED_CONVOLUTIONS`.

    Returns:
        (N, (H - 1)·stride - 2·padding + height + output_padding, likewise for W, C_out).

    Raises:
        ConfigError: The stride, a padding or the method is unusable.
        ShapeError: The arrays do not belong together, or nothing would be left of the image.

    Example:
        >>> kernel = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
        >>> image = jnp.array([1.0, 10.0]).reshape(1, 1, 2, 1)
        >>> transposed_convolution(image, kernel, stride=2, padding=0).ravel()
        Array([ 3.,  2., 31., 20., 10.], dtype=float32)
    """
    geometry = Geometry(stride, padding, output_padding)
    _check("transposed_convolution", x, kernel, geometry)
    height, width = (
        (size - 1) * stride - 2 * padding + k + output_padding
        for size, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)
    )
    _check_output("transposed_convolution", x, kernel, geometry, height, width)
    run = _choose("transposed_convolution", TRANSPOSED_CONVOLUTIONS, method, x, kernel, geometry)
    return run(x, kernel, geometry)


class Conv(nn.Module):
    """A convolution layer: parameters `kernel` (HWIO) and, if asked for, `bias` (C_out,).

    The parameters are float32; the layer computes in the input's type.

    Attributes:
        features: C_out.
        kernel_size: Side of the kernel, or (height, width), in pixels.
        stride: See `convolution`.
        padding: See `convolution`.
        use_bias: Whether to add a bias.
        kernel_init: Initialiser of the kernel; PyTorch's by default.
        bias_init: Initialiser of the bias; None for PyTorch's, U(±1/√fan_in).
        method: See `convolution`.

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
    use_bias: bool = True
    kernel_init: Initializer = torch_conv
    bias_init: Initializer | None = None
    method: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, H, W, C_in) to (N, H', W', C_out); see `convolution`."""
        shape = (*_pair(self.kernel_size), x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32).astype(x.dtype)
        y = convolution(x, kernel, stride=self.stride, padding=self.padding, method=self.method)
        if not self.use_bias:
            return y
        bias_init = self.bias_init or torch_uniform(shape[0] * shape[1] * shape[2])
        return _add_bias(y, self.param("bias", bias_init, (self.features,), jnp.float32))


class ConvTranspose(nn.Module):
    """A transposed-convolution layer: parameters `kernel` (HWIO) and, if asked for, `bias`.

    The parameters are float32; the layer computes in the input's type.

    Attributes:
        features: C_out.
        kernel_size: Side of the kernel, or (height, width), in pixels.
        stride: See `transposed_convolution`.
        padding: See `transposed_convolution`.
        output_padding: See `transposed_convolution`.
        use_bias: Whether to add a bias.
        kernel_init: Initialiser of the kernel; PyTorch's by default.
        bias_init: Initialiser of the bias; None for PyTorch's, U(±1/√fan_in) with a fan-in of
            height · width · C_out.
        method: See `transposed_convolution`.

    Example:
        >>> layer = ConvTranspose(8, 4, stride=2, padding=1, use_bias=False)
        >>> x = jnp.ones((1, 4, 4, 2))
        >>> layer.apply(layer.init(jax.random.key(0), x), x).shape
        (1, 8, 8, 8)
    """

    features: int
    kernel_size: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    output_padding: int = 0
    use_bias: bool = True
    kernel_init: Initializer = torch_conv_transpose
    bias_init: Initializer | None = None
    method: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (N, H, W, C_in) to (N, H', W', C_out); see `transposed_convolution`."""
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
        bias_init = self.bias_init or torch_uniform(shape[0] * shape[1] * self.features)
        return _add_bias(y, self.param("bias", bias_init, (self.features,), jnp.float32))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _add_bias(y: jax.Array, bias: jax.Array) -> jax.Array:
    return y + bias.astype(y.dtype).reshape(1, 1, 1, -1)


def _check(name: str, x: jax.Array, kernel: jax.Array, geometry: Geometry) -> None:
    """Refuses arrays and numbers that make no convolution."""
    stride, padding, output_padding = geometry
    if stride < 1 or padding < 0:
        raise ConfigError(f"{name}: stride {stride} must be ≥ 1 and padding {padding} ≥ 0")
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
    """Refuses an output without pixels."""
    if height < 1 or width < 1:
        raise ShapeError(
            f"{name}: images {x.shape} with kernel {kernel.shape} and {geometry} leave an output "
            f"of {height}×{width} pixels; use larger images or another padding"
        )


def _choose(
    name: str,
    table: dict[str, Lowering],
    method: str,
    x: jax.Array,
    kernel: jax.Array,
    geometry: Geometry,
) -> Callable[[jax.Array, jax.Array, Geometry], jax.Array]:
    """Looks up the method asked for, or the first that applies."""
    if method == "auto":
        backend = jax.default_backend()
        return next(
            lowering.run
            for lowering in table.values()
            if backend in (lowering.backends or (backend,))
            and lowering.applies(x, kernel, geometry)
        )
    if method not in table:
        raise ConfigError(f"{name}: unknown method {method!r}; use auto, {', '.join(table)}")
    if not table[method].applies(x, kernel, geometry):
        raise ConfigError(
            f"{name}: method {method!r} needs {table[method].needs}; got images {x.shape}, "
            f"kernel {kernel.shape} and {geometry}; use method='auto'"
        )
    return table[method].run


def _is_4_2_1(kernel: jax.Array, geometry: Geometry) -> bool:
    return kernel.shape[:2] == (4, 4) and geometry == Geometry(stride=2, padding=1)


# Lowerings of the convolution.


def _lax_convolution(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """XLA's own convolution."""
    padding = [(geometry.padding, geometry.padding)] * 2
    strides = (geometry.stride, geometry.stride)
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT)


def _whole_image_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """One output pixel: a matrix product of flattened images and flattened kernel."""
    flat = x.reshape(x.shape[0], -1) @ kernel.reshape(-1, kernel.shape[3])
    return flat.reshape(x.shape[0], 1, 1, kernel.shape[3])


def _patches_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """A matrix product of the patches under the kernel (im2col) and the flattened kernel."""
    rows, columns, _, features = kernel.shape
    stride, padding = geometry.stride, geometry.padding
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    height = (x.shape[1] - rows) // stride + 1
    width = (x.shape[2] - columns) // stride + 1
    patches = jnp.concatenate(
        [
            x[
                :,
                i : i + stride * (height - 1) + 1 : stride,
                j : j + stride * (width - 1) + 1 : stride,
            ]
            for i in range(rows)
            for j in range(columns)
        ],
        axis=3,
    )
    return patches @ kernel.reshape(-1, features)


def _winograd(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Nine products for sixteen; see `jaxdl.nn.winograd`."""
    return winograd_convolution(x, kernel)


# Lowerings of the transposed convolution.


def _lax_transposed(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """XLA's convolution of the image with zeros between its pixels."""
    padding = [
        (k - 1 - geometry.padding, k - 1 - geometry.padding + geometry.output_padding)
        for k in kernel.shape[:2]
    ]
    strides = (geometry.stride, geometry.stride)
    return lax.conv_transpose(x, kernel, strides, padding, dimension_numbers=_LAYOUT)


def _single_pixel_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """One input pixel: a matrix product of its channels with the kernel turned by 180°."""
    rows, columns, channels, features = kernel.shape
    turned = kernel[::-1, ::-1].transpose(2, 0, 1, 3).reshape(channels, -1)
    return (x.reshape(-1, channels) @ turned).reshape(-1, rows, columns, features)


def _phases(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Every 2×2 block of outputs from the 3×3 inputs around it: one product, no zeros between.

    Along one axis out[2y] = x[y-1]·k[0] + x[y]·k[2] and out[2y+1] = x[y]·k[1] + x[y+1]·k[3], so
    output phase a has, over the three inputs, the taps k[0], k[2], 0 or 0, k[1], k[3].
    """
    n, height, width, _ = x.shape
    features = kernel.shape[3]
    taps = _phase_taps(_phase_taps(kernel, 0), 2).transpose(0, 2, 4, 1, 3, 5)
    patches = _patches_product(
        x, taps.reshape(3, 3, x.shape[3], 4 * features), Geometry(stride=1, padding=1)
    )
    blocks = patches.reshape(n, height, width, 2, 2, features).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, 2 * height, 2 * width, features)


def _phase_taps(kernel: jax.Array, axis: int) -> jax.Array:
    """Splits an axis of four taps into (three inputs, two phases)."""
    k0, k1, k2, k3 = jnp.moveaxis(kernel, axis, 0)
    zero = jnp.zeros_like(k0)
    taps = jnp.stack([jnp.stack([k0, zero]), jnp.stack([k2, k1]), jnp.stack([zero, k3])])
    return jnp.moveaxis(taps, (0, 1), (axis, axis + 1))


def _winograd_transposed(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Nine products for sixteen; see `jaxdl.nn.winograd`."""
    return winograd_transposed_convolution(x, kernel)


CONVOLUTIONS = {
    "matmul": Lowering(
        _whole_image_product,
        lambda x, kernel, geometry: x.shape[1:3] == kernel.shape[:2] and geometry.padding == 0,
        "a kernel as large as the image and no padding",
    ),
    "patches": Lowering(
        _patches_product,
        lambda x, kernel, geometry: kernel.shape[2] <= 4,
        "at most 4 input channels",
        backends=("cpu",),
    ),
    "winograd": Lowering(
        _winograd,
        lambda x, kernel, geometry: (
            _is_4_2_1(kernel, geometry) and x.shape[1] % 4 == 0 and x.shape[2] % 4 == 0
        ),
        "a 4×4 kernel, stride 2, padding 1 and image sides that are multiples of 4",
        backends=("cpu",),
    ),
    "lax": Lowering(_lax_convolution, lambda x, kernel, geometry: True, "nothing"),
}

TRANSPOSED_CONVOLUTIONS = {
    "matmul": Lowering(
        _single_pixel_product,
        lambda x, kernel, geometry: (
            x.shape[1:3] == (1, 1) and geometry.padding == geometry.output_padding == 0
        ),
        "images of one pixel and no padding",
    ),
    "phases": Lowering(
        _phases,
        lambda x, kernel, geometry: _is_4_2_1(kernel, geometry) and kernel.shape[3] <= 4,
        "a 4×4 kernel, stride 2, padding 1 and at most 4 output channels",
        backends=("cpu",),
    ),
    "winograd": Lowering(
        _winograd_transposed,
        lambda x, kernel, geometry: (
            _is_4_2_1(kernel, geometry) and x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0
        ),
        "a 4×4 kernel, stride 2, padding 1 and even image sides",
        backends=("cpu",),
    ),
    "lax": Lowering(_lax_transposed, lambda x, kernel, geometry: True, "nothing"),
}
