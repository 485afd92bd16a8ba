import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.models import MLP, Fusion
from jaxdl.nn import softmax

SIZES = (5, 3)


def network(fusion, rng):
    model = Fusion(SIZES, fusion, hidden=(4,), num_classes=6, gate_hidden=7)
    x = rng.normal(size=(9, 8)).astype(np.float32)
    return model, model.init(jax.random.key(0), x, train=False), x


def of_part(variables, i, x):
    return MLP((4,), 6).apply({"params": variables["params"][f"mlp_{i}"]}, x, train=False)


def test_early_fusion_is_one_network_on_everything(rng):
    model, variables, x = network("early", rng)
    assert set(variables["params"]) == {"mlp_0"}
    found = model.apply(variables, x, train=True)
    np.testing.assert_allclose(found, of_part(variables, 0, x), atol=1e-6)


def test_late_fusion_averages_the_logits_of_each_part(rng):
    model, variables, x = network("late", rng)
    parts = [of_part(variables, 0, x[:, :5]), of_part(variables, 1, x[:, 5:])]
    np.testing.assert_allclose(
        model.apply(variables, x, train=False), (parts[0] + parts[1]) / 2, atol=1e-6
    )


def test_the_gate_weights_each_input_by_itself(rng):
    model, variables, x = network("gated", rng)
    gate = MLP((7,), 2).apply({"params": variables["params"]["gate"]}, x, train=False)
    weights = model.apply(variables, x, method="weights")
    np.testing.assert_allclose(weights, softmax(gate), atol=1e-6)
    assert np.ptp(np.asarray(weights)[:, 0]) > 1e-3
    wanted = sum(
        weights[:, i, None] * of_part(variables, i, part)
        for i, part in enumerate((x[:, :5], x[:, 5:]))
    )
    np.testing.assert_allclose(model.apply(variables, x, train=True), wanted, atol=1e-6)


def test_what_does_not_fit_is_refused(rng):
    model, variables, _ = network("late", rng)
    with pytest.raises(ShapeError, match=r"inputs have 9 numbers each; parts of \(5, 3\) have 8"):
        model.apply(variables, jnp.zeros((2, 3, 3)), train=False)
    with pytest.raises(ConfigError, match="'middle': choose early, late, gated"):
        Fusion(SIZES, "middle").init(jax.random.key(0), jnp.zeros((1, 8)), train=False)
