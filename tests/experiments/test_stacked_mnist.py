"""stacked_mnist: a thousand modes, read colour by colour."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments import stacked_mnist
from experiments.common.run_data import STACKED, load_named
from jaxdl import data, evaluation
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.metrics.generative import mode_coverage


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist", source="embedded")


def test_each_colour_is_a_digit_of_the_label(digits):
    made = data.stacked(digits, jax.random.key(1), 200, 100)
    by_bytes = {image.tobytes(): label for image, label in zip(*digits.train, strict=True)}
    for image, label in zip(*made.train, strict=True):
        found = [by_bytes[np.ascontiguousarray(image[..., i : i + 1]).tobytes()] for i in range(3)]
        assert int("".join(map(str, found))) == label
    tests = {image.tobytes() for image in digits.test.images}
    for image in made.test.images:
        assert np.ascontiguousarray(image[..., :1]).tobytes() in tests
    with pytest.raises(ShapeError, match="grey digits"):
        data.stacked(made, jax.random.key(0))


def test_the_judge_reads_the_label(digits):
    made = data.stacked(digits, jax.random.key(2), 10, 500)
    modes = stacked_mnist.read_modes(made.test.images, evaluation.load_judge("mnist"))
    assert (modes == made.test.labels).mean() > 0.97
    np.testing.assert_array_equal(
        stacked_mnist.read_modes(np.repeat(digits.images[:20], 3, -1), evaluation.load_judge()),
        111 * digits.labels[:20],
    )


def test_mode_coverage_of_known_samples(rng):
    assert mode_coverage(np.arange(1000), 1000) == (1000, 0.0)
    one = mode_coverage(np.zeros(50, int), 1000)
    assert one.modes == 1
    assert one.kl == pytest.approx(np.log(1000))
    perfect = mode_coverage(rng.integers(0, 1000, 26_000), 1000)
    assert perfect.modes == 1000
    assert perfect.kl == pytest.approx(999 / 52_000, rel=0.2)
    for wrong in ([], [[1]], [0.5]):
        with pytest.raises(ShapeError):
            mode_coverage(wrong, 10)
    with pytest.raises(ConfigError, match="need 0 to 9"):
        mode_coverage([3, 10], 10)


def test_stacked_mnist_is_a_data_set_by_name(monkeypatch):
    monkeypatch.setattr(data.stacked, "__kwdefaults__", None)
    monkeypatch.setattr(data.stacked, "__defaults__", (300, 100))
    made = load_named(STACKED, None, "embedded")
    assert (made.num_train, made.num_classes, made.source) == (300, 1000, "embedded")


def test_the_settings_differ_in_loss_and_normalisation_only(tmp_path):
    config = stacked_mnist.StackedMnistConfig(workdir=str(tmp_path), steps=50)
    plain, stabilised = (
        dataclasses.asdict(stacked_mnist.training_config(config, name, 1))
        for name in stacked_mnist.SETTINGS
    )
    other = {name for name in plain if plain[name] != stabilised[name]}
    assert other == {"workdir", "loss", "r1", "r2", "norm"}
    assert plain["max_steps"] == plain["decay_steps"] == 50


@pytest.mark.slow
def test_a_small_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data.stacked, "__defaults__", (300, 100))
    config = stacked_mnist.StackedMnistConfig.from_preset(
        "smoke", workdir=str(tmp_path), data_source="embedded", num_devices=1
    )
    stacked_mnist.run(config)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [row["setting"] for row in summary["rows"]] == ["plain", "stabilised"]
    assert all(1 <= row["found"]["modes"] <= 1000 for row in summary["rows"])
    assert summary["real"]["modes"] <= 100  # a hundred images
    for name in ("samples", "modes"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
    printed = capsys.readouterr().out
    assert "Training 2 of 2: stabilised, seed 0" in printed
    assert "PacGAN" in printed
