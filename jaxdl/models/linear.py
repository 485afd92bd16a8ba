"""Linear regression, as a network with one neuron and in closed form (course document 003)."""

import flax.linen as linen
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl import nn
from jaxdl.errors import ShapeError


class LinearRegression(linen.Module):
    """Predicts one number from D features: ŷ = w·x + b.

    Parameters `dense_1/kernel` (D, 1) and `dense_1/bias` (1,) start from PyTorch's distribution.

    Example:
        >>> model = LinearRegression()
        >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 13)), train=False)
        >>> model.apply(variables, jnp.zeros((4, 13)), train=False).shape
        (4,)
    """

    @linen.compact
    def __call__(self, x: jax.Array, *, train: bool, axis_name: str | None = None) -> jax.Array:
        """Maps features (N, D), scaled to similar ranges, to predictions (N,).

        ``train`` and ``axis_name`` have no effect.
        """
        if x.ndim != 2:
            raise ShapeError(f"features have shape {x.shape}; expected (N, D)")
        return nn.Dense(1, name="dense_1")(x)[:, 0]


def least_squares(inputs: ArrayLike, targets: ArrayLike) -> dict:
    """Variables of the :class:`LinearRegression` with the smallest mean squared error.

    Features are (N, D), N at least 1, and targets (N,).

    This is the limit of gradient descent, computed from the singular values of [x, 1]. If several
    solutions are equally good (D + 1 > N, or collinear features) it is the shortest.

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
    # Centring removes the bias, which could spoil the conditioning of the rest.
    mean_x, mean_y = inputs.mean(0), targets.mean()
    weights = jnp.linalg.lstsq(inputs - mean_x[None], targets - mean_y)[0]
    bias = mean_y - (mean_x * weights).sum()
    return {"params": {"dense_1": {"kernel": weights[:, None], "bias": bias[None]}}}
