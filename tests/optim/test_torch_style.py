import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim
from jaxdl.errors import ConfigError
from jaxdl.losses import l1_penalty, l2_penalty

STEPS = 100
KEPT = np.array([1, 10, 100])

# The same settings as in references/make_optimizers.py, in jaxdl's words.
OPTIMIZERS = {
    "sgd": (optim.sgd, 0.05, {}),
    "sgd_decay": (optim.sgd, 0.05, {"weight_decay": 0.1}),
    "sgd_momentum": (optim.sgd, 0.02, {"momentum": 0.9, "weight_decay": 0.01}),
    "sgd_nesterov": (
        optim.sgd,
        0.02,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adam": (optim.adam, 0.01, {}),
    "adam_decay": (optim.adam, 0.01, {"b1": 0.5, "weight_decay": 0.1}),
    "adadelta": (optim.adadelta, 1.0, {}),
    "adadelta_decay": (optim.adadelta, 0.5, {"rho": 0.95, "weight_decay": 0.1}),
}
all_optimizers = pytest.mark.parametrize("name", OPTIMIZERS)


@pytest.fixture(scope="module")
def reference():
    """PyTorch's answers, made by references/make_optimizers.py."""
    with np.load(Path(__file__).parents[1] / "references" / "optimizers.npz") as arrays:
        return dict(arrays)


def trajectory(optimizer, gradient, params, data):
    """The parameters after the kept steps; the gradient is gradient(params, data of the step)."""

    def step(carry, row):
        params, state = carry
        updates, state = optimizer.update(gradient(params, row), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    _, path = jax.lax.scan(step, (params, optimizer.init(params)), data)
    return jax.tree.map(lambda leaf: leaf[KEPT - 1], path)


def on_quadratics(reference, make):
    """All noisy quadratics at once; make(factor) is the optimiser of one of them."""

    def solve(start, minimum, curvature, noise, factor):
        def gradient(w, row):
            return curvature * (w - minimum) + row

        return trajectory(make(factor), gradient, start, noise)

    data = [reference[f"noisy/{key}"] for key in ("start", "minimum", "curvature")]
    noise = reference["noisy/noise"].transpose(1, 0, 2)
    return jax.jit(jax.vmap(solve))(*data, noise, reference["noisy/factor"])


@all_optimizers
def test_agrees_with_pytorch_on_noisy_quadratics(name, reference):
    make, rate, options = OPTIMIZERS[name]
    path = on_quadratics(reference, lambda factor: make(rate * factor, **options))
    np.testing.assert_allclose(path, reference[f"{name}/noisy"], rtol=0, atol=5e-6)


@all_optimizers
def test_agrees_with_pytorch_on_tiny_gradients(name, reference):
    make, rate, options = OPTIMIZERS[name]
    solve = functools.partial(trajectory, make(rate, **options), lambda w, row: row)
    path = jax.jit(jax.vmap(solve))(
        reference["tiny/start"], reference["tiny/gradients"].transpose(1, 0, 2)
    )
    np.testing.assert_allclose(path, reference[f"{name}/tiny"], rtol=0, atol=5e-6)


@all_optimizers
def test_agrees_with_pytorch_on_a_network(name, reference):
    make, rate, options = OPTIMIZERS[name]

    def loss(params, batch):
        x, y = batch
        hidden = jnp.tanh(x @ params["w1"] + params["b1"][None])
        return jnp.square(hidden @ params["w2"] + params["b2"][None] - y).mean()

    params = {key: reference[f"network/{key}"] for key in ("w1", "b1", "w2", "b2")}
    batches = (reference["network/x"], reference["network/y"])
    solve = functools.partial(trajectory, make(rate, **options), jax.grad(loss))
    for key, path in jax.jit(jax.vmap(solve))(params, batches).items():
        np.testing.assert_allclose(path, reference[f"{name}/network/{key}"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("name", ["sgd_nesterov", "adam_decay"])
def test_a_schedule_acts_as_in_pytorch(name, reference):
    make, rate, options = OPTIMIZERS[name]
    path = on_quadratics(
        reference, lambda factor: make(lambda t: rate * factor / (1 + 0.1 * t), **options)
    )
    np.testing.assert_allclose(path, reference[f"{name}/scheduled"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_l1_agrees_with_the_penalty_in_pytorchs_loss(name, reference):
    make, rate, _ = OPTIMIZERS[name]
    path = on_quadratics(
        reference, lambda factor: optax.chain(optim.add_l1(0.05), make(rate * factor))
    )
    np.testing.assert_allclose(path, reference[f"{name}/l1"], rtol=0, atol=5e-6)


@pytest.mark.parametrize(
    ("optimizer", "penalty"),
    [
        (optim.sgd(1.0, weight_decay=0.3), l2_penalty),
        (optax.chain(optim.add_l1(0.3), optim.sgd(1.0)), l1_penalty),
    ],
    ids=["l2", "l1"],
)
def test_coupled_decay_is_the_gradient_of_the_penalty(optimizer, penalty):
    params = {"kernel": jnp.array([[1.5, -2.0], [0.0, 3.0]]), "bias": jnp.array([0.5, -0.25])}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    expected = jax.grad(lambda p: -0.3 * penalty(p))(params)
    jax.tree.map(lambda u, e: np.testing.assert_allclose(u, e, rtol=1e-6), updates, expected)


def test_adams_decay_is_coupled():
    w, optimizer = jnp.array(2.0), optim.adam(0.1, weight_decay=0.5)
    update, _ = optimizer.update(jnp.array(0.0), optimizer.init(w), w)
    # Adam makes the decay a whole step; beside the gradient it would be 0.1 · 0.5 · 2.
    np.testing.assert_allclose(update, -0.1, rtol=1e-4)


@all_optimizers
def test_state_keeps_its_structure_and_types(name):
    make, rate, options = OPTIMIZERS[name]
    optimizer = make(rate, **options)
    params = {"w": jnp.ones((2, 3)), "half": jnp.ones(2, jnp.bfloat16)}
    state = optimizer.init(params)
    updates, after = jax.eval_shape(optimizer.update, params, state, params)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(
        lambda a: (a.shape, a.dtype), state
    )
    assert updates["half"].dtype == jnp.bfloat16


def test_adams_first_steps_are_exact():
    optimizer = optim.adam(1.0, eps=0.0)
    gradient = jnp.array(3.0)
    state = optimizer.init(gradient)
    for _ in range(3):  # a constant gradient: m̂ = g and v̂ = g², whatever the betas
        update, state = optimizer.update(gradient, state)
        np.testing.assert_allclose(update, -1.0, rtol=5e-7)


def test_adams_state_can_be_donated():
    optimizer = optim.adam(0.1)
    state = optimizer.init(jnp.ones(3))
    update = jax.jit(lambda g, state: optimizer.update(g, state), donate_argnums=1)
    update(jnp.ones(3), state)


def test_infinite_weights_stay_without_decay():
    w = jnp.array(jnp.inf)
    optimizer = optim.sgd(0.1)
    update, _ = optimizer.update(jnp.array(1.0), optimizer.init(w), w)
    assert update == -jnp.float32(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.sgd(-0.1), "learning_rate is -0.1"),
        (lambda: optim.sgd(0.1, momentum=-1), "momentum is -1"),
        (lambda: optim.sgd(0.1, nesterov=True), "nesterov needs momentum"),
        (lambda: optim.adam(0.1, b1=1.0), "b1 is 1.0"),
        (lambda: optim.adam(float("nan")), "learning_rate is nan"),
        (lambda: optim.adam(0.1, weight_decay=-0.1), "weight_decay is -0.1"),
        (lambda: optim.adadelta(rho=-0.1), "rho is -0.1"),
        (lambda: optim.adadelta(eps=-1.0), "eps is -1.0"),
        (lambda: optim.add_l1(-1.0), "strength is -1.0"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
