"""The twin: PyTorch's DCGAN and ours, trained alike with several seeds, judged by the same judge.

What:     for each seed, the course's loop in PyTorch and `experiments.dcgan --preset quick` train
          one after the other, each in its own process; a judge scores 10,000 samples of each last
          generator, and of ours averaged. No judging and no pictures while they train.
Source:   course document 000 for the PyTorch code.
Command:  python -m experiments.twin --data_dir DIR    five seeds, 3,000 steps: most of an hour
          python -m experiments.twin --preset smoke    seconds; its figures mean nothing
Expected: PyTorch must be installed (`pip install torch`). The difference of the scores of the last
          generators is within the seeds' spread, and ours finish sooner. Close other programs.

Stopped and started again, it goes on with the trainings that are missing.
"""

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.session import default_workdir
from experiments.common.table import text_table
from experiments.dcgan import DCGANConfig
from jaxdl import data, evaluation, generation, metrics, plot
from jaxdl.errors import ConfigError, TrainingError
from jaxdl.evaluation.references import resized
from jaxdl.files import to_json, write_atomically
from jaxdl.generation.run_folder import load_run

THEME = "Measurements"

QUICK = DCGANConfig.PRESETS["quick"]
SIDES = ("PyTorch", "ours")
SCORES = ("PyTorch", "ours", "ours, averaged")
SHARED = ("batch_size", "image_size", "features", "learning_rate")  # named alike on both sides
TRAINED = (*SHARED, "steps", "dataset")
RUNS = "runs"
LAST_WORDS = 500  # characters of a failed training's output that are shown


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwinConfig(DataConfig):
    """What to train; the defaults are the quick preset's."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "steps": 4, "image_size": 16, "features": 2, "samples": 100},
    }

    seeds: int = option(5, "trainings of each side, with seeds 0, 1, …", low=2, high=100)
    steps: int = option(QUICK["max_steps"], "steps of each training", low=1)
    batch_size: int = option(QUICK["batch_size"], "images in a batch", low=2)
    image_size: int = option(QUICK["image_size"], "height and width in pixels", low=16, high=128)
    features: int = option(QUICK["features"], "channels of the widest maps", low=1)
    learning_rate: float = option(QUICK["learning_rate"], "Adam's step size", above=0)
    samples: int = option(10_000, "images that are judged", low=100, high=100_000)
    dataset: str = option("mnist", "data set; one with a judge in the package")


def our_command(config: TwinConfig, seed: int, folder: Path) -> list[str]:
    """Trains ours; neither judged nor drawn before the end."""
    flags = {
        "workdir": folder,
        "seed": seed,
        "max_steps": config.steps,
        "sample_every": config.steps,
        "evaluate_samples": 0,
        **{name: getattr(config, name) for name in (*SHARED, "dataset", "data_dir", "data_source")},
    }
    pairs = ((f"--{name}", str(value)) for name, value in flags.items() if value is not None)
    command = [sys.executable, "-m", "experiments.dcgan", "--preset", "quick"]
    return command + [word for pair in pairs for word in pair]


def torch_command(config: TwinConfig, seed: int, images: Path, out: Path) -> list[str]:
    """Trains the course's."""
    twin = {name: getattr(config, name) for name in (*SHARED, "steps")}
    twin |= {"images": str(images), "out": str(out), "seed": seed}
    return [sys.executable, "-m", "experiments.measuring.torch_twin", json.dumps(twin)]


def train(command: list[str], log: Path) -> float:
    """Runs a training and returns its seconds, from the process's start to its end.

    Raises:
        TrainingError: it failed.
    """
    begin = time.perf_counter()
    with log.open("w") as file:
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        said = log.read_text(errors="replace")[-LAST_WORDS:]
        raise TrainingError(f"{' '.join(command)} ended with status {ended.returncode}: {said}")
    return time.perf_counter() - begin


def all_seconds(
    config: TwinConfig, folder: Path, images: Path, fingerprint: str
) -> dict[str, list[float]]:
    """Trains what is not yet trained; the seconds of each training by side."""
    path = folder / "seconds.json"
    trained = {name: getattr(config, name) for name in TRAINED} | {"data": fingerprint}
    done = json.loads(path.read_text()) if path.exists() else {}
    if done.get("trained") != trained:  # nothing yet, or another configuration's
        shutil.rmtree(folder / RUNS, ignore_errors=True)
        (folder / RUNS).mkdir()
        done = {"trained": trained, **{side: [] for side in SIDES}}
    for seed in range(config.seeds):
        commands = {
            "PyTorch": torch_command(config, seed, images, folder / RUNS / f"{seed}.pt"),
            "ours": our_command(config, seed, folder / RUNS / str(seed)),
        }
        # In turns, so that neither side has the machine while it is cold or warm.
        for side in SIDES if seed % 2 == 0 else reversed(SIDES):
            if len(done[side]) <= seed:
                done[side].append(train(commands[side], folder / RUNS / f"{seed}_{side}.log"))
                write_atomically(path, to_json(done) + "\n")
                print(f"seed {seed}, {side}: {done[side][seed]:.0f} s", flush=True)
    return {side: done[side][: config.seeds] for side in SIDES}


