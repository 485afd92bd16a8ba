"""TensorBoard's event files, read back: every record of the log once, also of a resumed run."""

import contextlib
import importlib.util
import json
import os
import struct

import numpy as np
import pytest
from PIL import Image

from experiments import dcgan, mlp_l2
from experiments.common.events import FOLDER, EventFiles
from jaxdl.errors import ConfigError, WorkdirError

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("tensorboardX") is None, reason="tensorboardX is not installed"
)


def read_events(folder):
    """Every event in a folder's one file, its checksums verified."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    (path,) = folder.glob("events.out.tfevents.*")
    content, events = path.read_bytes(), []
    while content:
        (length, of_length) = struct.unpack("<QI", content[:12])
        assert masked_crc32c(content[:8]) == of_length
        event, content = content[12 : 12 + length], content[12 + length :]
        assert struct.unpack("<I", content[:4]) == (masked_crc32c(event),)
        events.append(Event.FromString(event))
        content = content[4:]
    return events


def scalars(folder):
    """Steps and values by tag."""
    found = {}
    for event in read_events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def images(folder):
    return [
        (event.step, value.image.encoded_image_string)
        for event in read_events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == "image"
    ]


def write(folder, *records, mode="a"):
    with (folder / "metrics.jsonl").open(mode) as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))


def record(step, kind="step", **more):
    return {"kind": kind, "epoch": 1, "step": step, "seconds": step / 10, **more}


@pytest.fixture
def followed(tmp_path):
    files = EventFiles(tmp_path, {"seed": 3, "model": "cnn", "rate": 0.5, "judge": None})
    yield files
    with contextlib.suppress(WorkdirError):
        files.close()


@needs_package
def test_the_log_is_followed(tmp_path, followed):
    followed.follow()
    assert not (tmp_path / FOLDER).exists(), "there is nothing yet"
    write(tmp_path, record(1, loss=0.5, text="x", more=None), record(2, loss=[1.0, None, 2.0]))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "ep')
    followed.follow()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('och": 1, "step": 3, "loss": 0.25}\n')
    (tmp_path / "samples").mkdir()
    for name in ("step_000004.png", "epoch_0001.png", "epoch_0002.png"):
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "samples" / name)
    write(
        tmp_path,
        record(4, loss=0.125),
        record(4, "epoch", fid=90.0),
        record(6, "score", fid=80, seconds=None),
    )
    followed.follow()
    followed.follow()
    followed.close()
    found = scalars(tmp_path / FOLDER)
    assert found["step/loss"] == [(1, 0.5), (2, 1.5), (3, 0.25), (4, 0.125)]
    assert found["step/loss/seed_2"] == [(2, 2.0)]
    assert found["epoch/fid"] == [(4, 90.0), (6, 80.0)]
    assert not [tag for tag in found if "text" in tag or "more" in tag]
    ((step, picture),) = images(tmp_path / FOLDER)
    assert (step, picture) == (4, (tmp_path / "samples" / "step_000004.png").read_bytes())
    times = [event.wall_time for event in read_events(tmp_path / FOLDER)]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(0.4, abs=0.01)


@needs_package
def test_a_picture_is_drawn_after_its_step_and_between_logged_ones(tmp_path, followed):
    def draw(step):
        Image.fromarray(np.full((4, 6), step, np.uint8)).save(
            tmp_path / "samples" / f"step_{step:06d}.png"
        )

    (tmp_path / "samples").mkdir()
    draw(99)  # of an earlier session that got further
    write(tmp_path, record(3, loss=1.0))
    followed.follow()
    draw(3)
    draw(5)
    write(tmp_path, record(4, loss=1.0))
    followed.follow()
    write(tmp_path, record(6, loss=1.0))
    followed.close()
    assert [step for step, _ in images(tmp_path / FOLDER)] == [3, 5]


@needs_package
def test_hyperparameters_are_there(tmp_path, followed):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    write(tmp_path, record(1, loss=0.5))
    followed.close()
    content = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in read_events(tmp_path / FOLDER)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    }
    found = content["_hparams_/session_start_info"].session_start_info.hparams
    assert found["seed"].number_value == 3
    assert found["model"].string_value == "cnn"
    assert "judge" not in found
    assert "_hparams_/experiment" in content


@needs_package
@pytest.mark.parametrize("new_session", [False, True])
def test_a_resumed_run_has_every_step_once(tmp_path, followed, new_session):
    write(tmp_path, *(record(step, loss=float(step)) for step in range(1, 7)))
    (followed.close if new_session else followed.follow)()
    # What a log does that resumes at step 4: a new file in the old one's place.
    kept = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)[:4]
    (tmp_path / "new").write_bytes(b"".join(kept))
    os.replace(tmp_path / "new", tmp_path / "metrics.jsonl")
    files = EventFiles(tmp_path, {}) if new_session else followed
    write(tmp_path, *(record(step, loss=-float(step)) for step in range(5, 9)))
    files.close()
    steps = [(step, float(step if step < 5 else -step)) for step in range(1, 9)]
    assert scalars(tmp_path / FOLDER)["step/loss"] == steps


@needs_package
def test_a_log_that_is_only_written_anew_is_followed_on(tmp_path, followed):
    write(tmp_path, record(1, loss=1.0, run="a"))
    followed.follow()
    before = list((tmp_path / FOLDER / "a").iterdir())
    content = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "new").write_bytes(content)
    os.replace(tmp_path / "new", tmp_path / "metrics.jsonl")
    write(tmp_path, record(1, loss=3.0, run="b"), record(2, loss=2.0, run="a"))
    followed.close()
    assert list((tmp_path / FOLDER / "a").iterdir()) == before
    assert scalars(tmp_path / FOLDER / "a")["step/loss"] == [(1, 1.0), (2, 2.0)]
    assert scalars(tmp_path / FOLDER / "b")["step/loss"] == [(1, 3.0)]


@needs_package
def test_a_folder_that_cannot_be_written_is_named(tmp_path, followed):
    (tmp_path / FOLDER).write_text("mine")
    write(tmp_path, record(1, loss=1.0))
    with pytest.raises(WorkdirError, match="leave --tensorboard out"):
        followed.follow()


def test_without_the_package_it_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = mlp_l2.MLPL2Config(workdir=str(tmp_path / "run"), tensorboard=True)
    with pytest.raises(ConfigError, match="needs the package tensorboardX: install it"):
        mlp_l2.run(config)
    assert not (tmp_path / "run").exists()


@needs_package
@pytest.mark.slow
def test_a_run_stopped_and_resumed_reads_back_as_its_log(tmp_path, dcgan_config):
    often = {"tensorboard": True, "evaluate_samples": 0, "save_every_steps": 1}
    dcgan.run(dcgan_config(tmp_path, max_steps=6, **often))
    # Resumed within the second epoch, whose record is written again.
    result = dcgan.run(dcgan_config(tmp_path, **often))
    found = scalars(tmp_path / FOLDER)
    steps, losses = result.history.series("loss_d")
    assert [step for step, _ in found["step/loss_d"]] == steps == list(range(1, 9))
    np.testing.assert_allclose([value for _, value in found["step/loss_d"]], losses, rtol=1e-6)
    assert [step for step, _ in found["epoch/loss_d"]] == [4, 8]
    assert [step for step, _ in images(tmp_path / FOLDER)] == [3, 4, 6, 8]
    assert "tensorboard --logdir" in (tmp_path / "report.html").read_text()
