"""The scores against other packages' (tests/references/make_generative.py) and bad features."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics import generative

KEY = jax.random.key(0)
CASES = ["generated", "noisy", "copies"]


@pytest.fixture(scope="module")
def stored():
    with np.load(Path(__file__).parents[2] / "references/generative.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", CASES)
def test_frechet_distance_is_torch_fidelitys(stored, case):
    distance = generative.frechet_distance(stored[case], stored["test"])
    assert distance == pytest.approx(stored[f"{case}/fid"], rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_kernel_distance_is_torch_fidelitys(stored, case):
    # One subset of everything: no draw is left to differ.
    found = generative.kernel_distance(stored[case], stored["test"], KEY, 1, 300)
    assert found.mean == pytest.approx(stored[f"{case}/kid"], rel=1e-5)
    assert found.sd == 0


@pytest.mark.parametrize("case", CASES)
def test_prdc_is_prdcs_and_torch_fidelitys(stored, case):
    found = generative.prdc(stored[case], stored["test"])
    np.testing.assert_allclose(found, stored[f"{case}/prdc"], rtol=1e-5)
    found = generative.prdc(stored[case], stored["test"], nearest_k=3)
    np.testing.assert_allclose(found[:2], stored[f"{case}/three"], rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_likelihood_divergence_is_flds(stored, case):
    features, test, train = (stored[name] for name in (case, "test", "train"))
    found = generative.feature_likelihood_divergence(features, test, train, KEY, baseline=1.0)
    assert found.score == pytest.approx(stored[f"{case}/fld_test"], rel=1e-3)
    assert 100 * (found.train_nll - 1) == pytest.approx(stored[f"{case}/fld_train"], rel=1e-3)
    assert found.gap == pytest.approx(stored[f"{case}/fld_gap"], rel=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_memorisation_is_flds(stored, case):
    features, test, train = (stored[name] for name in (case, "test", "train"))
    found = generative.data_copying(features, test, train, KEY)
    assert found == pytest.approx(stored[f"{case}/c_t"], rel=1e-5)
    share = generative.authenticity(features, train)
    assert 100 * share - 50 == pytest.approx(stored[f"{case}/auth"], rel=1e-5)


FUNCTIONS = {
    "frechet": generative.frechet_distance,
    "kernel": lambda x, y: generative.kernel_distance(x, y, KEY, 2, 10),
    "prdc": generative.prdc,
    "neighbors": generative.nearest_neighbors,
    "fld": lambda x, y: generative.feature_likelihood_divergence(x, y, y, KEY),
    "fld train": lambda x, y: generative.feature_likelihood_divergence(y, y, x, KEY),
    "c_t": lambda x, y: generative.data_copying(x, y, y, KEY),
    "auth": lambda x, y: generative.authenticity(y, x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_features_are_refused(rng, name):
    score = FUNCTIONS[name]
    good = rng.normal(size=(20, 3)).astype("f4")
    with pytest.raises(ShapeError, match=r"2 features a sample|has 3"):
        score(good[:, :2], good)
    with pytest.raises(ShapeError, match=r"has shape \(20,\): need \(samples, features\)"):
        score(good[:, 0], good)
    with pytest.raises(ShapeError, match="real numbers"):
        score(good.astype(str), good)
    with pytest.raises(ShapeError, match=r"shape \(0, 3\)"):
        score(good[:0], good)
    bad = good.copy()
    bad[3:5, 1] = np.nan, np.inf
    with pytest.raises(ConfigError, match="NaN or infinite values in 2 of 20 samples"):
        score(bad, good)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "neighbors"])
def test_too_few_samples_are_refused(rng, name):
    good = rng.normal(size=(20, 3))
    with pytest.raises((ShapeError, ConfigError), match="sample"):
        FUNCTIONS[name](good[:1], good)
