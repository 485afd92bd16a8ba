import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import losses
from jaxdl.errors import ConfigError, ShapeError

COURSE = jnp.array([[1.0, 2, 3], [4, 5, 6]]), jnp.array([[8.0, 9, 10], [11, 12, 13]])


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("squared", losses.squared_error),
        ("absolute", losses.absolute_error),
        *[
            (f"smooth_l1_{beta}", lambda x, t, beta=beta: losses.smooth_l1(x, t, beta))
            for beta in (0.0, 0.5, 1.0)
        ],
    ],
)
def test_matches_pytorch(reference, name, loss):
    predictions, targets = reference["elementwise/predictions"], reference["elementwise/targets"]
    value, pullback = jax.vjp(jax.jit(lambda x: loss(x, targets)), predictions)
    (gradient,) = pullback(jnp.ones_like(value))
    np.testing.assert_allclose(value, reference[f"{name}/value"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, reference[f"{name}/gradient"], rtol=1e-5, atol=1e-5)


def test_course_values():
    np.testing.assert_array_equal(losses.squared_error(*COURSE), np.full((2, 3), 49))
    assert losses.mean_squared_error(*COURSE) == 49
    assert losses.absolute_error(*COURSE, reduction="mean") == 7
    assert losses.smooth_l1(*COURSE, reduction="mean") == 6.5
    assert losses.absolute_error(*COURSE, reduction="sum") == 42


def test_smooth_l1_pieces_meet_with_equal_slope():
    beta = 0.5
    at = jnp.array([0.5 - 1e-4, 0.5 + 1e-4])
    value, slope = jax.vmap(jax.value_and_grad(lambda d: losses.smooth_l1(d, 0.0, beta)))(at)
    np.testing.assert_allclose(value, [0.25, 0.25], atol=2e-4)
    np.testing.assert_allclose(slope, [1, 1], atol=3e-4)


def test_infinite_difference_has_a_finite_slope():
    for loss in (losses.smooth_l1, losses.absolute_error):
        value, slope = jax.value_and_grad(loss)(np.inf, 0.0)
        assert (value, slope) == (np.inf, 1)


def test_integer_inputs_become_floats():
    assert losses.mean_squared_error(np.array([1, 2]), np.array([2, 4])) == 2.5


def test_gradients_by_finite_differences(rng):
    x, t = jnp.asarray(rng.normal(size=8)), jnp.asarray(rng.normal(size=8))
    check_grads(jax.jit(losses.mean_squared_error), (x, t), order=1, atol=2e-2, rtol=2e-2)
    check_grads(jax.jit(losses.smooth_l1), (x, t), order=1, atol=2e-2, rtol=2e-2)


def test_unusable_arguments():
    for loss in (losses.squared_error, losses.absolute_error, losses.smooth_l1):
        with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
            loss(jnp.zeros((4, 1)), jnp.zeros(4))
        with pytest.raises(ConfigError, match="'avg'"):
            loss(*COURSE, reduction="avg")
    with pytest.raises(ConfigError, match="beta = -1"):
        losses.smooth_l1(*COURSE, beta=-1)