def all_scores(
    config: TwinConfig, folder: Path, judge: evaluation.Judge, real: np.ndarray
) -> dict[str, list[float]]:
    """The Fréchet distance to the real images of each last generator."""
    statistics = metrics.generative.feature_statistics(judge.see(real).features)

    def score(generator: generation.TrainedGenerator, seed: int) -> float:
        batches = generator.pixels(generator.noise_batches(config.samples, seed))
        features = judge.see(np.concatenate(list(batches))).features
        own = metrics.generative.feature_statistics(features)
        return metrics.generative.frechet_distance(own, statistics)

    found: dict[str, list[float]] = {name: [] for name in SCORES}
    for seed in range(config.seeds):
        run = folder / RUNS / str(seed)
        generators = (
            generation.load_generator(folder / RUNS / f"{seed}.pt"),
            load_run(run, averaged=False),
            load_run(run),
        )
        for name, generator in zip(SCORES, generators, strict=True):
            found[name].append(score(generator, seed))
    return found


def result_table(scores: dict[str, list[float]], seconds: dict[str, list[float]]) -> str:
    """A row a seed, and means with 95% intervals."""
    columns = {f"FID {name}": scores[name] for name in SCORES}
    columns |= {f"seconds {side}": seconds[side] for side in SIDES}
    rows = [
        (seed, *(f"{values[seed]:.1f}" for values in columns.values()))
        for seed in range(len(seconds["ours"]))
    ]
    means = ("mean", *(str(metrics.summarize(v)).split(" (")[0] for v in columns.values()))
    return text_table(("seed", *columns), [*rows, means])


def sentence(scores: dict[str, list[float]], seconds: dict[str, list[float]]) -> str:
    """What the numbers show."""
    difference = metrics.paired_difference(scores["ours"], scores["PyTorch"])
    spread = metrics.summarize(scores["PyTorch"]).sd
    ratio = np.median(np.divide(seconds["ours"], seconds["PyTorch"]))
    found = "a difference" if difference.low > 0 or difference.high < 0 else "no difference shown"
    return (
        f"FID of ours less PyTorch's: {difference} at PyTorch's standard deviation {spread:.1f}: "
        f"{found}. Ours take {ratio:.2f} of PyTorch's time (median)."
    )


def run(config: TwinConfig) -> lesson.Result:
    """Trains both sides, judges them, and writes the folder.

    Raises:
        ConfigError: PyTorch is not installed, no judge knows the data set, or the size is not a
            power of two.
        TrainingError: a training failed.
    """
    if config.image_size & (config.image_size - 1):
        raise ConfigError(f"--image_size {config.image_size} must be a power of two")
    judge = evaluation.find_judge(None, config.dataset)
    if judge is None:
        raise ConfigError(f"no judge knows --dataset {config.dataset}: choose mnist")
    lesson.check_own(Path(config.workdir or default_workdir("twin", config.preset)), "twin")
    dataset = data.load(config.dataset, config.data_dir, source=config.data_source)
    if importlib.util.find_spec("torch") is None:
        raise ConfigError("PyTorch is not installed: pip install torch")
    folder = lesson.begin("twin", config)
    print(dataset.description)
    size = (config.image_size, config.image_size)
    images = folder / "images.bin"
    resized(dataset.images, size).tofile(images)
    seconds = all_seconds(config, folder, images, dataset.fingerprint)
    images.unlink()
    real = resized(dataset.test.images, size)
    scores = all_scores(config, folder, judge, real)
    text = sentence(scores, seconds)
    print(f"\n{result_table(scores, seconds)}\n\n{text}")
    summary = {"program": "twin", "fid": scores, "seconds": seconds, "sentence": text}
    summary |= {"judge": judge.hash, "dataset": dataset.name, "data": dataset.source}
    figure = plot.values_per_seed(scores, ylabel="Fréchet distance to the test images")
    return lesson.finish(folder, summary, {"scores": figure})


if __name__ == "__main__":
    command_line.main("twin", TwinConfig, run, __doc__)
