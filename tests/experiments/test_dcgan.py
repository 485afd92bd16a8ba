"""The main program end to end, from its real configuration, shrunk."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import experiments.common.config
from experiments import dcgan
from experiments.common import allocator
from jaxdl.errors import CheckpointError, ConfigError, TrainingError, WorkdirError

METRICS = ("loss_d", "loss_g", "d_x", "d_g_z1", "d_g_z2")
TIMES = ("seconds", "images_per_second")


@pytest.fixture(scope="module")
def config(dcgan_config):
    return dcgan_config


def records(folder):
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [{n: v for n, v in json.loads(line).items() if n not in TIMES} for line in lines]


def weights(result):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(result.state)]


@pytest.fixture(scope="module")
def whole(dcgan_run):
    return dcgan_run


@pytest.fixture(scope="module")
def again(tmp_path_factory, config):
    """The same run, stopped at an epoch's end, and saved at every step and time."""
    folder = tmp_path_factory.mktemp("again")
    often = {"save_every_steps": 1, "save_every_seconds": 0.01}
    dcgan.run(config(folder, max_steps=4, **often))
    return folder, dcgan.run(config(folder, **often))


def test_what_a_run_leaves_behind(whole):
    folder, _ = whole
    assert sorted(p.name for p in folder.iterdir()) == [
        *(".lock", "animation.gif", "animation.html", "checkpoints", "config.json", "curves.png"),
        *("generator.safetensors", "metrics.jsonl", "model.pt", "quality.png"),
        *("real_and_generated.png", "report.html", "samples", "summary.json"),
        "training_images.png",
    ]
    assert sorted(p.name for p in (folder / "samples").iterdir()) == [
        *("epoch_0001.png", "epoch_0002.png", "step_000003.png", "step_000006.png"),
    ]
    for path in folder.rglob("*.png"):
        with Image.open(path) as picture:
            assert np.asarray(picture).std() > 0, path
    # 10 × 10 images of 16 pixels with 2 between them; the animation shows the ends of epochs.
    with Image.open(folder / "samples" / "epoch_0001.png") as grid:
        assert grid.size == (182, 182)
    with Image.open(folder / "animation.gif") as animation:
        assert animation.n_frames == 2
    assert (folder / "animation.html").read_text().count("data:image/png;base64,") == 2


def test_the_log_has_every_step_and_the_epochs_means(whole):
    log = records(whole[0])
    steps = [record for record in log if record["kind"] == "step"]
    epochs = [record for record in log if record["kind"] == "epoch"]
    assert [record["step"] for record in steps] == list(range(1, 9))
    assert [record["epoch"] for record in steps] == [1] * 4 + [2] * 4
    assert [(record["epoch"], record["step"]) for record in epochs] == [(1, 4), (2, 8)]
    for name in METRICS:
        mean = np.mean([record[name] for record in steps[4:]])
        assert epochs[1][name] == pytest.approx(mean, rel=1e-6)
        assert all(0 < record[name] < (1 if name.startswith("d_") else 10) for record in steps)


def test_the_summary_repeats_the_last_epoch_beside_the_course(whole):
    folder, result = whole
    summary = json.loads((folder / "summary.json").read_text())
    last = records(folder)[-1]
    assert {name: summary[name] for name in METRICS} == {name: last[name] for name in METRICS}
    assert summary["course"]["loss_g"] == 4.9161
    assert summary["comparable_with_course"] is False
    assert "--image_size 16" in summary["differences_from_course"]
    assert summary["step"] == 8
    assert summary["data"] == "idx"
    assert result.summary["compile_seconds"] > 0


def test_the_configuration_is_recorded_resolved(whole):
    record = json.loads((whole[0] / "config.json").read_text())
    assert record["config"]["batch_size"] == 104
    assert record["config"]["features"] == 4
    assert record["versions"]["jax"] == jax.__version__
    assert record["data"]["train"] + record["data"]["test"] == 416
    assert re.fullmatch("[0-9a-f]{64}", record["data"]["fingerprint"])


