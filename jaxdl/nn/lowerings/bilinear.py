r"""Convolutions as matrix products between linear maps.

Many ways to compute a convolution Y = X ∗ K share one form: a linear map spreads the images over
the rows of b matrices, another turns the kernel into b matrices, they are multiplied pairwise, and
a third map collects the result,

.. math::
    Y = C\,[\,S(X) \cdot M(K)\,].

Everything else follows by taking adjoints (ᵀ; gradients carry a bar):

.. math::
    \bar X = S^T[\,C^T(\bar Y) \cdot M(K)^T\,], \qquad
    \bar K = M^T[\,S(X)^T \cdot C^T(\bar Y)\,].

The first is also the transposed convolution of Ȳ, whose own gradient is the convolution again.
So three functions, `_shrink`, `_grow` and `_kernel_gradient`, are the forward and backward passes
of both, each with the same number of multiplications.

Spread images take several times the memory of the images. The backward pass recomputes them
instead of keeping them: fresh memory costs a page fault every 4 KiB, a fifth of a training step.
Because the gradients are written by hand, forward-mode differentiation (`jax.jvp`) needs
`method="lax"`; reverse mode works to any order.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
from jax import lax


class Algorithm(NamedTuple):
    """The linear maps of one way to compute a 4×4 convolution with stride 2 and padding 1.

    Large images X are (N, 2H, 2W, C), small ones Y are (N, H, W, O), kernels (4, 4, C, O). The rows
    of a matrix follow the order of the images.

    Attributes:
        spread: X -> (b, rows, K).
        spread_adjoint: ((b, rows, K), (N, 2H, 2W)) -> X.
        collect: ((b, rows, O), (N, H, W)) -> Y.
        collect_adjoint: Y -> (b, rows, O).
        transform: kernel -> (b, K, O).
        transform_adjoint: (b, K, O) -> kernel.
    """

    spread: Callable[[jax.Array], jax.Array]
    spread_adjoint: Callable[[jax.Array, tuple[int, int, int]], jax.Array]
    collect: Callable[[jax.Array, tuple[int, int, int]], jax.Array]
    collect_adjoint: Callable[[jax.Array], jax.Array]
    transform: Callable[[jax.Array], jax.Array]
    transform_adjoint: Callable[[jax.Array], jax.Array]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def bilinear_convolution(algorithm: Algorithm, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves images (N, H, W, C_in) with a kernel (4, 4, C_in, C_out), stride 2, padding 1.

    The algorithm must be able to divide the images' sides.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxdl.nn.lowerings.winograd import WINOGRAD_2
        >>> kernel = jnp.ones((4, 4, 1, 1))
        >>> convolve = jax.jit(bilinear_convolution, static_argnums=0)
        >>> convolve(WINOGRAD_2, jnp.ones((1, 4, 4, 1)), kernel)[0, :, :, 0]
        Array([[9., 9.],
               [9., 9.]], dtype=float32)
    """
    return _shrink(algorithm, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def bilinear_transposed_convolution(
    algorithm: Algorithm, x: jax.Array, kernel: jax.Array
) -> jax.Array:
    """Transposed convolution with a kernel (4, 4, C_in, C_out), stride 2, padding 1.

    Images (N, H, W, C_in), with sides the algorithm can divide, become (N, 2H, 2W, C_out). The
    kernel has the orientation of `jax.lax.conv_transpose`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxdl.nn.lowerings.winograd import WINOGRAD_2
        >>> kernel = jnp.ones((4, 4, 1, 1))
        >>> convolve = jax.jit(bilinear_transposed_convolution, static_argnums=0)
        >>> convolve(WINOGRAD_2, jnp.ones((1, 2, 2, 1)), kernel)[0, :, :, 0]
        Array([[1., 2., 2., 1.],
               [2., 4., 4., 2.],
               [2., 4., 4., 2.],
               [1., 2., 2., 1.]], dtype=float32)
    """
    return _grow(algorithm, x, _turn(kernel))


Pair = tuple[jax.Array, jax.Array]


def _convolution_forward(
    algorithm: Algorithm, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, Pair]:
    return bilinear_convolution(algorithm, x, kernel), (x, kernel)


def _convolution_backward(algorithm: Algorithm, saved: Pair, gradient: jax.Array) -> Pair:
    x, kernel = saved
    return _grow(algorithm, gradient, kernel), _kernel_gradient(algorithm, x, gradient)


def _transposed_forward(
    algorithm: Algorithm, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, Pair]:
    return bilinear_transposed_convolution(algorithm, x, kernel), (x, kernel)


def _transposed_backward(algorithm: Algorithm, saved: Pair, gradient: jax.Array) -> Pair:
    x, kernel = saved
    kernel_gradient = _kernel_gradient(algorithm, gradient, x)
    return _shrink(algorithm, gradient, _turn(kernel)), _turn(kernel_gradient)


bilinear_convolution.defvjp(_convolution_forward, _convolution_backward)
bilinear_transposed_convolution.defvjp(_transposed_forward, _transposed_backward)


def _turn(kernel: jax.Array) -> jax.Array:
    """Rotates by 180° and swaps the channels: convolution with the result is the adjoint."""
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)


def _shrink(algorithm: Algorithm, large: jax.Array, kernel: jax.Array) -> jax.Array:
    """Large images -> small: C[S(X) · M]."""
    n, height, width, _ = large.shape
    products = _batched_product(algorithm.spread(large), algorithm.transform(kernel), (2, 1))
    return algorithm.collect(products, (n, height // 2, width // 2))


def _grow(algorithm: Algorithm, small: jax.Array, kernel: jax.Array) -> jax.Array:
    """Small images -> large: Sᵀ[Cᵀ(Y) · Mᵀ]."""
    n, height, width, _ = small.shape
    rows = algorithm.collect_adjoint(small)
    products = _batched_product(rows, algorithm.transform(kernel), (2, 2))
    return algorithm.spread_adjoint(products, (n, 2 * height, 2 * width))


def _kernel_gradient(algorithm: Algorithm, large: jax.Array, small: jax.Array) -> jax.Array:
    """Large and small images -> kernel: Mᵀ[S(X)ᵀ · Cᵀ(Y)]."""
    spread, rows = algorithm.spread(large), algorithm.collect_adjoint(small)
    return algorithm.transform_adjoint(_batched_product(spread, rows, (1, 1)))


def _batched_product(a: jax.Array, b: jax.Array, axes: tuple[int, int]) -> jax.Array:
    """Product of each pair of matrices, summed over one axis of each."""
    return lax.dot_general(a, b, (((axes[0],), (axes[1],)), ((0,), (0,))))
