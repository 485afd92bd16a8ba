"""Which operation, at which line, is the first with a result that is not finite."""

import inspect
import re
import traceback

import jax
import jax.numpy as jnp
import pytest

from jaxdl import nn
from jaxdl.run.microscope import first_not_finite


def length(x):
    return jnp.sqrt(jnp.sum(x**2))  # no derivative at 0


def slope(x):
    return jax.grad(length)(x)


def line_of(function, text):
    lines, start = inspect.getsourcelines(function)
    return start + next(i for i, line in enumerate(lines) if text in line)


def test_a_nan_of_the_backward_pass_is_placed_in_the_forward_pass():
    place = f"length (test_microscope.py:{line_of(length, 'sqrt')})"
    found = first_not_finite(slope, jnp.zeros(3))
    assert found == [
        f"the first infinite result is of div, in {place}",
        f"the first NaN is of mul, in {place}",
    ]


def test_debug_nans_says_less():
    """Why this module is there: JAX's own search names the line of the call of jax.grad."""
    with jax.disable_jit(), jax.debug_nans(True), pytest.raises(FloatingPointError) as caught:
        slope(jnp.zeros(3))
    own = [f for f in traceback.extract_tb(caught.tb) if f.filename == __file__]
    assert own[-1].name == "slope"


@jax.custom_vjp
def identity(x):
    return x


identity.defvjp(lambda x: (x, None), lambda _, gradient: (jnp.log(gradient - 1),))


def compiled_sum(x):
    return jax.jit(identity)(x).sum()


def test_it_looks_into_compiled_functions_and_custom_derivatives():
    (found,) = first_not_finite(jax.grad(jax.jit(compiled_sum)), jnp.ones(2))
    place = f"compiled_sum (test_microscope.py:{line_of(compiled_sum, 'identity')})"
    assert found == f"the first infinite result is of log, in {place}"


def test_a_layer_that_overflows_is_named():
    model, x = nn.BatchNorm(), jnp.array([[1e30], [-1e30]])
    variables = model.init(jax.random.key(0), x, train=False)

    def loss(x):
        return model.apply(variables, x, train=True, mutable=["batch_stats"])[0].sum()

    first, *_ = first_not_finite(jax.grad(loss), x)
    assert re.match(r"the first infinite result is of square, in \w+ \(batch_norm\.py", first)


def test_finite_results_are_no_finding():
    assert first_not_finite(slope, jnp.ones(3)) == []
