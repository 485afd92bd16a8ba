from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import losses
from jaxdl.errors import ConfigError, ShapeError

INF = np.inf


def assert_matches(loss, inputs, reference, name):
    """Compares a jitted elementwise loss and its gradient with the stored PyTorch arrays."""

    @jax.jit
    def both(inputs):
        value, pullback = jax.vjp(loss, inputs)
        return value, *pullback(jnp.ones_like(value))

    value, gradient = both(inputs)
    np.testing.assert_allclose(value, reference[f"{name}/value"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, reference[f"{name}/gradient"], rtol=1e-5, atol=1e-5)


def test_with_logits_matches_pytorch(reference):
    targets, weights = reference["elementwise/targets"], reference["elementwise/weights"]

    def loss(x):
        return losses.binary_cross_entropy_with_logits(x, targets, pos_weight=2.5, weights=weights)

    assert_matches(loss, reference["elementwise/logits"], reference, "bce_logits")


def test_probabilities_match_pytorch_at_0_and_1_too(reference):
    targets, weights = reference["elementwise/targets"], reference["elementwise/weights"]

    def loss(p):
        return losses.binary_cross_entropy(p, targets, weights=weights)

    assert_matches(loss, reference["elementwise/probabilities"], reference, "bce")


def test_focal_matches_pytorch(reference):
    hard = np.round(reference["elementwise/targets"])

    def loss(x):
        return losses.binary_focal(x, hard, gamma=2.0, alpha=0.25)

    assert_matches(loss, reference["elementwise/logits"], reference, "binary_focal")


@pytest.mark.parametrize(
    "loss", [losses.binary_cross_entropy_with_logits, losses.binary_focal], ids=["bce", "focal"]
)
def test_infinite_logits_give_the_limits(loss):
    logits, targets = np.array([INF, -INF, INF, -INF]), np.array([1, 0, 0, 1])

    def total(x):
        values = loss(x, targets)
        return values.sum(), values

    gradient, values = jax.jit(jax.grad(total, has_aux=True))(logits)
    np.testing.assert_array_equal(values, [0, 0, INF, INF])
    np.testing.assert_array_equal(gradient, [0, 0, 1, -1])


def test_soft_target_at_an_infinite_logit():
    def loss(x):
        return losses.binary_cross_entropy_with_logits(x, 0.25)

    assert jax.jit(jax.value_and_grad(loss))(INF) == (INF, 0.75)


def test_gradient_with_respect_to_targets_at_0_and_1():
    logits, targets = jnp.array([0.5, -2.0, 3.0]), jnp.array([0.0, 1.0, 0.4])
    for loss, inputs in (
        (losses.binary_cross_entropy_with_logits, logits),
        (losses.binary_cross_entropy, jax.nn.sigmoid(logits)),
    ):
        gradient = jax.jit(jax.grad(lambda t, f=loss, x=inputs: f(x, t).sum()))(targets)
        np.testing.assert_allclose(gradient, -logits, rtol=1e-5)


def test_sigmoid_before_the_loss_loses_the_gradient_that_logits_keep():
    def saturated(x):
        return losses.binary_cross_entropy(jax.nn.sigmoid(x), 0.0)

    assert jax.jit(jax.grad(saturated))(20.0) == 0
    assert jax.jit(jax.grad(losses.binary_cross_entropy_with_logits))(20.0, 0.0) == 1


def test_course_value_is_cross_entropy_of_two_classes():
    p = jax.nn.softmax(jnp.array([[0.25, 0.4]]))
    value = losses.binary_cross_entropy(p, jnp.array([[0, 1]]), reduction="mean")
    assert value == pytest.approx(0.62095707654953, abs=1e-6)


def test_clamp_is_at_minus_100():
    both = jax.jit(jax.vmap(jax.value_and_grad(losses.binary_cross_entropy)))
    value, gradient = both(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(value, [100, 100])
    np.testing.assert_allclose(gradient, [-1e12, 1e12], rtol=1e-6)


def test_probability_outside_its_domain_is_nan():
    found = jax.jit(losses.binary_cross_entropy)(np.array([1.5, -0.5]), np.ones(2))
    assert np.isnan(found).all()


def test_imbalanced_course_example():
    """One positive for ten negatives, each with loss 0.5, weighted to 1 : 1 in total."""
    right = np.log(np.expm1(0.5))  # softplus of it is 0.5
    targets = jnp.array([1.0] + [0.0] * 10)
    logits = jnp.where(targets == 1, -right, right)
    plain = losses.binary_cross_entropy_with_logits(logits, targets)
    np.testing.assert_allclose(plain, np.full(11, 0.5), rtol=1e-6)
    weighted = losses.weighted_binary_cross_entropy(logits, targets, positives=1, negatives=10)
    np.testing.assert_allclose(weighted[0], weighted[1:].sum(), rtol=1e-6)
    np.testing.assert_allclose(weighted[0] / weighted[1], 10, rtol=1e-6)
    np.testing.assert_allclose(weighted.mean(), 0.5, rtol=1e-6)


def test_pos_weight_runs_over_the_last_axis(rng):
    x, t = rng.normal(size=(4, 3)), rng.integers(0, 2, (4, 3))
    factors = np.array([1.0, 2.0, 5.0])
    loss = losses.binary_cross_entropy_with_logits
    value = jax.jit(lambda: loss(x, t, pos_weight=factors))()
    p = 1 / (1 + np.exp(-x))
    expected = -(factors * t * np.log(p) + (1 - t) * np.log(1 - p))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_focal_without_focus_is_cross_entropy(rng):
    x, t = rng.normal(0, 4, 300), rng.random(300)
    both = (partial(losses.binary_focal, gamma=0), losses.binary_cross_entropy_with_logits)
    np.testing.assert_allclose(*jax.jit(lambda: [loss(x, t) for loss in both])(), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2.0])
def test_focal_gradient_is_finite_for_every_exponent(gamma):
    x = jnp.array([-INF, -200.0, -90, -20, 0, 20, 90, 200, INF])
    gradient = jax.jit(jax.vmap(jax.grad(lambda x, t: losses.binary_focal(x, t, gamma=gamma))))
    for target in (0.0, 1.0):
        assert np.isfinite(gradient(x, jnp.full(9, target))).all()


@pytest.mark.parametrize(
    "loss",
    [
        losses.binary_cross_entropy_with_logits,
        losses.binary_focal,
        lambda x, t: losses.binary_cross_entropy(jax.nn.sigmoid(x), t),
    ],
    ids=["with_logits", "focal", "probabilities"],
)
def test_gradients_by_finite_differences(rng, loss):
    x, t = jnp.asarray(rng.normal(size=6)), jnp.asarray(rng.uniform(0.1, 0.9, 6))
    check_grads(jax.jit(loss), (x, t), order=1, atol=2e-2, rtol=2e-2)


def test_vmap_equals_batch(rng):
    x, t = rng.normal(size=(5, 3)), rng.random((5, 3))
    for loss in (
        losses.binary_cross_entropy_with_logits,
        losses.binary_focal,
        lambda x, t: losses.binary_cross_entropy(jax.nn.sigmoid(x), t),
    ):
        mapped = jax.jit(jax.vmap(loss))(x, t)
        np.testing.assert_allclose(mapped, jax.jit(loss)(x, t), rtol=1e-6)


def test_unusable_arguments():
    x = jnp.zeros((4, 1))
    for loss in (
        losses.binary_cross_entropy,
        losses.binary_cross_entropy_with_logits,
        losses.binary_focal,
    ):
        with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
            loss(x, jnp.zeros(4))
        with pytest.raises(ConfigError, match="'average'"):
            jax.eval_shape(partial(loss, reduction="average"), x, x)
    with pytest.raises(ShapeError, match="pos_weight"):
        losses.binary_cross_entropy_with_logits(x, x, pos_weight=jnp.ones(4))
    with pytest.raises(ShapeError, match="weights"):
        losses.binary_cross_entropy_with_logits(x, x, weights=jnp.ones(4))
    with pytest.raises(ConfigError, match="alpha = 2"):
        losses.binary_focal(x, x, alpha=2)
    with pytest.raises(ConfigError, match="gamma = -1"):
        losses.binary_focal(x, x, gamma=-1)
    with pytest.raises(ConfigError, match="positives = 0"):
        losses.weighted_binary_cross_entropy(x, x, positives=0, negatives=3)
