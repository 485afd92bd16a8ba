"""Adversarial losses and their penalties against PyTorch (references/make_adversarial.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.errors import ConfigError
from jaxdl.losses.gradient_penalties import gradient_penalty, r1, r2, sum_of
from jaxdl.models import Discriminator

REFERENCES = np.load(Path(__file__).parents[1] / "references" / "adversarial.npz")
PAIRS = {
    "bce": losses.NON_SATURATING,
    "hinge": losses.HINGE,
    "wasserstein": losses.WASSERSTEIN,
    "relativistic": losses.RELATIVISTIC,
}
PENALTIES = {"r1": r1(3.0), "r2": r2(3.0), "gradient_penalty": gradient_penalty(10.0)}
D = Discriminator(2, 16, normalization="none", dtype=jnp.float64)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("kind", ["discriminator", "generator"])
@pytest.mark.parametrize("name", PAIRS)
def test_losses_and_their_gradients_are_pytorch_s(name, kind):
    loss = getattr(PAIRS[name], kind)
    value, gradients = jax.value_and_grad(loss, (0, 1))(*REFERENCES["outputs"])
    np.testing.assert_allclose(value, REFERENCES[f"{name}.{kind}"], rtol=1e-12)
    np.testing.assert_allclose(
        np.stack(gradients), REFERENCES[f"{name}.{kind}.gradients"], atol=1e-12
    )


def test_only_a_relative_loss_of_g_looks_at_real_images():
    for loss in PAIRS.values():
        gradient = jax.grad(loss.generator)(*REFERENCES["outputs"])
        assert bool(np.any(gradient)) == loss.relative


def test_losses_are_finite_for_a_certain_discriminator():
    real, fake = jnp.array([1e5]), jnp.array([-1e5])
    for loss in PAIRS.values():
        for outputs in ((real, fake), (fake, real)):
            gradients = [jax.grad(f)(*outputs) for f in (loss.discriminator, loss.generator)]
            assert np.isfinite(gradients).all()


def params():
    return {
        f"conv_{i}": {
            "kernel": jnp.asarray(REFERENCES[f"critic.{2 * i}.weight"].transpose(2, 3, 1, 0))
        }
        for i in range(3)
    }


def penalty_of(name):
    images = (REFERENCES[kind].transpose(0, 2, 3, 1) for kind in ("real", "fake"))
    arguments = (*map(jnp.asarray, images), jnp.asarray(REFERENCES["mix"]))

    def value(params):
        def critic(images):
            return D.apply({"params": params}, images, train=True)

        return PENALTIES[name](critic, *arguments)

    return value


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_and_their_gradients_are_those_of_pytorch_s_double_backward(name):
    value, gradients = jax.jit(jax.value_and_grad(penalty_of(name)))(params())
    np.testing.assert_allclose(value, REFERENCES[name], rtol=1e-9)
    for i in range(3):
        theirs = REFERENCES[f"{name}.{2 * i}.weight"].transpose(2, 3, 1, 0)
        assert np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(gradients[f"conv_{i}"]["kernel"], theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_gradients_are_finite_differences(name):
    value, here = jax.jit(penalty_of(name)), params()
    gradients = jax.jit(jax.grad(penalty_of(name)))(here)
    rng = np.random.default_rng(0)
    for _ in range(3):
        way = jax.tree.map(lambda a: rng.normal(size=a.shape), here)
        up, down = (
            value(jax.tree.map(lambda a, b, s=sign: a + s * 1e-6 * b, here, way))
            for sign in (1, -1)
        )
        slope = sum(jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), gradients, way)))
        assert float(up - down) / 2e-6 == pytest.approx(float(slope), rel=1e-5)


def test_penalties_add_up_and_are_none_without_any():
    assert sum_of() is None
    assert sum_of(PENALTIES["r1"]) is PENALTIES["r1"]
    critic, images = lambda x: 2 * x.sum((1, 2, 3)), jnp.zeros((3, 1, 1, 1))
    both = sum_of(r1(1.0), gradient_penalty(2.0))
    assert float(both(critic, images, images, jnp.zeros(3))) == pytest.approx(0.5 * 4 + 2 * 1)


@pytest.mark.parametrize("penalty", [r1, r2, gradient_penalty])
def test_a_weight_below_0_is_refused(penalty):
    for weight in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="must be at least 0"):
            penalty(weight)
