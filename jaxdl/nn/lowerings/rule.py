"""The table of lowerings and the rule that picks one.

`method="auto"` takes the first entry of `CONVOLUTIONS` or `TRANSPOSED_CONVOLUTIONS` (at the end of
this file) that is meant for the backend and applies to the arrays. `lax` applies to everything and
comes last. The order was measured on DCGAN's layers on a CPU, where XLA's own convolution is
several times slower than its matrix product. Accelerators use their libraries' convolutions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.errors import ConfigError
from jaxdl.nn.lowerings.bilinear import bilinear_convolution, bilinear_transposed_convolution
from jaxdl.nn.lowerings.patches import PATCHES
from jaxdl.nn.lowerings.winograd import WINOGRAD_2, WINOGRAD_4

_LAYOUT = ("NHWC", "HWIO", "NHWC")


class Geometry(NamedTuple):
    """How a kernel moves over an image."""

    stride: int
    padding: int
    output_padding: int = 0
    dilation: int = 1


class Lowering(NamedTuple):
    """One way to compute a convolution.

    Attributes:
        run: (x, kernel, geometry) -> output.
        applies: (x, kernel, geometry) -> whether `run` may be called.
        needs: What `applies` asks for, in words.
        backends: Where `method="auto"` may use it; empty means everywhere.
    """

    run: Callable[[jax.Array, jax.Array, Geometry], jax.Array]
    applies: Callable[[jax.Array, jax.Array, Geometry], bool]
    needs: str
    backends: tuple[str, ...] = ()


def choose(
    name: str,
    table: dict[str, Lowering],
    method: str | Sequence[str],
    x: jax.Array,
    kernel: jax.Array,
    geometry: Geometry,
) -> Callable[[jax.Array, jax.Array, Geometry], jax.Array]:
    """Returns the function of ``method`` in a table, as :func:`jaxdl.nn.convolution` describes it.

    ``name`` is the caller's, for messages.

    Raises:
        ConfigError: A method is unknown, or none applies to these arrays.
    """
    methods = (method,) if isinstance(method, str) else tuple(method)
    for one in methods:
        if one not in {"auto", *table}:
            raise ConfigError(f"{name}: unknown method {one!r}; use auto, {', '.join(table)}")
        if one == "auto":
            return _first_that_applies(table, x, kernel, geometry)
        if table[one].applies(x, kernel, geometry):
            return table[one].run
    raise ConfigError(
        f"{name}: method {methods[-1]!r} needs {table[methods[-1]].needs}; got images {x.shape}, "
        f"kernel {kernel.shape} and {geometry}; use method='auto'"
    )


def _first_that_applies(
    table: dict[str, Lowering], x: jax.Array, kernel: jax.Array, geometry: Geometry
) -> Callable[[jax.Array, jax.Array, Geometry], jax.Array]:
    backend = jax.default_backend()
    return next(
        lowering.run
        for lowering in table.values()
        if backend in (lowering.backends or (backend,)) and lowering.applies(x, kernel, geometry)
    )


def _is_4_2_1(kernel: jax.Array, geometry: Geometry) -> bool:
    return kernel.shape[:2] == (4, 4) and geometry == Geometry(stride=2, padding=1)


def _divides(x: jax.Array, tile: int) -> bool:
    return x.shape[1] % tile == 0 and x.shape[2] % tile == 0


def _ends_the_process(kernel: jax.Array, geometry: Geometry) -> bool:
    """Whether XLA's CPU convolution may abort; padding the images by hand avoids it.

    Seen with jax 0.10 for kernels with one side of 2 and the other at least 3, stride 2, padding 1
    and small images (up to 8 pixels tried): the algebraic simplifier swaps images and kernel on one
    axis only, and a check fails. It affects the convolution's gradient with respect to the images
    and the transposed convolution itself. No other of 1,860 geometries failed; this test is
    slightly wider, to be safe.
    """
    height, width = kernel.shape[:2]
    return height != width and geometry.stride > 1 and geometry.padding > 0


# Lowerings of the convolution.


def _lax_convolution(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    pixels = geometry.padding
    if _ends_the_process(kernel, geometry):
        x, pixels = jnp.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))), 0
    strides = (geometry.stride, geometry.stride)
    return lax.conv_general_dilated(
        *(x, kernel, strides, [(pixels, pixels)] * 2),
        rhs_dilation=(geometry.dilation, geometry.dilation),
        dimension_numbers=_LAYOUT,
    )


def _whole_image_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """One output pixel: a product of flattened images and flattened kernel."""
    flat = x.reshape(x.shape[0], -1) @ kernel.reshape(-1, kernel.shape[3])
    return flat.reshape(x.shape[0], 1, 1, kernel.shape[3])


def _patches(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    return bilinear_convolution(PATCHES, x, kernel)


def _winograd(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """9 products instead of 16."""
    return bilinear_convolution(WINOGRAD_2, x, kernel)


def _winograd_4(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """25 products instead of 64."""
    return bilinear_convolution(WINOGRAD_4, x, kernel)


# Lowerings of the transposed convolution.


def _lax_transposed(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """XLA's convolution of the image with zeros between its pixels."""
    cut = geometry.padding if _ends_the_process(kernel, geometry) else 0
    pixels = geometry.padding - cut
    padding = [(k - 1 - pixels, k - 1 - pixels + geometry.output_padding) for k in kernel.shape[:2]]
    strides = (geometry.stride, geometry.stride)
    y = lax.conv_transpose(x, kernel, strides, padding, dimension_numbers=_LAYOUT)
    return y[:, cut : y.shape[1] - cut, cut : y.shape[2] - cut]


