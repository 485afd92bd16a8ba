import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, DataError, ShapeError
from jaxdl.exercises.perceptron import (
    AND,
    OR,
    TRUTH_TABLE_INPUTS,
    XOR_LAYERS,
    fit_perceptron,
    layered_neurons,
    neuron,
)

INPUTS = jnp.array(TRUTH_TABLE_INPUTS)


def test_the_course_s_truth_tables():
    assert neuron(INPUTS, (1, 1), -0.5).tolist() == [0, 1, 1, 1]
    assert neuron(INPUTS, (0.5, 0.5), -0.5).tolist() == [0, 0, 0, 1]
    assert neuron(INPUTS, *OR).tolist() == [0, 1, 1, 1]
    assert neuron(INPUTS, *AND).tolist() == [0, 0, 0, 1]


def test_a_neuron_is_silent_at_exactly_zero():
    assert neuron(jnp.array([[0.0], [1e-30], [-1e-30]]), (1.0,), 0.0).tolist() == [0, 1, 0]


def test_two_layers_compute_xor():
    assert layered_neurons(INPUTS, XOR_LAYERS).tolist() == [[0], [1], [1], [0]]


def numpy_rule(inputs, targets, rate, epochs):
    weights, bias, history = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(epochs):
        wrong = 0
        for x, t in zip(inputs, targets, strict=True):
            y = int(weights @ x + bias > 0)
            weights, bias, wrong = (
                weights + rate * (t - y) * x,
                bias + rate * (t - y),
                wrong + (t != y),
            )
        history.append(wrong)
        if not wrong:
            break
    return weights, bias, history


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_the_rule_is_rosenblatt_s(rate, rng):
    # Whole numbers: no rounding, so the two ways must agree exactly.
    inputs = rng.integers(-5, 6, (30, 3))
    targets = (inputs @ [2, -1, 3] > 1).astype(int)
    targets[0] = 1 - targets[0]
    fit = fit_perceptron(inputs, targets, learning_rate=rate, max_epochs=40)
    weights, bias, history = numpy_rule(inputs, targets, rate, 40)
    assert fit.mistakes == history
    np.testing.assert_array_equal(fit.weights, weights)
    assert float(fit.bias) == bias


@pytest.mark.parametrize("targets", [[0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 0]])
def test_separable_tables_are_learnt(targets):
    fit = fit_perceptron(INPUTS, jnp.array(targets))
    assert fit.converged
    assert fit.mistakes[-1] == 0
    assert neuron(INPUTS, fit.weights, fit.bias).tolist() == targets


@pytest.mark.parametrize("targets", [[0, 1, 1, 0], [1, 0, 0, 1]])
def test_xor_is_not_learnt_and_the_result_says_so(targets):
    fit = fit_perceptron(INPUTS, jnp.array(targets), max_epochs=50)
    assert not fit.converged
    assert len(fit.mistakes) == 50
    assert min(fit.mistakes) > 0


def test_unusable_arguments_are_refused():
    with pytest.raises(ConfigError, match="learning_rate 0"):
        fit_perceptron(INPUTS, jnp.zeros(4), learning_rate=0)
    with pytest.raises(ConfigError, match="max_epochs 0"):
        fit_perceptron(INPUTS, jnp.zeros(4), max_epochs=0)
    with pytest.raises(ShapeError, match=r"\(4, 1\)"):
        fit_perceptron(INPUTS, jnp.zeros((4, 1)))
    with pytest.raises(DataError, match="0 and 1"):
        fit_perceptron(INPUTS, jnp.array([-1, 1, 1, 1]))
    with pytest.raises(DataError):
        fit_perceptron(jnp.zeros((0, 2)), jnp.zeros(0))
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        neuron(INPUTS, (1, 1, 1), 0)
