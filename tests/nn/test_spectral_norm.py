"""Spectral normalisation against PyTorch (references/make_adversarial.py) and the true norm."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import Conv

STORED = np.load(Path(__file__).parents[1] / "references" / "adversarial.npz")
REFERENCES = {n.removeprefix("spectral."): v for n, v in STORED.items() if "spectral." in n}
LAYER = Conv(5, 4, stride=2, padding=1, use_bias=False, method="lax", spectral=True)


def ours(state):
    """Variables from PyTorch's; its inputs are ordered channel, row, column."""
    v = REFERENCES[f"{state}.weight_v"].reshape(3, 4, 4).transpose(1, 2, 0).ravel()
    kernel = REFERENCES[f"{state}.weight_orig"].transpose(2, 3, 1, 0)
    vectors = {"u": REFERENCES[f"{state}.weight_u"], "v": v}
    return jax.tree.map(jnp.asarray, {"params": {"kernel": kernel}, "batch_stats": vectors})


def images_last(name):
    return jnp.asarray(np.moveaxis(REFERENCES[name], -3, -1))


@jax.jit
def train(variables, x):
    return LAYER.apply(variables, x, train=True, mutable=["batch_stats"])


def test_passes_gradients_and_evaluation_are_pytorch_s():
    with jax.enable_x64(True):
        variables, x = ours("before"), images_last("images")
        for expected in images_last("outputs"):
            before = variables
            y, vectors = train(variables, x)
            variables = {**variables, **vectors}
            np.testing.assert_allclose(y, expected, atol=1e-10)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), variables, ours("after")
        )

        def product(params):
            return (train({**before, "params": params}, x)[0] * images_last("cotangent")).sum()

        gradient = jax.jit(jax.grad(product))(before["params"])["kernel"]
        theirs = REFERENCES["gradient"].transpose(2, 3, 1, 0)
        np.testing.assert_allclose(gradient, theirs, atol=1e-9)
        scaled = {
            "kernel": variables["params"]["kernel"] * np.linspace(0.5, 2, 5)[None, None, None]
        }
        y = jax.jit(LAYER.apply)({**variables, "params": scaled}, x)
        np.testing.assert_allclose(y, images_last("evaluated"), atol=1e-10)


def test_the_norm_comes_to_be_the_largest_singular_value():
    x = jnp.ones((1, 8, 8, 3))
    variables = LAYER.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, variables["batch_stats"]) == {"u": (5,), "v": (48,)}
    vectors, other = (LAYER.init(jax.random.key(i), x)["batch_stats"]["u"] for i in (0, 1))
    assert float(jnp.linalg.norm(vectors)) == pytest.approx(1, rel=1e-5)
    assert np.abs(vectors - other).max() > 0.1
    for _ in range(60):
        variables |= train(variables, x)[1]
    u, v = (variables["batch_stats"][name] for name in "uv")
    matrix = np.asarray(variables["params"]["kernel"], np.float64).reshape(48, 5)
    sigma = np.asarray(v, np.float64) @ matrix @ np.asarray(u, np.float64)
    assert sigma == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-3)


def test_a_kernel_of_zeros_gives_no_nan_in_the_vectors():
    x = jnp.ones((1, 8, 8, 3))
    variables = LAYER.init(jax.random.key(0), x)
    variables["params"] = {"kernel": jnp.zeros((4, 4, 3, 5))}
    vectors = train(variables, x)[1]["batch_stats"]
    assert all(np.isfinite(vector).all() for vector in vectors.values())


def test_initialisation_and_evaluation_leave_the_vectors_alone():
    x = jnp.ones((1, 8, 8, 3))
    first, second = (LAYER.init(jax.random.key(0), x, train=train) for train in (False, True))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    _, vectors = LAYER.apply(first, x, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, vectors["batch_stats"], first["batch_stats"])
