"""Overfitting, shrunk: what each way changes, what it may look at, and a run of some of them."""

import json

import jax
import numpy as np
import pytest

from experiments.common.study import input_of
from experiments.practice import overfitting
from experiments.practice.overfitting import OverfittingConfig, make_runs, ways
from jaxdl.data.augmentation import KINDS
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.errors import ConfigError
from jaxdl.training.rngs import root_key


def test_each_way_changes_one_thing():
    found = ways(OverfittingConfig(examples=500), 3600)
    base = found.pop("baseline")
    for name, way in found.items():
        changed = [field for field in way._fields if getattr(way, field) != getattr(base, field)]
        assert len(changed) == 1, name
    settings = {name.partition("=")[0] for name in found if "=" in name}
    assert settings == {"width", "pool", "l1", "l2", "dropout", *KINDS}
    assert found["rotation=20"].augment == "rotation:20"
    assert [n for n in found if n.startswith("l2")] == ["l2=0.001", "l2=0.01", "l2=0.0001"]
    assert [way.examples for name, way in found.items() if name.endswith("images")] == [
        *(125, 250, 1000, 2000),
        3600,
    ]
    few = ways(OverfittingConfig(examples=500, tries=1), 3600)
    assert [n for n in few if n.startswith("l2")] == ["l2=0.001"]


@pytest.fixture(scope="module")
def made():
    config = OverfittingConfig(examples=500, batch_size=100, tries=2)
    return load_embedded(), {run.name: run for run in make_runs(config, load_embedded())}


def test_no_way_sees_the_held_out_images_in_training_or_the_test_images_at_all(made):
    digits, runs = made
    test = {image.tobytes() for image in digits.test.images}
    for run in runs.values():
        assert set(run.evaluate_on) == {"train", "val"}
        held = {image.tobytes() for image in run.evaluate_on["val"].images}
        assert len(held) == 400
        own = {image.tobytes() for image in run.train.images}
        assert not own & (held | test)
        assert not held & test
    small, large = runs["baseline"].train, runs["1,000 images"].train
    np.testing.assert_array_equal(small.images, large.images[:500])
    assert len(runs["3,600 images"].train.labels) == 3600


def test_all_ways_take_equally_many_steps(made):
    _, runs = made
    for name in ("baseline", "125 images", "3,600 images", "dropout=0.5"):
        run = runs[name]
        drawn = np.asarray(run.how["sampler"](root_key(0), 1))
        assert drawn.shape == (50 * 100,)
        assert drawn.max() == len(run.train.labels) - 1


def test_the_ways_differ_in_what_their_names_say(made):
    digits, runs = made
    assert runs["width=32"].model.hidden == (32, 32)
    assert runs["dropout=0.5"].model.dropout_rate == 0.5
    assert runs["baseline"].model.dropout_rate == 0
    assert input_of(runs["pool=4"], digits).shape == (1, 7, 7, 1)
    assert input_of(runs["baseline"], digits).shape == (1, 28, 28, 1)
    assert runs["elastic=17"].augment.steps == (("elastic", 17.0),)
    assert runs["baseline"].augment is None
    assert runs["early stopping"].early_stopping.monitor == "val_loss"
    assert [n for n, run in runs.items() if run.early_stopping] == ["early stopping"]


def test_more_images_than_there_are_is_an_error():
    with pytest.raises(ConfigError, match="--examples 3600: there are 3600"):
        make_runs(OverfittingConfig(examples=3600), load_embedded())


@pytest.mark.slow
def test_a_run_of_some_ways_writes_what_they_show(tmp_path, few_digits, monkeypatch):
    some = ("baseline", "288 images", "l1=0.1", "shift=2")
    everything = overfitting.ways

    def few(config, available):
        found = everything(config, available)
        found["l1=0.1"] = found["baseline"]._replace(l1=0.1)
        return {name: found[name] for name in some}

    monkeypatch.setattr(overfitting, "ways", few)
    fields = {"workdir": str(tmp_path), "data_dir": few_digits, "num_devices": 1}
    config = OverfittingConfig.from_preset("smoke", **fields, max_steps=40, width=20)
    result = overfitting.run(config)
    assert set(result.figures) == {"comparison", "differences", "losses", "learning_curve"}
    curve = result.figures["learning_curve"].axes[0].get_lines()[0]
    assert curve.get_xdata().tolist() == [100, 288]
    values = result.findings.values
    assert curve.get_ydata().tolist() == pytest.approx(
        [100 * np.mean(values[name]["test_accuracy"]) for name in some[:2]]
    )
    norms = {
        name: sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(one.state.network.params))
        for name, one in result.fitted.items()
    }
    assert norms["l1=0.1"] < 0.9 * norms["baseline"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    last = {name: one.final("val_accuracy") for name, one in result.fitted.items()}
    best = max(some[1:], key=lambda name: np.mean(last[name]))
    assert f"Best on held-out images: {best}; test accuracy " in summary["sentence"]
    same = max(some[2:], key=lambda name: np.mean(last[name]))
    assert f"with the same training images: {same}; test accuracy " in summary["sentence"]
    assert "Of 3 intervals of 95 %, about one in twenty misses" in summary["sentence"]
