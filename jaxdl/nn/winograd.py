r"""4×4 stride-2 convolution and its transpose with nine products where direct needs sixteen.

**Space to depth.** Pad the image by one and regard every 2×2 block of pixels as one pixel with
four times the channels: a 4×4 convolution with stride 2 and padding 1 is then *exactly* a 2×2
convolution with stride 1.

**Winograd's F(2, 2).** Two neighbouring outputs of a two-tap filter, y₀ = x₀w₀ + x₁w₁ and
y₁ = x₁w₀ + x₂w₁, need three products instead of four:

.. math::
    m_0 = (x_0 - x_1)\,w_0, \quad m_1 = x_1\,(w_0 + w_1), \quad m_2 = (x_1 - x_2)\,w_1,
    \qquad y_0 = m_0 + m_1, \quad y_1 = m_1 - m_2 .

Applied to rows and to columns, a 2×2 tile of outputs takes nine products instead of sixteen.
With channels each of the nine is a matrix product over all tiles. The transforms only add and
subtract, so float32 loses no accuracy worth the name.

**The transpose.** A transposed convolution is the adjoint of that linear map, so it is the same
three steps run backwards: the adjoint of the output transform, the nine products with transposed
matrices, the adjoint of the input transform (which adds overlapping tiles), depth to space.

References:
    S. Winograd, Arithmetic Complexity of Computations, SIAM 1980.
    A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

import jax
import jax.numpy as jnp


def winograd_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves with a 4×4 kernel, stride 2, padding 1, by Winograd's F(2×2, 2×2).

    Args:
        x: Images (N, H, W, C_in); H and W multiples of 4.
        kernel: (4, 4, C_in, C_out).

    Returns:
        (N, H/2, W/2, C_out).

    Example:
        >>> winograd_convolution(jnp.ones((1, 4, 4, 1)), jnp.ones((4, 4, 1, 1)))[0, :, :, 0]
        Array([[9., 9.],
               [9., 9.]], dtype=float32)
    """
    blocks = _space_to_depth(x)
    products = jnp.einsum(
        "ijnhwc,ijco->ijnhwo", _transform_input(blocks), _transform_kernel(kernel)
    )
    return _transform_output(products)


def winograd_transposed_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves transposedly with a 4×4 kernel, stride 2, padding 1, by Winograd's F(2×2, 2×2).

    Args:
        x: Images (N, H, W, C_in); H and W even.
        kernel: (4, 4, C_in, C_out), in the orientation of `jax.lax.conv_transpose`.

    Returns:
        (N, 2H, 2W, C_out).

    Example:
        >>> kernel = jnp.ones((4, 4, 1, 1))
        >>> winograd_transposed_convolution(jnp.ones((1, 2, 2, 1)), kernel)[0, :, :, 0]
        Array([[1., 2., 2., 1.],
               [2., 4., 4., 2.],
               [2., 4., 4., 2.],
               [1., 2., 2., 1.]], dtype=float32)
    """
    adjoint = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    shape = (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[3])
    template = jax.ShapeDtypeStruct(shape, x.dtype)
    (images,) = jax.linear_transpose(lambda y: winograd_convolution(y, adjoint), template)(x)
    return images


def _space_to_depth(x: jax.Array) -> jax.Array:
    """Pads by one and stacks 2×2 blocks in the channels: (N, H/2 + 1, W/2 + 1, 4C)."""
    n, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    blocks = padded.reshape(n, height // 2 + 1, 2, width // 2 + 1, 2, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        n, height // 2 + 1, width // 2 + 1, 4 * channels
    )


def _transform_input(blocks: jax.Array) -> jax.Array:
    """(x₀ - x₁, x₁, x₁ - x₂) along rows and columns: (3, 3, N, tiles, tiles, C)."""
    x0, x1, x2 = blocks[:, :-1:2], blocks[:, 1::2], blocks[:, 2::2]
    rows = jnp.stack([x0 - x1, x1, x1 - x2])
    x0, x1, x2 = rows[:, :, :, :-1:2], rows[:, :, :, 1::2], rows[:, :, :, 2::2]
    return jnp.stack([x0 - x1, x1, x1 - x2], axis=1)


def _transform_kernel(kernel: jax.Array) -> jax.Array:
    """(w₀, w₀ + w₁, w₁) of the space-to-depth kernel: (3, 3, 4 C_in, C_out)."""
    _, _, c_in, c_out = kernel.shape
    taps = kernel.reshape(2, 2, 2, 2, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
    w0, w1 = taps.reshape(2, 2, 4 * c_in, c_out)
    rows = jnp.stack([w0, w0 + w1, w1])
    w0, w1 = rows[:, 0], rows[:, 1]
    return jnp.stack([w0, w0 + w1, w1], axis=1)


def _transform_output(products: jax.Array) -> jax.Array:
    """(m₀ + m₁, m₁ - m₂) along rows and columns: (N, H, W, C_out)."""
    _, _, n, tile_rows, tile_columns, channels = products.shape
    m0, m1, m2 = products
    rows = jnp.stack([m0 + m1, m1 - m2], axis=3)
    m0, m1, m2 = rows
    tiles = jnp.stack([m0 + m1, m1 - m2], axis=4)
    return tiles.reshape(n, 2 * tile_rows, 2 * tile_columns, channels)
