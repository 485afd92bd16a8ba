"""TinyNet: two convolutions and a dense layer on 8×8 images, and the course's interface to it.

Internally everything is NHWC, as elsewhere in the library. :func:`forward`, :func:`backward` and
:func:`train_one_iter` are the interface to the course's exercise: images (B, 3, 8, 8), kernels
(C_out, C_in, 3, 3), W_fc (48, 10), arrays in its order. The layout changes inside the
differentiated function, so gradients come out in the course's layout without any manual
differentiation.

The course's text gives the second pooling stride 1; its code, and the 2×2 maps it describes, have
stride 2.

References:
    course document 004, levels 6, 7 and 8.
"""

from typing import NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl import losses, nn
from jaxdl.errors import ShapeError


class TinyNet(linen.Module):
    """Convolution, ReLU, pooling, twice; flattened in C, H, W order; dense.

    Example:
        >>> first = jax.jit(TinyNet().init_with_output, static_argnames="train")
        >>> logits, variables = first(jax.random.key(0), jnp.zeros((2, 8, 8, 3)), train=False)
        >>> logits.shape
        (2, 10)
    """

    num_classes: int = 10

    @linen.compact
    def __call__(self, x: jax.Array, *, train: bool, axis_name: str | None = None) -> jax.Array:
        """Maps images (N, 8, 8, 3) to logits (N, num_classes).

        ``train`` and ``axis_name`` have no effect.
        """
        if x.ndim != 4 or x.shape[1:] != (8, 8, 3):
            raise ShapeError(f"images have shape {x.shape}; expected (N, 8, 8, 3)")
        for layer, features in ((1, 6), (2, 12)):
            x = nn.relu(nn.Conv(features, kernel_size=3, padding=1, name=f"conv_{layer}")(x))
            x = nn.max_pool(x, 2)
        flat = x.transpose(0, 3, 1, 2).reshape(x.shape[0], 48)
        return nn.Dense(self.num_classes, name="dense_1")(flat)


class TinyNetWeights(NamedTuple):
    """The six arrays in the course's order and layout; gradients have the same form."""

    W_conv1: ArrayLike
    b_conv1: ArrayLike
    W_conv2: ArrayLike
    b_conv2: ArrayLike
    W_fc: ArrayLike
    b_fc: ArrayLike


_SHAPES = TinyNetWeights((6, 3, 3, 3), (6,), (12, 6, 3, 3), (12,), (48, 10), (10,))


def forward(
    weights: TinyNetWeights, x: ArrayLike, labels: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """Logits (B, 10) and mean softmax cross-entropy, a scalar.

    Args:
        weights: kernels (6, 3, 3, 3) and (12, 6, 3, 3), W_fc (48, 10), and biases.
        x: images (B, 3, 8, 8).
        labels: classes (B,), or one-hot (B, 10) of a floating type.

    Raises:
        ShapeError: an array has another shape.
        DataError: a label is out of range.

    Example:
        >>> weights = TinyNetWeights(*(jnp.zeros(shape) for shape in _SHAPES))
        >>> logits, loss = forward(weights, jnp.zeros((2, 3, 8, 8)), jnp.array([1, 2]))
        >>> logits.shape, round(float(loss), 4)
        ((2, 10), 2.3026)
    """
    weights, x = _checked(weights, x)
    logits = TinyNet().apply(_variables(weights), x.transpose(0, 2, 3, 1), train=True)
    return logits, losses.cross_entropy(logits, labels, reduction="mean")


def backward(weights: TinyNetWeights, x: ArrayLike, labels: ArrayLike) -> TinyNetWeights:
    """Gradients of the loss: dW_conv1, db_conv1, dW_conv2, db_conv2, dW_fc, db_fc.

    Arguments and errors are those of :func:`forward`.

    Example:
        >>> weights = TinyNetWeights(*(jnp.zeros(shape) for shape in _SHAPES))
        >>> gradients = jax.jit(backward)(weights, jnp.zeros((1, 3, 8, 8)), jnp.array([0]))
        >>> [round(g, 3) for g in gradients.b_fc[:3].tolist()]
        [-0.9, 0.1, 0.1]
    """
    weights, x = _checked(weights, x)
    return jax.grad(lambda w: forward(w, x, labels)[1])(weights)


def train_one_iter(
    W_conv1: ArrayLike,
    b_conv1: ArrayLike,
    W_conv2: ArrayLike,
    b_conv2: ArrayLike,
    W_fc: ArrayLike,
    b_fc: ArrayLike,
    x: ArrayLike,
    labels: ArrayLike,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> TinyNetWeights:
    r"""One step of gradient descent with L2 regularisation.

    .. math:: w \leftarrow w - \eta\,(\nabla_w L + \lambda w)

    η is ``learning_rate``, λ ``weight_decay``, typically 1e-5. λ acts on biases too, as in the
    course's text; its code leaves λ out altogether. The arrays are those of :func:`forward`, passed
    one by one as the course does, and the new ones return in the same order.

    Example:
        >>> weights = TinyNetWeights(*(jnp.ones(shape) for shape in _SHAPES))
        >>> images, labels = jnp.ones((1, 3, 8, 8)), jnp.array([3])
        >>> new = jax.jit(train_one_iter)(*weights, images, labels, 0.1, weight_decay=1e-5)
        >>> [array.shape == shape for array, shape in zip(new, _SHAPES)]
        [True, True, True, True, True, True]
    """
    weights = TinyNetWeights(W_conv1, b_conv1, W_conv2, b_conv2, W_fc, b_fc)
    gradients = backward(weights, x, labels)
    return jax.tree.map(
        lambda w, g: jnp.asarray(w) - learning_rate * (g + weight_decay * jnp.asarray(w)),
        weights,
        gradients,
    )


def _variables(weights: TinyNetWeights) -> dict:
    """The module's variables, with kernels transposed from OIHW to HWIO."""
    conv1, conv2 = (w.transpose(2, 3, 1, 0) for w in (weights.W_conv1, weights.W_conv2))
    return {
        "params": {
            "conv_1": {"kernel": conv1, "bias": weights.b_conv1},
            "conv_2": {"kernel": conv2, "bias": weights.b_conv2},
            "dense_1": {"kernel": weights.W_fc, "bias": weights.b_fc},
        }
    }


def _checked(weights: TinyNetWeights, x: ArrayLike) -> tuple[TinyNetWeights, jax.Array]:
    """Converts the arrays to floating point; ShapeError names one that does not fit."""
    weights = TinyNetWeights(*(jnp.asarray(w, jnp.result_type(float)) for w in weights))
    for name, array, shape in zip(TinyNetWeights._fields, weights, _SHAPES, strict=True):
        if array.shape != shape:
            raise ShapeError(f"TinyNet's {name} has shape {array.shape}; expected {shape}")
    x = jnp.asarray(x, jnp.result_type(float))
    if x.ndim != 4 or x.shape[1:] != (3, 8, 8):
        raise ShapeError(f"TinyNet's images have shape {x.shape}; expected (B, 3, 8, 8)")
    return weights, x
