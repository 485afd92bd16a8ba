"""Batch normalisation by PyTorch's rule, alone or over the devices of a pmap."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer

from jaxdl.errors import ShapeError


class BatchNorm(nn.Module):
    r"""Normalises each channel over the batch and all positions.

    .. math::
        y = \gamma \, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    In training μ and σ² are the mean and the *biased* variance of the batch (the sum of squares
    divided by n, with n = N·H·W over all devices), and the running statistics move towards μ and
    the *unbiased* variance (divided by n - 1), as PyTorch's do; `flax.linen.BatchNorm` stores the
    biased one. Otherwise μ and σ² are the running statistics.

    The variance is the mean of (x - μ)², never E[x²] - E[x]², which cancels: data of mean 1000
    and deviation 0.1 would come out as noise. Statistics are float32 whatever the input's type.

    Attributes:
        momentum: The share of the running statistics that is kept at a step, in [0, 1]: flax's
            convention, 0.9 for PyTorch's 0.1.
        epsilon: Added to the variance, > 0.
        scale_init: Initialiser of `scale` (γ).
        bias_init: Initialiser of `bias` (β).

    Parameters are `scale` and `bias`; the collection `batch_stats` holds `mean` and `var`; all of
    them have shape (C,) and are float32.

    Example:
        >>> layer = BatchNorm()
        >>> x = jnp.array([[1.0], [3.0]])
        >>> variables = layer.init(jax.random.key(0), x, train=True)
        >>> y, updates = layer.apply(variables, x, train=True, mutable=["batch_stats"])
        >>> y[:, 0]
        Array([-0.999995,  0.999995], dtype=float32)
        >>> {name: round(float(value[0]), 3) for name, value in updates["batch_stats"].items()}
        {'mean': 0.2, 'var': 1.1}

    References:
        Ioffe and Szegedy, Batch Normalization, 2015; course document 003.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Initializer = nn.initializers.ones
    bias_init: Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, axis_name: str | None = None) -> jax.Array:
        """Normalises `x`.

        Args:
            x: (N, …, C), floating-point.
            train: Whether to use, and fold into the running statistics, the batch's statistics.
            axis_name: The pmap axis over which the batch is spread; None for one device.

        Returns:
            An array of x's shape and type.

        Raises:
            ShapeError: `x` has fewer than two axes, or in training one value a channel only,
                whose variance says nothing.
        """
        _check_input(x)
        shape = (x.shape[-1],)
        scale = self.param("scale", self.scale_init, shape, jnp.float32)
        bias = self.param("bias", self.bias_init, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if not train:
            return normalize(x, running_mean.value, running_var.value, scale, bias, self.epsilon)

        if self.is_initializing():  # outside any pmap, and the dummy's statistics mean nothing
            return x
        mean, var, count = batch_moments(x, axis_name)
        unbiased = var * (count / (count - 1))
        running_mean.value = self._blend(running_mean.value, mean)
        running_var.value = self._blend(running_var.value, unbiased)
        return normalize(x, mean, var, scale, bias, self.epsilon)

    def _blend(self, running: jax.Array, batch: jax.Array) -> jax.Array:
        return self.momentum * running + (1 - self.momentum) * lax.stop_gradient(batch)


def batch_moments(x: jax.Array, axis_name: str | None) -> tuple[jax.Array, jax.Array, int]:
    """Mean and biased variance of each channel, and the number of values behind them.

    Args:
        x: (N, …, C).
        axis_name: The pmap axis over which the batch is spread, in equal parts; None for none.

    Returns:
        Mean (C,) and variance (C,) in float32, and the count n.

    Raises:
        ShapeError: There is one value a channel only.

    Example:
        >>> mean, var, count = batch_moments(jnp.array([[1.0], [3.0]]), None)
        >>> float(mean[0]), float(var[0]), count
        (2.0, 1.0, 2)
    """
    axes = tuple(range(x.ndim - 1))
    count = math.prod(x.shape[:-1]) * (lax.axis_size(axis_name) if axis_name else 1)
    if count < 2:
        raise ShapeError(
            f"BatchNorm got input of shape {x.shape} in training: one value a channel has no "
            "variance; use a larger batch, or train=False"
        )
    x = x.astype(jnp.float32)
    mean = x.mean(axes)
    if axis_name:
        mean = lax.pmean(mean, axis_name)
    var = jnp.square(x - _broadcast(mean, x.ndim)).mean(axes)
    if axis_name:
        var = lax.pmean(var, axis_name)
    return mean, var, count


def normalize(
    x: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
) -> jax.Array:
    """Computes scale · (x - mean) / √(var + epsilon) + bias for each channel.

    Args:
        x: (N, …, C).
        mean: (C,).
        var: (C,), not negative.
        scale: (C,).
        bias: (C,).
        epsilon: Added to the variance.

    Returns:
        An array of x's shape and type, computed in float32.

    Example:
        >>> one = jnp.ones(1)
        >>> normalize(jnp.array([[5.0]]), one, 4 * one, 3 * one, one, 0.0)
        Array([[7.]], dtype=float32)
    """
    factor = scale * lax.rsqrt(var + epsilon)
    centred = x.astype(jnp.float32) - _broadcast(mean, x.ndim)
    return (centred * _broadcast(factor, x.ndim) + _broadcast(bias, x.ndim)).astype(x.dtype)


def _broadcast(vector: jax.Array, ndim: int) -> jax.Array:
    return vector.reshape((1,) * (ndim - 1) + vector.shape)


def _check_input(x: jax.Array) -> None:
    if x.ndim < 2:
        raise ShapeError(f"BatchNorm needs input (N, …, C), got shape {x.shape}")
