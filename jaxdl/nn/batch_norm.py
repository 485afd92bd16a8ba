"""Batch normalisation with PyTorch's rules, on one device or across a pmap."""

import math
from functools import partial

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

    In training μ and σ² are the batch's mean and *biased* variance (divided by n = N·H·W over all
    devices). The running statistics move towards μ and the *unbiased* variance, divided by n - 1;
    PyTorch does the same, while `flax.linen.BatchNorm` stores the biased one. Otherwise μ and σ²
    are the running statistics.

    The variance is the mean of (x - μ)², never E[x²] - E[x]², which cancels: data with mean 1000
    and deviation 0.1 would come out as noise. Statistics are float32, or float64 for float64 input.

    `scale`, `bias` and, in the collection `batch_stats`, `mean` and `var` are (C,) and float32.

    Attributes:
        momentum: Share of the running statistics kept per step, in [0, 1]: 0.9 for PyTorch's 0.1.
        epsilon: Added to the variance, > 0.
        scale_init: Initialiser of γ.
        bias_init: Initialiser of β.

    Example:
        >>> layer = BatchNorm()
        >>> x = jnp.array([[1.0], [3.0]])
        >>> variables = layer.init(jax.random.key(0), x, train=True)
        >>> y, updates = layer.apply(variables, x, train=True, mutable=["batch_stats"])
        >>> y[:, 0].round()
        Array([-1.,  1.], dtype=float32)
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
    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        axis_name: str | None = None,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Normalises `x`.

        Args:
            x: (N, …, C), floating-point.
            train: Use the batch's statistics and fold them into the running ones.
            axis_name: The pmap axis the batch is spread over, if any.
            mask: (N,), 1 for a sample that counts in the statistics, 0 for the padding of a short
                batch; None counts all.

        Raises:
            ShapeError: `x` has fewer than two axes, or training sees fewer than two values per
                channel.
        """
        _check_input(x)
        shape = (x.shape[-1],)
        scale = self.param("scale", self.scale_init, shape, jnp.float32)
        bias = self.param("bias", self.bias_init, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if not train:
            return normalize(x, running_mean.value, running_var.value, scale, bias, self.epsilon)

        if self.is_initializing():  # outside any pmap; the dummy input's statistics mean nothing
            return x
        _check_count(x, _count(x, axis_name, None))
        count = _count(x, axis_name, mask)
        y, mean, var = batch_normalize(x, scale, bias, mask, self.epsilon, axis_name)
        blended = (
            self._blend(running_mean.value, mean),
            self._blend(running_var.value, var * (count / _at_least_one(count - 1))),
        )
        if mask is not None:  # a single value has no variance: keep the statistics there are
            kept = (running_mean.value, running_var.value)
            blended = jax.tree.map(lambda new, old: jnp.where(count < 2, old, new), blended, kept)
        running_mean.value, running_var.value = blended
        return y

    def _blend(self, running: jax.Array, batch: jax.Array) -> jax.Array:
        blended = self.momentum * running + (1 - self.momentum) * batch
        return blended.astype(running.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def batch_normalize(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mask: jax.Array | None,
    epsilon: float,
    axis_name: str | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    r"""Normalises by the statistics of the batch itself.

    The gradient is written by hand because differentiation would store and read several more arrays
    of x's size. With x̂ = (x - μ)/√(σ² + ε), ȳ the gradient of y, and means over the batch,

    .. math::
        \bar x = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
            \left(\bar y - \mathrm{mean}(\bar y) - \hat x\,\mathrm{mean}(\bar y \hat x)\right),
        \qquad \bar\gamma = \sum \bar y \hat x, \quad \bar\beta = \sum \bar y .

    With a mask, sums of ȳ and ȳ x̂ run over all samples; they are divided by the number of samples
    that count, and subtracted from their gradients only.

    Args:
        x: (N, …, C).
        scale: γ (C,).
        bias: β (C,).
        mask: (N,), 1 for a sample that counts, 0 for another; None counts all.
        axis_name: The pmap axis the batch is spread over in equal parts, if any. Statistics are
            those of the whole batch; gradients of `scale` and `bias` are this device's part.

    Returns:
        y, of x's shape and type; the mean (C,) and biased variance (C,), float32 or wider, without
        gradients.

    Example:
        >>> x = jnp.array([[1.0], [3.0]])
        >>> y, mean, var = batch_normalize(x, jnp.ones(1), jnp.zeros(1), None, 0.0, None)
        >>> y[:, 0].round(), float(mean[0]), float(var[0])
        (Array([-1.,  1.], dtype=float32), 2.0, 1.0)
    """
    mean = _channel_mean(_wide(x), axis_name, mask)
    centred = _wide(x) - _broadcast(mean, x.ndim)
    var = _channel_mean(jnp.square(centred), axis_name, mask)
    return normalize(x, mean, var, scale, bias, epsilon), mean, var


Saved = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array | None]


def _batch_normalize_forward(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mask: jax.Array | None,
    epsilon: float,
    axis_name: str | None,
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Saved]:
    y, mean, var = batch_normalize(x, scale, bias, mask, epsilon, axis_name)
    return (y, mean, var), (x, scale, mean, lax.rsqrt(var + epsilon), mask)


def _batch_normalize_backward(
    epsilon: float, axis_name: str | None, saved: Saved, gradients: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
    x, scale, mean, inverse, mask = saved
    # Materialised, or XLA recomputes the activation's gradient in each of the three loops below.
    y_bar = lax.optimization_barrier(_wide(gradients[0]))
    normalized = (_wide(x) - _broadcast(mean, x.ndim)) * _broadcast(inverse, x.ndim)
    if mask is not None:
        x_bar, scale_bar, bias_bar = _masked_backward(
            x, y_bar, normalized, scale * inverse, mask, axis_name
        )
        return x_bar.astype(x.dtype), *_as(scale, scale_bar, bias_bar), jnp.zeros_like(mask)
    bias_mean = _channel_mean(y_bar, None, None)
    scale_mean = _channel_mean(y_bar * normalized, None, None)
    count = _count(x, None, None)
    if axis_name:
        mean_y, mean_xy = lax.pmean((bias_mean, scale_mean), axis_name)
    else:
        mean_y, mean_xy = bias_mean, scale_mean
    x_bar = y_bar - _broadcast(mean_y, x.ndim) - normalized * _broadcast(mean_xy, x.ndim)
    x_bar = x_bar * _broadcast(scale * inverse, x.ndim)
    return x_bar.astype(x.dtype), *_as(scale, count * scale_mean, count * bias_mean), None


def _masked_backward(
    x: jax.Array,
    y_bar: jax.Array,
    normalized: jax.Array,
    factor: jax.Array,
    mask: jax.Array,
    axis_name: str | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    axes = tuple(range(x.ndim - 1))
    bias_bar, scale_bar = y_bar.sum(axes), (y_bar * normalized).sum(axes)
    sums = (bias_bar, scale_bar)
    sum_y, sum_xy = lax.psum(sums, axis_name) if axis_name else sums
    common = _broadcast(sum_y, x.ndim) + normalized * _broadcast(sum_xy, x.ndim)
    x_bar = y_bar - _samples(mask, x.ndim) * common / _count(x, axis_name, mask)
    x_bar = x_bar * _broadcast(factor, x.ndim)
    return x_bar, scale_bar, bias_bar


def _as(scale: jax.Array, *gradients: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(gradient.astype(scale.dtype) for gradient in gradients)


batch_normalize.defvjp(_batch_normalize_forward, _batch_normalize_backward)


def normalize(
    x: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
) -> jax.Array:
    """Computes scale · (x - mean) / √(var + epsilon) + bias per channel.

    x is (N, …, C), the others (C,). The result has x's type but is computed in float32 or wider.

    Example:
        >>> one = jnp.ones(1)
        >>> normalize(jnp.array([[5.0]]), one, 4 * one, 3 * one, one, 0.0).round()
        Array([[7.]], dtype=float32)
    """
    factor = scale * lax.rsqrt(var + epsilon)
    centred = _wide(x) - _broadcast(mean, x.ndim)
    return (centred * _broadcast(factor, x.ndim) + _broadcast(bias, x.ndim)).astype(x.dtype)


def _wide(x: jax.Array) -> jax.Array:
    """Widens to float32 at least: sums in bfloat16 lose digits."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _broadcast(vector: jax.Array, ndim: int) -> jax.Array:
    return vector.reshape((1,) * (ndim - 1) + vector.shape)


