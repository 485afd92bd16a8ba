"""Linear regression, as a network of one neuron and in closed form."""

import flax.linen as linen
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl import nn
from jaxdl.errors import ShapeError


class LinearRegression(linen.Module):
    r"""Predicts one number from D features: ŷ = w·x + b.

    The parameters are `dense_1/kernel` (D, 1) and `dense_1/bias` (1,), from PyTorch's initial
    distribution.

    Example:
        >>> model = LinearRegression()
        >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 13)), train=False)
        >>> model.apply(variables, jnp.zeros((4, 13)), train=False).shape
        (4,)

    References:
        course document 003 (house prices from 13 features).
    """

    @linen.compact
    def __call__(self, x: jax.Array, *, train: bool, axis_name: str | None = None) -> jax.Array:
        """Maps features (N, D), scaled to similar ranges, to predictions (N,).

        ``train`` and ``axis_name``, which every network takes, change nothing.

        Raises:
            ShapeError: x is not (N, D).
        """
        if x.ndim != 2:
            raise ShapeError(f"features have shape {x.shape}; expected (N, D)")
        return nn.Dense(1, name="dense_1")(x)[:, 0]


def least_squares(inputs: ArrayLike, targets: ArrayLike) -> dict:
    r"""The :class:`LinearRegression` with the smallest mean squared error, in closed form.

    It is what gradient descent approaches, computed from the singular values of [x, 1]; where
    several solutions are equally good (D + 1 > N, or collinear features) it is the shortest.

    Args:
        inputs: features (N, D), N at least 1.
        targets: (N,).

    Returns:
        Variables of :class:`LinearRegression`, float32.

    Raises:
        ShapeError: the shapes do not belong together.

    Example:
        >>> variables = least_squares(jnp.array([[0.0], [1.0], [2.0]]), jnp.array([1.0, 3.0, 5.0]))
        >>> jax.tree.map(lambda a: f"{a.item():.3f}", variables["params"]["dense_1"])
        {'bias': '1.000', 'kernel': '2.000'}
    """
    inputs, targets = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets, jnp.float32)
    if inputs.ndim != 2 or not len(inputs) or targets.shape != inputs.shape[:1]:
        raise ShapeError(
            f"inputs {inputs.shape} and targets {targets.shape} must be (N, D) and (N,), N ≥ 1"
        )
    # Centred, the bias drops out and cannot spoil the conditioning of the rest.
    mean_x, mean_y = inputs.mean(0), targets.mean()
    weights = jnp.linalg.lstsq(inputs - mean_x[None], targets - mean_y)[0]
    bias = mean_y - (mean_x * weights).sum()
    return {"params": {"dense_1": {"kernel": weights[:, None], "bias": bias[None]}}}
