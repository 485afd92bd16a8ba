"""The McCulloch-Pitts neuron, the perceptron learning rule, and why XOR needs two layers.

A neuron fires (1) where w·x + b > 0 and is silent (0) elsewhere, *including exactly 0*: with the
course's AND weights the inputs (1, 0) and (0, 1) land exactly there, and `>=` would make it OR.

References:
    McCulloch and Pitts, A Logical Calculus of the Ideas Immanent in Nervous Activity, 1943;
    Rosenblatt, The Perceptron, 1958; Minsky and Papert, Perceptrons, 1969;
    course document 004, level 4 (the M-P neuron).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, DataError, ShapeError

TRUTH_TABLE_INPUTS = ((0, 0), (0, 1), (1, 0), (1, 1))


class Neuron(NamedTuple):
    """Weights (D,) and bias of one neuron."""

    weights: ArrayLike
    bias: ArrayLike


OR = Neuron((1.0, 1.0), -0.5)
AND = Neuron((0.5, 0.5), -0.5)
XOR_LAYERS = ((OR, AND), (Neuron((1.0, -1.0), -0.5),))
"""XOR is "OR, and not AND": a hidden layer of those two neurons, and one neuron on top."""


class PerceptronFit(NamedTuple):
    """Result of the learning rule.

    Attributes:
        weights: (D,).
        bias: scalar.
        mistakes: wrong answers in each epoch, counted before each correction.
        converged: whether the last epoch was free of mistakes. If no line (plane, …) separates the
            classes, this never happens.
    """

    weights: jax.Array
    bias: jax.Array
    mistakes: list[int]
    converged: bool


def neuron(inputs: ArrayLike, weights: ArrayLike, bias: ArrayLike) -> jax.Array:
    r"""Outputs of an M-P neuron with weights (D,) for inputs (N, D): 0 or 1, int32 (N,).

    .. math:: y = f(w \cdot x + b), \quad f(a) = 1 \text{ where } a > 0, \text{ else } 0

    Example:
        >>> inputs = jnp.array(TRUTH_TABLE_INPUTS)
        >>> print(neuron(inputs, *OR), neuron(inputs, *AND))
        [0 1 1 1] [0 0 0 1]
    """
    inputs, weights, bias = (jnp.asarray(a, jnp.float32) for a in (inputs, weights, bias))
    if inputs.ndim != 2 or weights.shape != inputs.shape[1:] or bias.ndim:
        raise ShapeError(
            f"a neuron with weights {weights.shape} and bias {bias.shape} got inputs "
            f"{inputs.shape}; expected (D,), () and (N, D)"
        )
    # Not a matrix product: some accelerators round it, and 0 must be exactly 0 here.
    return _fires((inputs * weights[None]).sum(1) + bias)


def layered_neurons(inputs: ArrayLike, layers: Sequence[Sequence[Neuron]]) -> jax.Array:
    """Outputs (N, neurons) of layers of M-P neurons for inputs (N, D), first layer first.

    Every neuron reads all outputs of the layer before.

    Example:
        >>> print(layered_neurons(jnp.array(TRUTH_TABLE_INPUTS), XOR_LAYERS)[:, 0])
        [0 1 1 0]
    """
    answers = jnp.asarray(inputs)
    for layer in layers:
        answers = jnp.stack([neuron(answers, *each) for each in layer], axis=1)
    return answers


def fit_perceptron(
    inputs: ArrayLike, targets: ArrayLike, learning_rate: float = 1.0, max_epochs: int = 100
) -> PerceptronFit:
    r"""Trains a neuron with Rosenblatt's rule, from zero weights, one sample at a time.

    .. math:: w \leftarrow w + \eta\,(t - y)\,x, \qquad b \leftarrow b + \eta\,(t - y)

    Only mistakes change anything. If some line separates the classes, the rule finds one after
    finitely many mistakes; if none does (XOR), it cycles until ``max_epochs`` and returns
    ``converged=False``.

    Args:
        inputs: x (N, D).
        targets: t (N,), each 0 or 1.
        learning_rate: η > 0. It only scales the solution, since the weights start at zero.
        max_epochs: passes over the samples after which to give up, at least 1.

    Raises:
        ShapeError: the shapes do not fit.
        DataError: a target is neither 0 nor 1, or there are no samples.
        ConfigError: the learning rate or the number of epochs is not positive.

    Example:
        >>> fit = fit_perceptron(jnp.array(TRUTH_TABLE_INPUTS), jnp.array([0, 0, 0, 1]))
        >>> fit.converged, fit.mistakes
        (True, [1, 3, 3, 2, 1, 0])
        >>> fit_perceptron(jnp.array(TRUTH_TABLE_INPUTS), jnp.array([0, 1, 1, 0])).converged
        False
    """
    _check_settings(learning_rate, max_epochs)
    inputs, targets = _checked_samples(inputs, targets)
    weights, bias = jnp.zeros(inputs.shape[1]), jnp.zeros(())
    mistakes: list[int] = []
    while len(mistakes) < max_epochs:
        weights, bias, count = _epoch(weights, bias, inputs, targets, learning_rate)
        mistakes.append(int(count))
        if mistakes[-1] == 0:
            return PerceptronFit(weights, bias, mistakes, converged=True)
    return PerceptronFit(weights, bias, mistakes, converged=False)


@jax.jit
def _epoch(
    weights: jax.Array,
    bias: jax.Array,
    inputs: jax.Array,
    targets: jax.Array,
    learning_rate: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One pass over the samples; returns weights, bias and the number of mistakes."""

    def correct(
        state: tuple[jax.Array, jax.Array], sample: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        (w, b), (x, t) = state, sample
        error = t - _fires((w * x).sum() + b)
        return (w + learning_rate * error * x, b + learning_rate * error), error != 0

    (weights, bias), wrong = jax.lax.scan(correct, (weights, bias), (inputs, targets))
    return weights, bias, wrong.sum()


def _fires(activation: jax.Array) -> jax.Array:
    return (activation > 0).astype(jnp.int32)


def _check_settings(learning_rate: float, max_epochs: int) -> None:
    if learning_rate <= 0 or max_epochs < 1:
        raise ConfigError(
            f"fit_perceptron with learning_rate {learning_rate} and max_epochs {max_epochs}: the "
            "rate must be above 0 and the epochs at least 1"
        )


def _checked_samples(inputs: ArrayLike, targets: ArrayLike) -> tuple[jax.Array, jax.Array]:
    inputs, targets = jnp.asarray(inputs, jnp.float32), jnp.asarray(targets)
    if inputs.ndim != 2 or targets.shape != inputs.shape[:1]:
        raise ShapeError(
            f"inputs {inputs.shape} and targets {targets.shape} must be (N, D) and (N,)"
        )
    if not targets.size or not bool(((targets == 0) | (targets == 1)).all()):
        raise DataError(f"targets must be one or more of 0 and 1, got {targets}")
    return inputs, targets.astype(jnp.int32)
