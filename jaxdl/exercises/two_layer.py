"""The course's network from scratch: 784 pixels, one hidden layer, ten outputs, ReLU on both.

Its unusual choices are kept, since they are the lesson: the outputs pass through ReLU and are then
treated as probabilities in an elementwise binary cross-entropy. The consequences:

- An output neuron whose sum is negative for every image outputs 0, gets no gradient, and its digit
  is never predicted. About one in ten starts like that (0 to 5 over a hundred starts with 100
  hidden neurons on 4,000 digits), and more die as the network learns.
- An output above 1 is not a probability. There the clipped loss is flat and the gradient 0, so the
  step has to be small (about 0.003): at 0.05 all ten outputs end there.

The gradients come from `jax.grad`. For outputs strictly between 0 and 1 they equal those the course
derives by hand, with these exceptions:

- the course takes the derivative of ReLU at 0 to be 1; here it is 0;
- where clipping acts (outputs of 0, or above 1) the course differentiates as if nothing had been
  clipped, which gives ±10¹⁰ for clipped outputs and divisions by zero for others;
- the course divides the weights' gradients by 60,000 whatever the batch; here by the number of
  samples;
- its bias gradients lack ``keepdims``: (H,) subtracted in place from (H, 1) is a NumPy error.

References:
    course document 004, level 10.
"""

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxdl import nn
from jaxdl.errors import ShapeError

Params = dict
CLIP = 1e-10


class TwoLayerNet(linen.Module):
    """Dense, ReLU, dense, ReLU; weights and biases start from 0.01·N(0, 1).

    Example:
        >>> first = jax.jit(TwoLayerNet(hidden=32).init_with_output, static_argnames="train")
        >>> outputs, variables = first(jax.random.key(0), jnp.zeros((5, 784)), train=False)
        >>> outputs.shape
        (5, 10)
    """

    hidden: int = 100
    num_classes: int = 10

    @linen.compact
    def __call__(self, x: jax.Array, *, train: bool, axis_name: str | None = None) -> jax.Array:
        """Maps images (N, …) in [0, 1], flattened, to outputs (N, num_classes), each at least 0.

        The course calls the outputs predictions; they may exceed 1. ``train`` and ``axis_name``
        have no effect.
        """
        start = linen.initializers.normal(0.01)
        x = x.reshape(x.shape[0], -1)
        for layer, features in ((1, self.hidden), (2, self.num_classes)):
            dense = nn.Dense(features, kernel_init=start, bias_init=start, name=f"dense_{layer}")
            x = nn.relu(dense(x))
        return x


def clipped_cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    r"""Elementwise binary cross-entropy of outputs clipped to [10⁻¹⁰, 1 - 10⁻¹⁰].

    .. math:: \ell = -t \log \hat p - (1 - t) \log(1 - \hat p)

    In float32 1 - 10⁻¹⁰ is 1, so 1 - p is kept at or above 10⁻¹⁰ instead. Losses are at most 23.03.
    Targets t in [0, 1] have the outputs' shape, else ShapeError.

    Example:
        >>> losses = clipped_cross_entropy(jnp.array([0.5, 0.5]), jnp.array([0, 1]))
        >>> [f"{loss:.4f}" for loss in losses]
        ['0.6931', '0.6931']
    """
    if outputs.shape != targets.shape:
        raise ShapeError(
            f"outputs {outputs.shape} and targets {targets.shape} must have the same shape: "
            "make labels one-hot"
        )
    p = jnp.clip(outputs, CLIP, 1)
    not_p = jnp.maximum(1 - p, CLIP)
    return -(targets * jnp.log(p) + (1 - targets) * jnp.log(not_p))


def loss(model: TwoLayerNet, params: Params, images: jax.Array, targets: jax.Array) -> jax.Array:
    """Cross-entropy summed over the classes and averaged over the samples.

    Images are (N, …) in [0, 1], targets one-hot (N, num_classes).
    """
    outputs = model.apply({"params": params}, images, train=True)
    return clipped_cross_entropy(outputs, targets).sum(1).mean()


def descend(
    model: TwoLayerNet,
    params: Params,
    images: jax.Array,
    targets: jax.Array,
    learning_rate: float,
) -> tuple[Params, jax.Array]:
    """One step of gradient descent on the whole batch.

    Images are (N, …) in [0, 1], targets one-hot (N, num_classes). Returns the new parameters and
    the loss before the step.

    Example:
        >>> model = TwoLayerNet(hidden=8)
        >>> images, targets = jnp.ones((4, 6)), jax.nn.one_hot(jnp.arange(4), 10)
        >>> init = jax.jit(model.init, static_argnames="train")
        >>> params = init(jax.random.key(0), images, train=False)["params"]
        >>> step = jax.jit(descend, static_argnums=0)
        >>> params, before = step(model, params, images, targets, 1e-3)
        >>> params, after = step(model, params, images, targets, 1e-3)
        >>> bool(after < before)
        True
    """
    value, gradients = jax.value_and_grad(loss, argnums=1)(model, params, images, targets)
    return jax.tree.map(lambda p, g: p - learning_rate * g, params, gradients), value


def predict(model: TwoLayerNet, params: Params, images: jax.Array) -> jax.Array:
    """Class of the largest output, int32 (N,); ties go to the first."""
    return model.apply({"params": params}, images, train=False).argmax(1)
