"""Dilation, the transposed convolution and the heads, against independent numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lessons import convolution_shapes
from experiments.lessons.convolution_shapes import ConvolutionShapesConfig


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """The lesson with few examples."""
    folder = tmp_path_factory.mktemp("shapes")
    fields = {"workdir": str(folder), "data_source": "embedded", "examples": 200, "digits": 2}
    return convolution_shapes.run(ConvolutionShapesConfig(**fields))


def test_a_dilated_kernel_sees_more_with_as_many_weights(result):
    rows = result.summary["dilation"]
    assert [row["weights"] for row in rows] == [9, 9, 9]
    assert [row["sees"] for row in rows] == [3, 5, 7]
    assert [row["size"] for row in rows] == [26, 24, 22]
    taps = np.array(rows[1]["taps"])
    assert np.argwhere(taps).tolist() == [[i, j] for i in (2, 4, 6) for j in (2, 4, 6)]
    assert "dilation 3 sees 7 pixels across instead of 3" in result.summary["shown"]


def test_the_transpose_restores_the_shape_and_not_the_values(result):
    found = result.summary["transposed"]
    assert found["shapes"] == [[2, 28, 28, 1], [2, 14, 14, 1], [2, 28, 28, 1]]
    assert 0.2 < found["error"] < 0.8
    images = np.random.default_rng(0).random((2, 8, 6, 1)).astype(np.float32)
    restored = convolution_shapes.there_and_back(jnp.asarray(images))
    # Written out: each small pixel is a mean of 4×4, and each of those pixels gets a copy of it.
    padded = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1)))
    back = np.zeros_like(padded)
    for i, j in np.ndindex(4, 3):
        window = np.s_[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
        mean = padded[window].mean((1, 2), keepdims=True)
        np.testing.assert_allclose(restored.small[:, i, j, 0], mean[:, 0, 0], rtol=1e-5)
        back[window] += mean / 16
    back = back[:, 1:-1, 1:-1]
    back *= (back * images[..., 0]).sum() / (back**2).sum()
    np.testing.assert_allclose(restored.back[..., 0], back, rtol=1e-4)
    error = np.sqrt(((images[..., 0] - back) ** 2).sum() / (images**2).sum())
    assert restored.error == pytest.approx(error, rel=1e-4)


def test_only_the_pooled_head_takes_every_size(result):
    heads = result.summary["heads"]
    assert heads["pooled"]["weights"] == 10 * (32 + 1)
    assert heads["flattened"]["weights"] == 10 * (7 * 7 * 32 + 1)
    assert None not in heads["pooled"]["accuracy"].values()
    refused = [value is None for value in heads["flattened"]["accuracy"].values()]
    assert refused == [False, True, True]
    assert heads["flattened"]["accuracy"]["28 pixels"] > 0.6
    assert heads["pooled"]["accuracy"]["28 pixels"] > 0.25
    assert "the flattened head takes 1 of 3 sizes" in result.summary["shown"]


def test_a_head_is_fitted_by_least_squares():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 4)), rng.integers(0, 10, 60)
    weights = convolution_shapes.fit_head(inputs, labels)
    table = np.column_stack([inputs, np.ones(60)])
    expected = np.linalg.lstsq(table, np.eye(10)[labels], rcond=None)[0]
    np.testing.assert_allclose(weights, expected, atol=1e-3)
    right = ((table @ weights).argmax(1) == labels).mean()
    assert convolution_shapes.accuracy_of(inputs, weights, labels) == right
    assert convolution_shapes.accuracy_of(inputs[:, :3], weights, labels) is None