def _single_pixel_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """One input pixel: a product of its channels with the rotated kernel."""
    rows, columns, channels, features = kernel.shape
    turned = kernel[::-1, ::-1].transpose(2, 0, 1, 3).reshape(channels, -1)
    return (x.reshape(-1, channels) @ turned).reshape(-1, rows, columns, features)


def _overlap_add(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """One product makes patches, which are added up."""
    return bilinear_transposed_convolution(PATCHES, x, kernel)


def _winograd_transposed(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """9 products instead of 16."""
    return bilinear_transposed_convolution(WINOGRAD_2, x, kernel)


def _winograd_4_transposed(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """25 products instead of 64."""
    return bilinear_transposed_convolution(WINOGRAD_4, x, kernel)


CONVOLUTIONS = {
    "matmul": Lowering(
        _whole_image_product,
        lambda x, kernel, geometry: x.shape[1:3] == kernel.shape[:2] and geometry.padding == 0,
        "a kernel as large as the image and no padding",
    ),
    "patches": Lowering(
        _patches,
        lambda x, kernel, geometry: (
            _is_4_2_1(kernel, geometry) and _divides(x, 2) and kernel.shape[2] <= 4
        ),
        "a 4×4 kernel, stride 2, padding 1, even image sides and at most 4 input channels",
        backends=("cpu",),
    ),
    "winograd4": Lowering(
        _winograd_4,
        lambda x, kernel, geometry: (
            _is_4_2_1(kernel, geometry)
            and _divides(x, 8)
            and min(x.shape[1:3]) >= 16
            and x.dtype.itemsize >= 4
        ),
        "a 4×4 kernel, stride 2, padding 1, float32 and image sides that are multiples of 8, ≥ 16",
        backends=("cpu",),
    ),
    "winograd": Lowering(
        _winograd,
        lambda x, kernel, geometry: _is_4_2_1(kernel, geometry) and _divides(x, 4),
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
    "overlap_add": Lowering(
        _overlap_add,
        lambda x, kernel, geometry: _is_4_2_1(kernel, geometry) and kernel.shape[3] <= 4,
        "a 4×4 kernel, stride 2, padding 1 and at most 4 output channels",
        backends=("cpu",),
    ),
    "winograd4": Lowering(
        _winograd_4_transposed,
        lambda x, kernel, geometry: (
            _is_4_2_1(kernel, geometry)
            and _divides(x, 4)
            and min(x.shape[1:3]) >= 8
            and x.dtype.itemsize >= 4
        ),
        "a 4×4 kernel, stride 2, padding 1, float32 and image sides that are multiples of 4, ≥ 8",
        backends=("cpu",),
    ),
    "winograd": Lowering(
        _winograd_transposed,
        lambda x, kernel, geometry: _is_4_2_1(kernel, geometry) and _divides(x, 2),
        "a 4×4 kernel, stride 2, padding 1 and even image sides",
        backends=("cpu",),
    ),
    "lax": Lowering(_lax_transposed, lambda x, kernel, geometry: True, "nothing"),
}
