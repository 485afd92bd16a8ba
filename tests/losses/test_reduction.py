import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.errors import ConfigError, ShapeError


def test_top_k_is_the_mean_of_the_hardest():
    values = jnp.array([0.1, 3.0, 0.2, 1.0])
    assert losses.top_k(values, 1) == 3
    assert losses.top_k(values, 2) == 2
    assert losses.top_k(values, 4) == pytest.approx(values.mean())


def test_top_k_matches_a_sort(rng):
    values = rng.normal(size=(300, 7)).astype(np.float32)
    for k in (1, 3, 7):
        result = jax.jit(jax.vmap(lambda v, k=k: losses.top_k(v, k)))(values)
        np.testing.assert_allclose(result, np.sort(values)[:, -k:].mean(1), rtol=1e-5, atol=1e-6)


def test_top_k_trains_only_the_hardest():
    gradient = jax.grad(lambda v: losses.top_k(v, 2))(jnp.array([0.1, 3.0, 0.2, 1.0]))
    np.testing.assert_array_equal(gradient, [0, 0.5, 0, 0.5])


def test_top_k_s_terms_have_its_mean_and_its_gradient(rng):
    values = jnp.asarray(rng.normal(size=9).astype(np.float32) ** 2)
    terms = losses.top_k(values, 4, reduction="none")
    assert terms.shape == (9,)
    assert np.count_nonzero(terms) == 4
    np.testing.assert_allclose(terms.mean(), losses.top_k(values, 4), rtol=1e-6)
    of_terms = jax.grad(lambda v: losses.top_k(v, 4, reduction="none").mean())(values)
    np.testing.assert_allclose(of_terms, jax.grad(lambda v: losses.top_k(v, 4))(values), rtol=1e-6)
    # Of equal losses, k count and no more.
    assert np.count_nonzero(losses.top_k(jnp.ones(5), 2, reduction="none")) == 2


def test_top_k_refuses():
    with pytest.raises(ConfigError, match="knows 'mean' and 'none'"):
        losses.top_k(jnp.zeros(4), 2, reduction="sum")
    with pytest.raises(ConfigError, match="k = 5 of 4"):
        losses.top_k(jnp.zeros(4), 5)
    with pytest.raises(ConfigError, match="k = 0"):
        losses.top_k(jnp.zeros(4), 0)
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        losses.top_k(jnp.zeros((2, 2)), 1)
