"""The programs of mismatch and fusion end to end, shrunk."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.practice import fusion, mismatch
from jaxdl import data
from jaxdl.data.sources.embedded import load_embedded

pytestmark = pytest.mark.usefixtures("no_pictures")


def small(config_class, folder, data_dir, **fields):
    fields = {"workdir": str(folder), "data_dir": data_dir, "num_devices": 1, **fields}
    return config_class.from_preset("smoke", **fields)


@pytest.fixture
def few_ways(monkeypatch):
    """Mismatch with the ways that have code of their own: each takes seconds to compile."""
    make_runs = mismatch.make_runs

    def some(config, dataset):
        kept = {mismatch.SOURCE, "both, no reversal", "adversarial", "few labels", "fine-tuned"}
        return [run for run in make_runs(config, dataset) if run.name in kept]

    monkeypatch.setattr(mismatch, "make_runs", some)
    monkeypatch.setattr(mismatch, "FROM_SOURCE", ("fine-tuned",))


@pytest.mark.usefixtures("few_ways")
@pytest.mark.slow
def test_mismatch(tmp_path, few_digits):
    config = small(mismatch.MismatchConfig, tmp_path, few_digits, batch_size=80)
    result = mismatch.run(config)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(result.figures) == {"comparison", "differences", "digits"}
    differences = summary["runs"]["fine-tuned"]
    assert {"difference_to_source only", "difference_to_few labels"} <= set(differences)
    assert "The reversal itself" in summary["sentence"]
    # Fine-tuning starts from the source's network of the same seed.
    source, tuned = (
        result.fitted[name].log.series("loss")[1] for name in (mismatch.SOURCE, "fine-tuned")
    )
    assert len(source) == 4  # an epoch of 320 images
    assert len(tuned) == 2  # two epochs of a quarter of them
    for i in range(2):
        own = result.fitted["fine-tuned"].network(i).params["conv_0"]["kernel"]
        other = result.fitted[mismatch.SOURCE].network(i).params["conv_0"]["kernel"]
        assert 0 < float(jnp.abs(own - other).max()) < 0.01  # two steps of Adam


@pytest.mark.parametrize("target", mismatch.TARGETS)
def test_no_label_of_the_target_reaches_the_adversary_and_its_test_part_no_training(target):
    digits = load_embedded()
    config = mismatch.MismatchConfig(target=target, batch_size=100)
    made = mismatch.make_target(config, digits)
    runs = {run.name: run for run in mismatch.make_runs(config, digits)}
    assert set(mismatch.FROM_SOURCE) < set(runs)
    joined = runs["adversarial"].train
    np.testing.assert_array_equal(joined.labels[: digits.num_train], digits.train.labels)
    assert (joined.labels[digits.num_train :] == 10).all()
    np.testing.assert_array_equal(joined.images[digits.num_train :], made.train.images)
    for run in runs.values():
        np.testing.assert_array_equal(run.evaluate_on["test"].images, made.test.images)
        assert len(run.train.images) in (
            digits.num_train,
            made.num_train,
            digits.num_train + made.num_train,
        )
    drawn = {int(i) for i in runs["fine-tuned"].how["sampler"](jax.random.key(0), 1)}
    assert np.bincount(made.train.labels[sorted(drawn)]).tolist() == [config.few] * 10


@pytest.mark.slow
def test_fusion(tmp_path, few_digits):
    result = fusion.run(small(fusion.FusionConfig, tmp_path, few_digits, batch_size=80))
    assert set(result.figures) == {
        "comparison",
        "differences",
        "inputs",
        "no_picture",
        "no_measurement",
    }
    values = result.findings.values
    assert list(values)[:2] == [fusion.PICTURE, fusion.MEASUREMENT]
    # Who does not look at an input does not notice that it fails.
    assert (
        values[fusion.PICTURE]["test_accuracy"] == values[fusion.PICTURE]["no_measurement_accuracy"]
    )
    alone = values[fusion.MEASUREMENT]
    assert alone["test_accuracy"] == alone["no_picture_accuracy"]
    sentence = json.loads((tmp_path / "summary.json").read_text())["sentence"]
    assert "Accuracy without the picture: picture alone" in sentence
    assert "; trained with failures: early " in sentence


def test_an_input_that_fails_is_black_and_the_other_stays(rng):
    images = rng.integers(1, 256, (400, 30, 28, 1), np.uint8)
    for picture, lost in ((True, slice(28)), (False, slice(28, None))):
        found = np.asarray(fusion.without(images, picture))
        assert (found[:, lost] == 0).all()
        assert ((found == 0) | (found == images)).all()
        assert (found != 0).any()
    found = np.asarray(
        fusion.failing(jax.random.key(0), jnp.asarray(images), jnp.arange(400), share=0.4)
    )
    no_picture = (found[:, :28] == 0).all((1, 2, 3))
    no_measurement = (found[:, 28:] == 0).all((1, 2, 3))
    assert not (no_picture & no_measurement).any()
    assert no_picture.mean() == pytest.approx(0.2, abs=0.06)
    assert no_measurement.mean() == pytest.approx(0.2, abs=0.06)
    whole = ~(no_picture | no_measurement)
    np.testing.assert_array_equal(found[whole], images[whole])


def test_views_hold_the_picture_and_the_measurement():
    config = fusion.FusionConfig(batch_size=100)
    runs = fusion.make_runs(config, load_embedded())
    assert {run.train.images.shape for run in runs} == {(4000, 30, 28, 1)}
    parts = runs[0].evaluate_on
    assert (parts["no_picture"].images[:, :28] == 0).all()
    np.testing.assert_array_equal(parts["no_picture"].images[:, 28:], parts["test"].images[:, 28:])
    assert isinstance(parts["test"], data.Split)
