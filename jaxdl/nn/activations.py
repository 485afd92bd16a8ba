"""Activation functions, with PyTorch's values and slopes at the kinks.

They take arrays of any shape and type (integers become the default float) and return the same
shape and floating type. For finite inputs neither values nor gradients overflow or become NaN, and
slopes keep their digits far from 0. At ±∞ they take their limits; NaN stays NaN. A missing axis
raises ShapeError.

References:
    course document 002 and course document 004, levels 1 to 4.
"""

from collections.abc import Callable

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError, ShapeError


def sigmoid(x: jax.Array) -> jax.Array:
    """Logistic function σ(x) = 1 / (1 + e⁻ˣ), with σ′ = σ(1 - σ).

    Example:
        >>> print(sigmoid(jnp.array([-1e4, 0.0, 1e4])))
        [0.  0.5 1. ]
    """
    return _sigmoid(_floating(x))


@jax.custom_jvp
def _sigmoid(x: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(x)


# Not σ(1 - σ): σ rounds to 1 from x = 17 on.
_sigmoid.defjvps(lambda dx, y, x: dx * (y * jax.nn.sigmoid(-x)))


def tanh(x: jax.Array) -> jax.Array:
    """Hyperbolic tangent (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ), with tanh′ = 1 - tanh².

    The formula itself, which the course uses, gives ∞/∞ = NaN in float32 from about x = 89.

    Example:
        >>> print(tanh(jnp.array([-1e4, 0.0, 1e4])))
        [-1.  0.  1.]
    """
    return _tanh(_floating(x))


@jax.custom_jvp
def _tanh(x: jax.Array) -> jax.Array:
    return jnp.tanh(x)


def _tanh_slope(dx: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    # 1 - tanh² is as accurate for small tanh, but 0 from x = 9 on, where tanh rounds to 1.
    far = 4 * jax.nn.sigmoid(2 * x) * jax.nn.sigmoid(-2 * x)
    return jnp.where(jnp.abs(y) < 0.5, (dx + dx * y) * (1 - y), dx * far)


_tanh.defjvps(_tanh_slope)


def relu(x: jax.Array) -> jax.Array:
    """Rectified linear unit max(x, 0); the slope at 0 is 0.

    Example:
        >>> print(relu(jnp.array([-2.0, 0.0, 2.0])))
        [0. 0. 2.]
    """
    return jax.nn.relu(_floating(x))


def leaky_relu(x: jax.Array, negative_slope: float = 0.01) -> jax.Array:
    """Leaky rectifier: x where x > 0, negative_slope · x elsewhere.

    The slope at 0 is `negative_slope`, as in PyTorch; `jax.nn.leaky_relu` has 1 there. The course's
    formula has 0.1, its code PyTorch's default of 0.01; DCGAN uses 0.2.

    Example:
        >>> print(leaky_relu(jnp.array([-2.0, 0.0, 2.0]), 0.2))
        [-0.4  0.   2. ]

    References:
        Maas, Hannun and Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013.
    """
    x = _floating(x)
    return jnp.where(x > 0, x, negative_slope * x)


def elu(x: jax.Array, alpha: float = 1.0) -> jax.Array:
    """Exponential linear unit: x where x > 0, alpha · (eˣ - 1) elsewhere; the slope at 0 is alpha.

    Example:
        >>> print(elu(jnp.array([-1e4, 0.0, 2.0]), alpha=0.5))
        [-0.5  0.   2. ]

    References:
        Clevert, Unterthiner and Hochreiter, Fast and Accurate Deep Network Learning by ELUs, 2016.
    """
    x = _floating(x)
    return jnp.where(x > 0, x, alpha * _expm1(jnp.where(x > 0, 0, x)))


@jax.custom_jvp
def _expm1(x: jax.Array) -> jax.Array:
    return jnp.expm1(x)


# Not expm1(x) + 1, as in JAX: that loses every digit of e⁻²⁰.
_expm1.defjvps(lambda dx, y, x: dx * jnp.exp(x))


def step(x: jax.Array) -> jax.Array:
    """Heaviside step: 1 where x > 0, else 0; the gradient is 0 everywhere.

    step(0) = 0 is the course's convention: it makes an M-P neuron with weights (1/2, 1/2) and bias
    -1/2 an AND gate. Other books set step(0) to 1 or 1/2.

    Example:
        >>> print(step(jnp.array([-2.0, 0.0, 2.0])))
        [0. 0. 1.]

    References:
        McCulloch and Pitts, 1943.
    """
    return jnp.heaviside(_floating(x), 0.0)


def sign(x: jax.Array) -> jax.Array:
    """-1, 0 or 1 for x below, at or above 0; the gradient is 0 everywhere.

    Example:
        >>> print(sign(jnp.array([-2.0, 0.0, 2.0])))
        [-1.  0.  1.]
    """
    return jnp.sign(_floating(x))


def softmax(x: jax.Array, axis: int = -1) -> jax.Array:
    r"""Probabilities proportional to eˣ along an axis.

    .. math::
        p_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}}, \qquad m = \max_j x_j

    Subtracting the maximum leaves the quotient unchanged but prevents overflow; the largest term is
    e⁰ = 1, so the sum cannot underflow to 0. A logit of -∞ rules its class out (p = 0, no
    gradient). +∞, or -∞ everywhere, has no unique limit and gives NaN, as in PyTorch.

    Example:
        >>> print(softmax(jnp.array([1e4, 1e4, -1e4])))
        [0.5 0.5 0. ]
    """
    x = _floating(x)
    _check_axis("softmax", x, axis)
    return jax.nn.softmax(x, axis)


def log_softmax(x: jax.Array, axis: int = -1) -> jax.Array:
    r"""Logarithm of `softmax`, finite even where the probability underflows.

    .. math::
        \log p_i = (x_i - m) - \log \sum_j e^{x_j - m}

    Example:
        >>> print(log_softmax(jnp.array([1e4, -1e4])))
        [     0. -20000.]
    """
    x = _floating(x)
    _check_axis("log_softmax", x, axis)
    return jax.nn.log_softmax(x, axis)


def softmax2d(x: jax.Array) -> jax.Array:
    """Softmax over the channels of each pixel.

    Images are (N, H, W, C) or (H, W, C); PyTorch's `Softmax2d` takes (N, C, H, W).

    Example:
        >>> image = jnp.array([[[0.0, 0.0], [1e4, 0.0]]])
        >>> print(softmax2d(image))
        [[[0.5 0.5]
          [1.  0. ]]]
    """
    if jnp.ndim(x) not in (3, 4):
        raise ShapeError(
            f"softmax2d needs images (N, H, W, C) or (H, W, C), got shape {jnp.shape(x)}"
        )
    return softmax(x, axis=-1)


FIRST_SLOPE = 0.25  # of PReLU, as in PyTorch

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "prelu": lambda x: leaky_relu(x, FIRST_SLOPE),  # before it has learned another slope
    "elu": elu,
    "sigmoid": sigmoid,
    "tanh": tanh,
}


class Activation(linen.Module):
    """An activation by name, as a layer: PReLU learns its slope, the others have no parameters.

    Attributes:
        kind: a name in `ACTIVATIONS`.

    Raises:
        ConfigError: there is no such activation.

    Example:
        >>> prelu = Activation("prelu")
        >>> variables = prelu.init(jax.random.key(0), jnp.zeros(3))
        >>> print(prelu.apply(variables, jnp.array([-2.0, 0.0, 2.0])))
        [-0.5  0.   2. ]

    References:
        He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015 (PReLU).
    """

    kind: str = "relu"

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the activation."""
        if self.kind not in ACTIVATIONS:
            raise ConfigError(f"activation {self.kind!r}: choose {', '.join(ACTIVATIONS)}")
        if self.kind != "prelu":
            return ACTIVATIONS[self.kind](x)
        start = linen.initializers.constant(FIRST_SLOPE)
        return leaky_relu(x, self.param("slope", start, (1,), jnp.float32)[0].astype(x.dtype))


def _floating(x: jax.Array) -> jax.Array:
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)


def _check_axis(name: str, x: jax.Array, axis: int) -> None:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{name}: input of shape {x.shape} has no axis {axis}")
