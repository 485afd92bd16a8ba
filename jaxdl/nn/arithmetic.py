"""Layer arithmetic on paper: output sizes, receptive fields, operation counts.

Nothing here makes an array. Images are NHWC, kernels (height, width, C_in, C_out). Counts follow
the definition of each layer: a clever lowering needs fewer products, and many machines do a
multiplication and an addition in one instruction (a multiply-add). Arguments out of range raise
ConfigError; windows and paddings that leave no output raise ShapeError.

References:
    Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning, 2016; course
    document 003, and for transposed convolution course document 000.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxdl.errors import ConfigError, ShapeError

Size = int | tuple[int, int]


class Window(NamedTuple):
    """A layer as the receptive field sees it, in pixels.

    Attributes:
        size: side of the kernel or pooling window.
        stride: step of the window.
        dilation: distance between neighbouring taps, 1 when they touch.
    """

    size: int
    stride: int = 1
    dilation: int = 1


class ReceptiveField(NamedTuple):
    """The part of the input that one output pixel sees.

    Attributes:
        size: side of the square, in input pixels.
        stride: distance between the squares of neighbouring output pixels.
    """

    size: int
    stride: int


class Cost(NamedTuple):
    """What a layer computes for a whole batch.

    Attributes:
        output_shape: batch included.
        parameters: number of trainable numbers.
        multiplications: for the batch.
        additions: for the batch, bias included.
    """

    output_shape: tuple[int, ...]
    parameters: int
    multiplications: int
    additions: int


def output_size(
    size: int, window: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    r"""Output pixels of a convolution or pooling along one axis, at least 1.

    .. math::
        \left\lfloor \frac{n + 2p - d(k - 1) - 1}{s} \right\rfloor + 1

    Args:
        size: n, input pixels.
        window: k, pixels of the kernel or pooling window.
        stride: s (pooling layers default to their window).
        padding: p, pixels added on each side.
        dilation: d, distance between neighbouring taps.

    Example:
        >>> output_size(224, 3, padding=1), output_size(64, 4, stride=2, padding=1)
        (224, 32)
    """
    _check_at_least("output_size", 1, size=size, window=window, stride=stride, dilation=dilation)
    _check_at_least("output_size", 0, padding=padding)
    room = size + 2 * padding - dilation * (window - 1) - 1
    if room < 0:
        raise ShapeError(
            f"output_size: a window of {window} with dilation {dilation} does not fit into "
            f"{size} pixels with padding {padding}"
        )
    return room // stride + 1


def transposed_output_size(
    size: int, window: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> int:
    """Output pixels of a transposed convolution along one axis: (n - 1)·s - 2p + k + p_out.

    `output_size` rounds down, so up to s input sizes share an output size; `output_padding` selects
    which of them to return to.

    Args:
        size: n, input pixels.
        window: k, pixels of the kernel.
        stride: s, distance between copies of the kernel.
        padding: p, pixels cut off each side.
        output_padding: p_out, pixels added at the far side, less than the stride.

    Example:
        >>> transposed_output_size(1, 4), transposed_output_size(32, 4, stride=2, padding=1)
        (4, 64)
    """
    _check_at_least("transposed_output_size", 1, size=size, window=window, stride=stride)
    _check_at_least("transposed_output_size", 0, padding=padding, output_padding=output_padding)
    if output_padding >= stride:
        raise ConfigError(
            f"transposed_output_size: output_padding {output_padding} must be below the stride "
            f"{stride}"
        )
    result = (size - 1) * stride - 2 * padding + window + output_padding
    if result < 1:
        raise ShapeError(
            f"transposed_output_size: padding {padding} leaves {result} pixels of a kernel of "
            f"{window} on {size} pixels"
        )
    return result


def receptive_field(layers: Sequence[Window | tuple[int, ...]]) -> ReceptiveField:
    r"""The square of input pixels that one output pixel of a stack of layers depends on.

    .. math::
        r_l = r_{l-1} + d_l (k_l - 1) \, j_{l-1}, \qquad j_l = j_{l-1} s_l, \qquad r_0 = j_0 = 1

    Args:
        layers: convolutions and poolings in order, as (size, stride, dilation); the last two
            default to 1. Pointwise layers (activations, BatchNorm) do not matter.

    Example:
        >>> receptive_field([(3,), (3,)])  # two 3×3 layers see as much as one of 5×5
        ReceptiveField(size=5, stride=1)
        >>> receptive_field([(4, 2)] * 4 + [(4, 1)])  # DCGAN's discriminator, 64 and more
        ReceptiveField(size=94, stride=16)
    """
    size = jump = 1
    for layer in layers:
        window = Window(*layer)
        _check_at_least("receptive_field", 1, **window._asdict())
        size += window.dilation * (window.size - 1) * jump
        jump *= window.stride
    return ReceptiveField(size, jump)


def convolution_cost(
    input_shape: Sequence[int],
    features: int,
    kernel_size: Size,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    use_bias: bool = True,
) -> Cost:
    """Counts a convolution: each output number is a sum of h·w·C_in products.

    That is h·w·C_in multiplications and one addition fewer, plus one for the bias. Products with
    padding zeros count. Dilation changes the output's size, not the terms of a sum.

    For the course's exercise (input [10, 3, 224, 224], 64 kernels of 3×3, stride 1, padding 1, no
    bias) the course gives 173,408,256 multiplications and 1,605,638,144 additions. Correct are
    867,041,280 and 834,928,640 for the batch, 86,704,128 and 83,492,864 per image.

    Args:
        input_shape: (N, H, W, C_in).
        features: C_out.
        kernel_size: side of the kernel, or (h, w), in pixels.

    Example:
        >>> convolution_cost((10, 224, 224, 3), 64, 3, padding=1, use_bias=False)
        Cost(output_shape=(10, 224, 224, 64), parameters=1728, multiplications=867041280,
             additions=834928640)
    """
    batch, height, width, channels = _image_shape("convolution_cost", input_shape)
    _check_at_least("convolution_cost", 1, features=features)
    window = _pair(kernel_size)
    rows, columns = (
        output_size(size, side, stride=stride, padding=padding, dilation=dilation)
        for size, side in zip((height, width), window, strict=True)
    )
    terms = window[0] * window[1] * channels
    outputs = batch * rows * columns * features
    return Cost(
        (batch, rows, columns, features),
        parameters=(terms + use_bias) * features,
        multiplications=outputs * terms,
        additions=outputs * (terms - 1 + use_bias),
    )


def transposed_convolution_cost(
    input_shape: Sequence[int],
    features: int,
    kernel_size: Size,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    use_bias: bool = True,
) -> Cost:
    """Counts a transposed convolution: each input number scales a copy of its kernels.

    Each input number takes h·w·C_out multiplications. Every product but the first at a pixel is an
    addition; a bias adds one per output. Products that the padding cuts off count, so the layer
    costs as much as the convolution it transposes. Arguments are those of `convolution_cost`.

    Example:
        >>> cost = transposed_convolution_cost(
        ...     (1, 4, 4, 512), 256, 4, stride=2, padding=1, use_bias=False)
        >>> cost.output_shape, cost.multiplications
        ((1, 8, 8, 256), 33554432)
    """
    name = "transposed_convolution_cost"
    batch, height, width, channels = _image_shape(name, input_shape)
    _check_at_least(name, 1, features=features)
    window = _pair(kernel_size)
    rows, columns = (
        transposed_output_size(
            size, side, stride=stride, padding=padding, output_padding=output_padding
        )
        for size, side in zip((height, width), window, strict=True)
    )
    products = batch * height * width * channels * window[0] * window[1] * features
    # Pixels hit by any product, before the padding is cut off: copies overlap when s < k.
    hit = math.prod(
        (size - 1) * min(stride, side) + side
        for size, side in zip((height, width), window, strict=True)
    )
    output_shape = (batch, rows, columns, features)
    return Cost(
        output_shape,
        parameters=(window[0] * window[1] * channels + use_bias) * features,
        multiplications=products,
        additions=products - batch * hit * features + use_bias * math.prod(output_shape),
    )


def dense_cost(input_shape: Sequence[int], features: int, *, use_bias: bool = True) -> Cost:
    """Counts a dense layer on (N, …, C_in): each of C_out outputs is a sum of C_in products.

    Example:
        >>> dense_cost((64, 784), 10).parameters
        7850
    """
    if len(input_shape) < 2:
        raise ShapeError(f"dense_cost needs an input shape (N, …, C_in), got {tuple(input_shape)}")
    *batch, channels = (int(size) for size in input_shape)
    _check_at_least("dense_cost", 1, features=features, channels=channels)
    outputs = math.prod(batch) * features
    return Cost(
        (*batch, features),
        parameters=(channels + use_bias) * features,
        multiplications=outputs * channels,
        additions=outputs * (channels - 1 + use_bias),
    )


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _image_shape(name: str, shape: Sequence[int]) -> tuple[int, int, int, int]:
    if len(shape) != 4 or min(shape) < 1:
        raise ShapeError(f"{name} needs an input shape (N, H, W, C_in), got {tuple(shape)}")
    return tuple(shape)


def _check_at_least(name: str, least: int, **values: int) -> None:
    for argument, value in values.items():
        if value < least:
            raise ConfigError(f"{name}: {argument} is {value}; it must be at least {least}")