def _samples(mask: jax.Array, ndim: int) -> jax.Array:
    return mask.reshape(mask.shape + (1,) * (ndim - 1)).astype(jnp.float32)


def _channel_mean(x: jax.Array, axis_name: str | None, mask: jax.Array | None) -> jax.Array:
    axes = tuple(range(x.ndim - 1))
    if mask is not None:
        total = (x * _samples(mask, x.ndim)).sum(axes)
        return (lax.psum(total, axis_name) if axis_name else total) / _count(x, axis_name, mask)
    mean = x.mean(axes)
    return lax.pmean(mean, axis_name) if axis_name else mean


def _count(x: jax.Array, axis_name: str | None, mask: jax.Array | None) -> int | jax.Array:
    """Number of values per channel that count, over all devices."""
    if mask is None:
        return math.prod(x.shape[:-1]) * (lax.axis_size(axis_name) if axis_name else 1)
    samples = mask.sum(dtype=jnp.float32)
    samples = lax.psum(samples, axis_name) if axis_name else samples
    return samples * math.prod(x.shape[1:-1])


def _at_least_one(count: int | jax.Array) -> int | jax.Array:
    return count if isinstance(count, int) else jnp.maximum(count, 1)


def _check_input(x: jax.Array) -> None:
    if x.ndim < 2:
        raise ShapeError(f"BatchNorm needs input (N, …, C), got shape {x.shape}")


def _check_count(x: jax.Array, count: int) -> None:
    if count < 2:
        raise ShapeError(
            f"BatchNorm got input of shape {x.shape} in training: one value per channel has no "
            "variance; use a larger batch, or train=False"
        )
