"""Runs that leave the finite numbers: stopped at the step, named, and found again by a replay."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.data import Split
from jaxdl.errors import ConfigError, TrainingError
from jaxdl.models import MLP
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.divergence import REPORT, Inspection, first_bad_metric
from jaxdl.run.fit import fit
from jaxdl.run.replay import replay
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import Hook, RunOptions, Task
from jaxdl.training.collapse import collapse_warnings
from jaxdl.training.leaves import first_bad_leaf

pytestmark = pytest.mark.usefixtures("steps_compiled_once")
SCHEDULE = Schedule(10, 3, None, 2)
BAD_STEP = 17


class Listener:
    def __init__(self):
        self.said = []

    def update(self, point, record):
        pass

    def message(self, text):
        self.said.append(text)


@functools.cache
def make_step(where):
    """Counts; at step 17 the loss, a gradient or a hidden number is no longer finite."""

    def step(state, inputs, position, shard):
        poison = jnp.where(state["count"] + 1 == BAD_STEP, 0.0, 1.0)
        ok = one = jnp.float32(1)
        if where == "operation":
            one = jnp.log(poison) * 0 + 1
        elif where in ("loss", "gradient"):
            one = jnp.where(poison, 1, jnp.nan)
        new = {
            "count": state["count"] + 1,
            "weights": {"a": state["weights"]["a"] + 1, "b": state["weights"]["b"]},
        }
        if where in ("gradient", "operation"):
            new["weights"]["b"] = state["weights"]["b"].at[2].mul(one)
        if where == "infinity":
            new["weights"]["b"] = state["weights"]["b"] / poison
        return new, {"other": ok, "loss": one if where == "loss" else ok}

    return step


def start():
    return {"count": jnp.float32(0), "weights": {"a": jnp.zeros(2), "b": jnp.ones(4)}}


INSPECTION = Inspection(batch=lambda inputs, position: inputs[2 * position : 2 * position + 2])


def task_of(where):
    return Task(
        make_step(where),
        start(),
        lambda epoch: jnp.arange(20) + 100 * epoch,
        inspection=INSPECTION,
    )


def run(where, folder=None, **options):
    options = {"save_every_steps": 4, **options}
    return fit(task_of(where), SCHEDULE, RunOptions(folder=folder, **options))


def test_a_loss_that_is_not_finite_stops_the_run_at_its_step(tmp_path):
    with pytest.raises(TrainingError) as caught:
        run("loss", tmp_path, name="mine")
    message = str(caught.value)
    assert "loss of mine is nan at step 17" in message
    assert "the checkpoint of step 16, which is finite, is kept" in message
    assert "a replay of step 17 shows where it begins" in message
    assert caught.value.step == 17
    assert json.loads((tmp_path / REPORT).read_text()) == {
        "run": "mine",
        "step": 17,
        "metric": "loss",
        "value": "nan",
        "leaf": None,
        "member": None,
        "newest_checkpoint": 16,
        "epoch": 2,
        "batch": [212, 213],
    }
    assert_finite_up_to(tmp_path / "checkpoints" / "mine", 16)


def assert_finite_up_to(folder, step):
    with CheckpointStore(folder) as store:
        assert store.find_sound() == step
        state, _ = store.restore(start())
    assert float(state["count"]) == step
    assert first_bad_leaf(state) is None


@pytest.mark.parametrize(("where", "leaf"), [("gradient", "weights/b"), ("infinity", "weights/b")])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, where, leaf):
    with pytest.raises(TrainingError, match=rf"{leaf} is not finite after step 20; .* step 16"):
        run(where, tmp_path)
    assert json.loads((tmp_path / REPORT).read_text())["leaf"] == leaf
    assert_finite_up_to(tmp_path / "checkpoints", 16)
    with pytest.raises(TrainingError, match="after step 20"):
        run(where, tmp_path)


def test_without_a_folder_the_state_is_looked_at_when_an_epoch_ends():
    with pytest.raises(TrainingError, match="after step 20; no checkpoint was saved"):
        run("gradient", save_every_steps=None)


@pytest.mark.parametrize(
    ("where", "found", "operation"),
    [
        ("loss", "loss is nan", r"the first NaN is of \w+, in .*step \(test_divergence.py:\d+\)"),
        ("gradient", "first non-finite leaf is weights/b, at [2]", "the first NaN is of "),
        (
            "operation",
            "first non-finite leaf is weights/b, at [2]",
            "the first infinite result is of log, in .*; the first NaN is of mul, in ",
        ),
        (
            "infinity",
            "first non-finite leaf is weights/b, at [0]",
            "the first infinite result is of div, in ",
        ),
    ],
)
def test_a_replay_finds_the_step_and_the_operation(tmp_path, where, found, operation):
    with pytest.raises(TrainingError):
        run(where, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.name != ".lock"}
    listener = Listener()
    options = RunOptions(folder=tmp_path, reporter=listener)
    assert replay(task_of(where), SCHEDULE, options, 20) == 17
    assert listener.said[0].startswith("Repeated the steps from 16: step 17 is the first")
    assert found in listener.said[0]
    assert re.search(operation, listener.said[1]), listener.said[1]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.name != ".lock"} == before


def test_a_replay_of_sound_steps_says_so(tmp_path):
    with pytest.raises(TrainingError):
        run("loss", tmp_path)
    listener = Listener()
    options = RunOptions(folder=tmp_path, reporter=listener)
    assert replay(task_of("loss"), SCHEDULE, options, 16) is None
    assert listener.said == ["Repeated steps 13 to 16: every metric and every leaf is finite."]
    with pytest.raises(ConfigError, match="step 31: the run starts at step 1 and ends at step 30"):
        replay(task_of("loss"), SCHEDULE, options, 31)


def test_the_seed_that_diverged_is_named(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)
    train = Split(images, np.arange(40, dtype=np.int32) % 10)

    def poison(images):
        x = images.reshape(-1, 784) / 255
        # One image's pixels are infinite; where in the epoch it comes depends on the seed.
        return jnp.where((images == train.images[7:8]).all((1, 2, 3))[:, None], jnp.inf, x)

    listener = Listener()
    options = RunOptions(folder=tmp_path, name="mlp", reporter=listener)
    task, schedule = classifier_task(
        MLP(hidden=(4,)),
        optax.sgd(0.1),
        train,
        batch_size=8,
        how=ClassifierOptions(seeds=(3, 4, 5), transform=poison),
        options=options,
    )
    with pytest.raises(TrainingError) as caught:
        fit(task, schedule, options)
    report = json.loads((tmp_path / REPORT).read_text())
    assert f"of {report['member']} of mlp is nan at step {report['step']}" in str(caught.value)
    assert 7 in report["batch"]
    assert len(report["batch"]) == 8
    replay(task, schedule, options, 5)
    assert f"step {report['step']} of {report['member']} is the first" in listener.said[0]
    assert "the first NaN is of " in listener.said[1]


def test_the_first_bad_metric_is_the_earliest_step_s():
    loss = np.array([[1.0, 2.0], [np.inf, 1.0], [np.nan, np.nan]])
    accuracy = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 0.0]])
    assert first_bad_metric({"accuracy": accuracy, "loss": loss}, 5)[:2] == (6, "loss")
    assert first_bad_metric({"accuracy": accuracy, "loss": loss}, 5).member == 0
    assert first_bad_metric({"accuracy": accuracy[:2]}, 5) is None


def test_finite_steps_do_not_wait_for_the_state_to_be_looked_at(monkeypatch):
    from jaxdl.run import saving

    looked = []
    monkeypatch.setattr(saving, "first_bad_leaf", lambda state: looked.append(1))
    fit(Task(make_step("none"), start(), lambda epoch: jnp.arange(20)), Schedule(500, 1, None, 1))
    assert len(looked) == 1  # at the epoch's end


def test_a_warning_is_shown_and_logged():
    def spread(point, state):
        return {"sample_spread": 0.3 * (point.epoch == 1), "sample_magnitude": 0.9}

    def step(state, inputs, position, shard):
        return state, {"d_x": jnp.float32(0.999), "d_g_z1": jnp.float32(0.001)}

    listener = Listener()
    fitted = fit(
        Task(step, jnp.float32(0), lambda epoch: jnp.float32(0)),
        Schedule(2, 2, None, 1),
        RunOptions(hooks=[Hook(spread)], warnings=collapse_warnings, reporter=listener),
    )
    epochs = [r for r in fitted.log.records if r["kind"] == "epoch"]
    assert [len(r["warnings"]) for r in epochs] == [1, 2]
    assert all("warnings" not in r for r in fitted.log.records if r["kind"] == "step")
    assert len(listener.said) == 3
    assert listener.said[0].startswith("Warning: epoch 1: the discriminator is saturated: mean D(x")
    assert jax.tree.leaves(fitted.state)
