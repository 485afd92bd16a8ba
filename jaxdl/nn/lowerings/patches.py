"""A 4×4 stride-2 convolution as one product of patches and kernel (im2col).

The 4×4 patch of each output pixel becomes a row of 16·C numbers. That takes four times the memory
of the images and saves no multiplications, but for one-channel images it is the whole work: one
product with a 16×C_out matrix. The adjoint, a product followed by adding up overlapping patches,
makes a one-channel image from many channels.

Patches are assembled from space-to-depth blocks of 2×2 pixels, four per patch: four copies instead
of sixteen strided ones. See `jaxdl.nn.lowerings.bilinear` for the names.
"""

import jax
import jax.numpy as jnp
from jax.lax import optimization_barrier

from jaxdl.nn.lowerings.bilinear import Algorithm


def _spread(x: jax.Array) -> jax.Array:
    """Images -> patches (1, pixels, 16C)."""
    n, height, width, c = x.shape
    h, w = height // 2, width // 2
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    blocks = padded.reshape(n, h + 1, 2, w + 1, 2 * c).transpose(0, 1, 3, 2, 4)
    blocks = optimization_barrier(blocks.reshape(n, h + 1, w + 1, 4 * c))
    corners = [blocks[:, i : i + h, j : j + w] for i in range(2) for j in range(2)]
    return optimization_barrier(jnp.concatenate(corners, axis=3)).reshape(1, n * h * w, 16 * c)


def _spread_adjoint(matrices: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """Patches (1, pixels, 16C) -> images: each patch adds to the pixels it was cut from."""
    n, height, width = shape
    h, w, c = height // 2, width // 2, matrices.shape[2] // 16
    patches = matrices.reshape(n, h, w, 2, 2, 4 * c)
    blocks = sum(
        jnp.pad(patches[..., i, j, :], ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
        for i in range(2)
        for j in range(2)
    )
    rows = optimization_barrier(blocks).reshape(n, h + 1, w + 1, 2, 2 * c).transpose(0, 1, 3, 2, 4)
    return rows.reshape(n, height + 2, width + 2, c)[:, 1:-1, 1:-1]


def _collect(matrices: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    return matrices.reshape(*shape, -1)


def _collect_adjoint(y: jax.Array) -> jax.Array:
    # The barrier keeps XLA from fusing whatever made y into the product, which reads it transposed.
    return optimization_barrier(y).reshape(1, -1, y.shape[3])


def _transform(kernel: jax.Array) -> jax.Array:
    """Kernel -> (1, 16C, O), in the order of `_spread`: block, position in the block, channel."""
    _, _, c, o = kernel.shape
    return kernel.reshape(2, 2, 2, 2, c, o).transpose(0, 2, 1, 3, 4, 5).reshape(1, 16 * c, o)


def _transform_adjoint(matrices: jax.Array) -> jax.Array:
    """(1, 16C, O) -> kernel."""
    _, rows, o = matrices.shape
    taps = matrices.reshape(2, 2, 2, 2, rows // 16, o).transpose(0, 2, 1, 3, 4, 5)
    return taps.reshape(4, 4, rows // 16, o)


PATCHES = Algorithm(
    _spread, _spread_adjoint, _collect, _collect_adjoint, _transform, _transform_adjoint
)