def test_a_notebook_gets_state_history_and_figures(whole):
    _, result = whole
    assert int(result.state.step) == 8
    assert len(result.history.series("loss_g")[0]) == 8
    assert sorted(result.figures) == [
        *("animation", "curves", "quality", "real_and_generated", "training_images"),
    ]
    labels = [ax.get_ylabel() for ax in result.figures["curves"].axes]
    assert labels == ["Loss (nats)", "Mean probability of “real”"]


def test_the_same_seed_gives_the_same_bits_stopped_and_saved_at_every_step_too(whole, again):
    (folder, result), (repeated, continued) = whole, again
    assert records(repeated) == records(folder)
    for ours, theirs in zip(weights(continued), weights(result), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for path in folder.rglob("*.png"):
        assert (repeated / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


@pytest.mark.usefixtures("no_pictures")
def test_another_seed_gives_other_numbers(whole, config, tmp_path):
    other = dcgan.run(config(tmp_path, seed=1, max_steps=1, evaluate_samples=0))
    assert other.history.records[0]["loss_d"] != records(whole[0])[0]["loss_d"]


@pytest.mark.slow
def test_a_flipped_bit_is_seen_and_the_checkpoint_before_serves(whole, config, tmp_path, capsys):
    folder, result = whole
    dcgan.run(config(tmp_path, max_steps=7, save_every_steps=5))
    files = [p for p in (tmp_path / "checkpoints" / "7").rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 16
    largest.write_bytes(data)
    continued = dcgan.run(config(tmp_path))
    lines = [line for line in capsys.readouterr().out.splitlines() if largest.name in line]
    assert len(lines) == 1
    assert "damaged" in lines[0]
    # A better score than all before would save step 6 as well.
    assert re.search("continuing from the newest sound one, step [56]", lines[0])
    assert records(tmp_path) == records(folder)
    for ours, theirs in zip(weights(continued), weights(result), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_of_another_run_is_refused(whole, config, tmp_path):
    folder = shutil.copytree(whole[0], tmp_path / "run")
    record = json.loads((folder / "config.json").read_text())
    record["config"]["learning_rate"] = 1e-3
    (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"learning_rate: 0\.002 there, 0\.001 wanted"):
        dcgan.run(config(folder, learning_rate=1e-3))


@pytest.mark.slow
def test_a_run_that_diverges_can_be_looked_into(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(experiments.common.config, "LARGEST", 1e39)  # a rate that flags refuse
    diverging = {"learning_rate": 1e38}
    with pytest.raises(TrainingError, match="is nan at step 1; the first leaf of the state"):
        dcgan.run(config(tmp_path, **diverging))
    report = json.loads((tmp_path / "divergence.json").read_text())
    assert len(report["batch"]) == 104
    before = (tmp_path / "metrics.jsonl").read_bytes()
    capsys.readouterr()
    replayed = dcgan.run(config(tmp_path, **diverging, debug_step=report["step"]))
    printed = capsys.readouterr().out
    assert replayed is None
    assert "step 1 is the first: " in printed
    assert re.search(r"the first (NaN|infinite result) is of \w+, in \w+ \(\w+\.py:\d+\)", printed)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.usefixtures("no_pictures")
def test_it_continues_on_another_number_of_devices(whole, config, tmp_path):
    """One step, before rounding can grow."""
    folder = shutil.copytree(whole[0], tmp_path / "run")
    shutil.rmtree(folder / "checkpoints" / "8")
    done = max(int(path.name) for path in (folder / "checkpoints").iterdir())
    dcgan.run(config(folder, num_devices=8, max_steps=done + 1))
    ours, theirs = (
        [record for record in records(path) if record["kind"] == "step"][: done + 1]
        for path in (folder, whole[0])
    )
    assert ours[:done] == theirs[:done]
    for name in METRICS:
        assert ours[done][name] == pytest.approx(theirs[done][name], rel=1e-4)


def test_a_finished_run_is_not_trained_again(whole, config, capsys):
    folder, result = whole
    before = (folder / "summary.json").read_bytes()
    again = dcgan.run(config(folder))
    assert "nothing to train" in capsys.readouterr().out
    assert (folder / "summary.json").read_bytes() == before
    for ours, theirs in zip(weights(again), weights(result), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_changed_configuration_is_refused(whole, config):
    with pytest.raises(WorkdirError, match=r"learning_rate: 0\.002 there, 0\.001 now"):
        dcgan.run(config(whole[0], learning_rate=1e-3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 63}, "possible sizes"),
        ({"batch_size": 6000}, "--batch_size 6000 is more than the 416 images"),
        ({"batch_size": 100, "num_devices": 8}, "96 and 104"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(config, tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        dcgan.run(config(tmp_path / "run", **fields))
    assert not (tmp_path / "run").exists()


def test_a_dry_run_prints_the_models_and_writes_nothing(config, tmp_path, capsys):
    result = dcgan.run(config(tmp_path / "run", dry_run=True, image_size=64, features=64))
    printed = capsys.readouterr().out
    assert result is None
    assert re.search(r"total +3,574,656 +102,531,072", printed)
    assert re.search(r"total +2,763,520 +101,720,064", printed)
    assert re.search(r"learning_rate +0.002", printed)
    assert not (tmp_path / "run").exists()


def run_program(*arguments):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "default"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    command = [sys.executable, "-m", "experiments.dcgan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
def test_eight_virtual_devices_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv(allocator.SWITCH, "1")  # it starts itself again, which tests leave out
    done = run_program(
        *("--preset", "smoke", "--num_devices", "8", "--data_source", "embedded"),
        *("--workdir", str(tmp_path), "--max_steps", "2", "--conv", "lax"),
        *("--evaluate_samples", "0"),
    )
    assert done.returncode == 0, done.stderr
    assert "Devices: 8 × cpu, virtual (they share the cores)\n" in done.stdout
    assert re.search(
        r"Epoch: \[1/1\] Step: \[002/312\] Loss-D: \d\.\d{4} Loss-G: \d\.\d{4} D\(x\): \d\.\d{4} "
        r"D\(G\(z\)\): \[\d\.\d{4}/\d\.\d{4}\] Time: ",
        done.stdout,
    )
    assert json.loads((tmp_path / "summary.json").read_text())["num_devices"] == 8
    devices = json.loads((tmp_path / "config.json").read_text())["devices"]
    assert devices["huge_pages"] == allocator.can_use_huge_pages()


SMALL = {"image_size": 16, "features": 4, "data_source": "embedded", "dry_run": True}


def test_the_course_s_batch_is_rounded_up_to_the_devices(tmp_path, capsys):
    dcgan.run(dcgan.DCGANConfig(**SMALL, workdir=str(tmp_path), num_devices=8))
    printed = capsys.readouterr().out
    assert "; batch size rounded up to 104\n" in printed
    assert re.search(r"batch_size +104", printed)


def test_a_batch_is_a_multiple_of_the_virtual_shards_on_one_device_too(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("NPROC", "2")  # set again afterwards
    fields = SMALL | {"workdir": str(tmp_path), "num_devices": 1, "virtual_shards": 8}
    dcgan.run(dcgan.DCGANConfig(**fields))
    printed = capsys.readouterr().out
    assert "Devices: 1 × cpu; batch size rounded up to 104\n" in printed
    assert int(os.environ["NPROC"]) >= 8
    with pytest.raises(ConfigError, match=r"batch_size 100 .* by 8 virtual shards; .* 96 and 104"):
        dcgan.run(dcgan.DCGANConfig(**fields, batch_size=100))
    with pytest.raises(ConfigError, match="virtual_shards 2 cannot be spread over 4 devices"):
        dcgan.run(dcgan.DCGANConfig(**{**fields, "num_devices": 4, "virtual_shards": 2}))
