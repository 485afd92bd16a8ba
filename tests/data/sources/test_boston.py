"""The house prices against figures published with them, and what a damaged file does."""

import importlib.resources

import numpy as np
import pytest

from jaxdl.data.sources.boston import FEATURES, load_boston
from jaxdl.errors import DataError, DataUnavailableError


def test_the_data_are_the_published_ones():
    features, prices = load_boston()
    assert (features.shape, features.dtype) == ((506, 13), np.float32)
    assert (prices.shape, prices.dtype) == ((506,), np.float32)
    # Means as printed in the data set's description, in every textbook.
    assert prices.mean(dtype=np.float64) == pytest.approx(22.5328, abs=1e-4)
    column = dict(zip(FEATURES, features.astype(np.float64).T, strict=True))
    assert column["RM"].mean() == pytest.approx(6.2846, abs=1e-4)
    assert column["CRIM"].mean() == pytest.approx(3.6135, abs=1e-4)
    assert column["LSTAT"].mean() == pytest.approx(12.6531, abs=1e-4)
    assert column["CHAS"].sum() == 35
    assert (prices >= 50).sum() == 16
    assert prices.max() == 50


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "boston_housing.csv").write_text("1,2,3\n")
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match="expected 8594f084"):
        load_boston()


def test_without_mlxtend_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(DataUnavailableError, match="pip install mlxtend"):
        load_boston()
