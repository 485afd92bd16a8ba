"""Inputs that pad and scale, and classifiers in files."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.classification import (
    Inputs,
    TrainedClassifier,
    inputs_for,
    load_classifier,
    save_classifier,
)
from jaxdl.errors import ConfigError, ShapeError, WeightsError
from jaxdl.interop import save_state_dict
from jaxdl.interop.safetensors import encode
from jaxdl.models import CNN, MLP


def images(rng, *shape):
    return rng.integers(0, 256, shape, np.uint8)


def make(model, inputs, example):
    initialize = functools.partial(model.init, train=False)
    variables = jax.jit(initialize)(jax.random.key(0), inputs(example))
    return TrainedClassifier(model, variables, inputs, {"seed": 3})


def test_standard_inputs_have_mean_0_and_deviation_1(rng):
    some = images(rng, 50, 6, 5, 3) // np.array([1, 2, 4], np.uint8)
    x = inputs_for(some)(some)
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=2e-3)
    np.testing.assert_allclose(x.std((0, 1, 2)), 1, atol=2e-3)


def test_raw_and_unit_inputs_and_padding(rng):
    some = images(rng, 2, 5, 6, 1)
    raw = inputs_for(some, "raw", multiple_of=4)(some)
    np.testing.assert_allclose(raw[:, 1:6, 1:7], some, rtol=1e-6)
    assert raw.shape == (2, 8, 8, 1)
    assert float(raw[:, 0].max()) == 0
    np.testing.assert_allclose(inputs_for(some, "unit")(some), some / 255, rtol=1e-6)


def test_images_without_contrast_are_scaled_to_0():
    blank = np.full((3, 2, 2, 1), 9, np.uint8)
    assert float(jnp.abs(inputs_for(blank)(blank)).max()) < 1e-3


def test_bad_inputs_are_refused(rng):
    with pytest.raises(ConfigError, match="scaling is 'log'"):
        inputs_for(images(rng, 1, 2, 2, 1), "log")
    with pytest.raises(ShapeError, match="at most 4 by 4"):
        Inputs(side=4)(images(rng, 1, 5, 4, 1))


@pytest.mark.parametrize(
    ("model", "side", "suffix"),
    [
        (MLP(hidden=(), num_classes=3), None, ".safetensors"),
        (MLP(hidden=(6, 5), num_classes=3), None, ".pt"),
        (CNN((2, 4), 6, 3, 8, pool=False), 8, ".safetensors"),
        (CNN((2, 4), 6, 3, 8, pool=False), 8, ".pt"),
        (CNN((2,), 6, 3, 8), 8, ".npz"),
    ],
)
def test_a_classifier_comes_back_from_its_file(model, side, suffix, rng, tmp_path):
    some = images(rng, 3, 7, 6, 1)
    inputs = inputs_for(some, multiple_of=side)
    classifier = make(model, inputs, some)
    path = save_classifier(classifier, tmp_path / f"model{suffix}")
    again = load_classifier(path, None if suffix == ".safetensors" else inputs)
    assert again.model == model
    assert again.inputs == inputs
    assert again.record == ({"seed": 3} if suffix == ".safetensors" else {})
    np.testing.assert_array_equal(again.probabilities(some), classifier.probabilities(some))


def test_a_file_without_a_description_needs_the_inputs(rng, tmp_path):
    path = tmp_path / "model.pt"
    save_classifier(make(MLP(hidden=()), Inputs(), images(rng, 1, 2, 2, 1)), path)
    with pytest.raises(WeightsError, match="does not say how images are scaled"):
        load_classifier(path)


@pytest.mark.parametrize(
    "about",
    [
        "{",
        "{}",
        json.dumps({"model": "os", "sizes": {}, "inputs": {}, "record": {}}),
        json.dumps({"model": "MLP", "sizes": {"hidden": ["x"], "num_classes": 2}}),
        json.dumps({"model": "MLP", "sizes": {"hidden": [-1], "num_classes": 2}}),
    ],
)
def test_a_damaged_description_is_refused(about, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(encode({"fc1.weight": np.zeros((2, 4), np.float32)}, {"classifier": about}))
    with pytest.raises(WeightsError, match=r"model.safetensors: its description .* is damaged"):
        load_classifier(path)


@pytest.mark.parametrize(
    "shapes",
    [
        {"main.0.weight": (4, 4)},
        {"fc2.weight": (4, 4)},
        {"fc1.weight": (4, 4, 4)},
        {"conv1.weight": (4, 1, 3, 3)},
        {"conv1.weight": (4, 1), "fc1.weight": (2, 4), "fc2.weight": (2, 2)},
        {"conv1.weight": (4, 1, 3, 3), "fc1.weight": (2, 4)},
    ],
)
def test_weights_of_something_else_are_refused(shapes, tmp_path):
    path = tmp_path / "model.npz"
    save_state_dict(path, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    with pytest.raises(WeightsError):
        load_classifier(path, Inputs())
