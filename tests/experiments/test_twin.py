import json
import sys

import pytest

from experiments import twin
from jaxdl.errors import ConfigError, TrainingError


@pytest.fixture
def trainings(monkeypatch):
    """The commands of all trainings, which are not done."""
    commands = []

    def train(command, log):
        commands.append(command)
        return float(len(commands))

    monkeypatch.setattr(twin, "train", train)
    return commands


def test_stopped_and_started_again_it_trains_what_is_missing(tmp_path, trainings):
    def seconds(**flags):
        config = twin.TwinConfig(**flags)
        return twin.all_seconds(config, tmp_path, tmp_path / "images.bin", "data")

    first = seconds(seeds=2)
    assert first == {"PyTorch": [1, 4], "ours": [2, 3]}  # in turns
    assert seconds(seeds=3) == {"PyTorch": [1, 4, 5], "ours": [2, 3, 6]}
    assert len(trainings) == 6
    seconds(seeds=2, learning_rate=1e-3)
    assert len(trainings) == 10


def test_both_sides_train_alike(tmp_path, trainings):
    config = twin.TwinConfig(seeds=2, steps=7, features=5, batch_size=10, learning_rate=0.5)
    twin.all_seconds(config, tmp_path, tmp_path / "images.bin", "data")
    theirs, ours = json.loads(trainings[0][-1]), trainings[1]
    flags = dict(zip(ours[3::2], ours[4::2], strict=True))
    for name, flag in {"steps": "max_steps"}.items() | {
        (n, n) for n in ("batch_size", "features", "learning_rate", "seed")
    }:
        assert str(theirs[name]) == flags[f"--{flag}"]
    assert flags["--image_size"] == "32"


def test_the_sentence_follows_from_the_numbers():
    seconds = {"PyTorch": [10.0, 20.0], "ours": [5.0, 10.0]}
    alike = {"PyTorch": [40.0, 44.0], "ours": [45.0, 41.0]}
    assert "no difference shown. Ours take 0.50" in twin.sentence(alike, seconds)
    worse = {"PyTorch": [40.0, 44.0], "ours": [80.0, 84.1]}
    said = twin.sentence(worse, seconds)
    assert "40.05 ± 0.64 (n = 2) at PyTorch's standard deviation 2.8: a diff" in said


def test_what_cannot_be_trained_is_refused():
    for flags, said in (({"image_size": 24}, "power of two"), ({"dataset": "cifar10"}, "no judge")):
        with pytest.raises(ConfigError, match=said):
            twin.run(twin.TwinConfig(**flags))


@pytest.mark.slow
def test_both_are_trained_and_judged(tmp_path):
    pytest.importorskip("torch")
    config = twin.TwinConfig.from_preset(
        "smoke", workdir=str(tmp_path / "twin"), data_source="embedded"
    )
    found = twin.run(config)
    assert [len(found.summary["fid"][name]) for name in twin.SCORES] == [2, 2, 2]
    assert all(value > 100 for values in found.summary["fid"].values() for value in values)
    assert (tmp_path / "twin" / "scores.png").exists()


def test_a_failed_training_ends_in_one_message(tmp_path):
    command = [sys.executable, "-c", "print('no space'); raise SystemExit(3)"]
    with pytest.raises(TrainingError, match="status 3: no space"):
        twin.train(command, tmp_path / "log")
