r"""Winograd convolution: 9, or 6¼, products where a direct 4×4 stride-2 convolution takes 16.

**Space to depth.** Pad the image by one and treat every 2×2 block of pixels as one pixel with four
times the channels: a 4×4 convolution with stride 2 and padding 1 is then *exactly* a 2×2
convolution with stride 1.

**F(m, 2).** A two-tap filter w turns m + 1 inputs d into m outputs y. Direct computation takes 2m
products; as y = A[(D d) ⊙ (G w)] it takes m + 1. For m = 2,

.. math::
    y_0 = (d_0 - d_1)\,w_0 + d_1\,(w_0 + w_1), \qquad y_1 = d_1\,(w_0 + w_1) - (d_1 - d_2)\,w_1 ,

which only adds and subtracts. F(4, 2) treats filter and outputs as coefficients of polynomials,
multiplies their values at the points 0, 1, -1, 2 and ∞, and interpolates (Toom and Cook); its
larger coefficients multiply the rounding error by about five (2e-6 of the values in float32).

Applied to rows and columns, an m×m tile of outputs takes (m + 1)² products: 9 instead of 16 for
m = 2, 25 instead of 64 for m = 4. With channels, each product is a matrix product over all tiles.

**On a CPU** these matrices are the pairs of `.bilinear`. The linear maps are memory-bound, so their
shapes suit XLA's loops: axes are split only in front of the last one, two pixels wide (2C adjacent
numbers), and reordered only where an array is written anyway. An `optimization_barrier` ends each
loop. Without it XLA fuses a following reshape or sum into the loop, which then divides to find an
index for every number and takes up to three times as long.

References:
    S. Winograd, Arithmetic Complexity of Computations, SIAM, 1980.
    A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR, 2016.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import index_in_dim, optimization_barrier, slice_in_dim

from jaxdl.nn.lowerings.bilinear import Algorithm

Matrix = tuple[tuple[float, ...], ...]


class Matrices(NamedTuple):
    """F(m, 2): y = outputs[(inputs · d) ⊙ (taps · w)] for m + 1 inputs, two taps, m outputs."""

    inputs: Matrix
    taps: Matrix
    outputs: Matrix

    @property
    def tile(self) -> int:
        """m, the number of outputs."""
        return len(self.outputs)

    @property
    def products(self) -> int:
        """Number of products and of inputs, m + 1."""
        return len(self.inputs)


F_2 = Matrices(
    inputs=((1, -1, 0), (0, 1, 0), (0, 1, -1)),
    taps=((1, 0), (1, 1), (0, 1)),
    outputs=((1, 1, 0), (0, 1, -1)),
)
F_4 = Matrices(
    inputs=(
        (2, -1, -2, 1, 0),
        (0, -2, -1, 1, 0),
        (0, 2, -3, 1, 0),
        (0, -1, 0, 1, 0),
        (0, 2, -1, -2, 1),
    ),
    taps=((1 / 2, 0), (-1 / 2, -1 / 2), (-1 / 6, 1 / 6), (1 / 6, 1 / 3), (0, 1)),
    outputs=((1, 1, 1, 1, 0), (0, 1, -1, 2, 0), (0, 1, 1, 4, 0), (0, 1, -1, 8, 1)),
)


def _combine(matrix: Matrix, terms: Sequence[jax.Array]) -> list[jax.Array]:
    """Product of a small matrix with a vector of arrays, skipping zeros and ones."""
    return [
        sum(
            (term if weight == 1 else -term if weight == -1 else weight * term)
            for weight, term in zip(row, terms, strict=True)
            if weight
        )
        for row in matrix
    ]


def _transpose(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _unstack(x: jax.Array, axis: int) -> list[jax.Array]:
    return [index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis])]


def _spread(f: Matrices, x: jax.Array) -> jax.Array:
    """Images -> `inputs` along columns and rows of every tile: ((m + 1)², tiles, 4C)."""
    n, height, width, c = x.shape
    m, t, u = f.tile, height // (2 * f.tile), width // (2 * f.tile)
    # Pad one pixel in front, and a whole tile behind, of which only the first input is used.
    edge = (1, 2 * m - 1)
    padded = optimization_barrier(jnp.pad(x, ((0, 0), edge, edge, (0, 0))))
    blocks = padded.reshape(n, t + 1, m, 2, u + 1, m, 2 * c)
    columns = jnp.stack(_combine(f.inputs, _tile_inputs(blocks, 4)))
    columns = optimization_barrier(columns.transpose(0, 1, 2, 3, 5, 4, 6))
    tiles = jnp.stack(_combine(f.inputs, _tile_inputs(columns, 2)), axis=1)
    return optimization_barrier(tiles).reshape(f.products**2, n * t * u, 4 * c)


def _tile_inputs(x: jax.Array, axis: int) -> list[jax.Array]:
    """The m + 1 inputs of each tile along `axis`: its own m and the first of the next tile."""
    own = _unstack(x, axis + 1)
    tiles = x.shape[axis] - 1
    next_first = slice_in_dim(own[0], 1, tiles + 1, axis=axis)
    return [*(slice_in_dim(z, 0, tiles, axis=axis) for z in own), next_first]


def _spread_adjoint(f: Matrices, matrices: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """((m + 1)², tiles, 4C) -> images: each tile adds to the pixels it was made from."""
    n, height, width = shape
    m, t, u, c = f.tile, height // (2 * f.tile), width // (2 * f.tile), matrices.shape[2] // 4
    tiles = matrices.reshape(f.products, f.products, n, t, u, 2, 2 * c)
    rows = _overlap(_combine(_transpose(f.inputs), _unstack(tiles, 1)), axis=2)
    rows = optimization_barrier(rows.transpose(0, 1, 2, 3, 5, 4, 6))
    blocks = _overlap(_combine(_transpose(f.inputs), _unstack(rows, 0)), axis=4)
    padded = optimization_barrier(blocks).reshape(n, height + 2 * m, width + 2 * m, c)
    return padded[:, 1 : height + 1, 1 : width + 1]


def _overlap(inputs: list[jax.Array], axis: int) -> jax.Array:
    """Adjoint of `_tile_inputs`."""
    *own, next_first = inputs
    behind, before = ([(0, 0)] * next_first.ndim for _ in range(2))
    behind[axis], before[axis] = (0, 1), (1, 0)
    first, *others = (jnp.pad(z, behind) for z in own)
    return jnp.stack([first + jnp.pad(next_first, before), *others], axis + 1)


def _collect(f: Matrices, matrices: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """((m + 1)², tiles, C) -> `outputs` along columns and rows of every tile: images."""
    n, height, width = shape
    m = f.tile
    products = matrices.reshape(f.products, f.products, n, height // m, width // m, -1)
    columns = _stage(f, _combine(f.outputs, _unstack(products, 0)))
    rows = [jnp.stack(_combine(f.outputs, _unstack(column, 0)), axis=2) for column in columns]
    return optimization_barrier(jnp.stack(rows, axis=4)).reshape(n, height, width, -1)


def _collect_adjoint(f: Matrices, y: jax.Array) -> jax.Array:
    """Images -> the adjoint of `outputs` along columns and rows: ((m + 1)², tiles, C)."""
    n, height, width, c = y.shape
    m, t, u = f.tile, height // f.tile, width // f.tile
    tiles = y.reshape(n, t, m, u, m, c)
    columns = _stage(f, jnp.stack(_combine(_transpose(f.outputs), _unstack(tiles, 4))))
    rows = jnp.stack(_combine(_transpose(f.outputs), _unstack(columns, 3)), axis=1)
    return optimization_barrier(rows).reshape(f.products**2, n * t * u, c)


def _transform(f: Matrices, kernel: jax.Array) -> jax.Array:
    """Kernel -> `taps` along columns and rows: ((m + 1)², 4C, O)."""
    _, _, c, o = kernel.shape
    taps = kernel.reshape(2, 2, 2, 2, c, o)  # tap and position in the block, by row and column
    columns = _stage(f, jnp.stack(_combine(f.taps, _unstack(taps, 2))))
    rows = jnp.stack(_combine(f.taps, _unstack(columns, 1)), axis=1)
    return optimization_barrier(rows).reshape(f.products**2, 4 * c, o)


def _transform_adjoint(f: Matrices, matrices: jax.Array) -> jax.Array:
    """((m + 1)², 4C, O) -> kernel."""
    _, rows, o = matrices.shape
    c = rows // 4
    products = matrices.reshape(f.products, f.products, 2, 2, c, o)
    columns = jnp.stack(_combine(_transpose(f.taps), _unstack(products, 1)), axis=1)
    columns = _stage(f, columns)
    taps = jnp.stack(_combine(_transpose(f.taps), _unstack(columns, 0)), axis=2)
    return optimization_barrier(taps).reshape(4, 4, c, o)


def _stage(f: Matrices, columns: Any) -> Any:
    """Ends the loop over columns, unless repeating its few additions for each row is cheaper."""
    return columns if f.tile == 2 else optimization_barrier(columns)


def _algorithm(f: Matrices) -> Algorithm:
    maps = _spread, _spread_adjoint, _collect, _collect_adjoint, _transform, _transform_adjoint
    return Algorithm(*(partial(linear_map, f) for linear_map in maps))


WINOGRAD_2 = _algorithm(F_2)
WINOGRAD_4 = _algorithm(F_4)
