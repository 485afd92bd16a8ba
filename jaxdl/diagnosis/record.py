"""What a classifier's run recorded, read from its folder."""

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdl.errors import WorkdirError
from jaxdl.files import open_regular

Json = Mapping[str, Any]
LARGEST = 2**31  # bytes of a file
FAR_FEWER = 0.1  # of the training images


class ClassifierRecord(NamedTuple):
    """A classifier's run as it was recorded.

    Attributes:
        settings: the resolved settings: ``model``, ``width``, ``depth``, ``optimizer``,
            ``learning_rate``, ``loss``, ``output`` and so on.
        facts: of the data, the inputs and the layers at the start.
        steps: logged steps, oldest first: ``step``, and ``loss`` and ``accuracy`` per seed.
        epochs: ends of epochs, with the losses and accuracies of each part per seed.
        predictions: the saved network's ``PART_probabilities`` (N, C) and ``PART_labels`` (N,) of
            "train", "val" and "test"; empty if the run did not end.
        divergence: what is known of a loss that was not finite; None if all were.
    """

    settings: Json
    facts: Json
    steps: Sequence[Json]
    epochs: Sequence[Json]
    predictions: Mapping[str, np.ndarray]
    divergence: Json | None = None

    @property
    def parts(self) -> list[str]:
        """The parts that were measured: "train", "test", and "val" if there is one."""
        return [name for name in ("train", "val", "test") if name in self.facts["parts"]]

    @property
    def seed(self) -> int:
        """Which network is looked at: the first, unless another one knows far fewer images."""
        if not self.epochs:
            return 0
        accuracies = np.array([_numbers(record["train_accuracy"]) for record in self.epochs])
        last = [values[np.isfinite(values)][-1:] for values in accuracies.T]
        last = np.array([values[0] if len(values) else np.inf for values in last])
        worst = int(last.argmin())
        return worst if last[worst] < last[0] - FAR_FEWER else 0

    def curve(self, name: str) -> np.ndarray:
        """A network's figure at the ends of epochs, such as "train_loss", until it was stopped."""
        seed = self.seed
        values = np.array([_numbers(record[name])[seed] for record in self.epochs])
        return values[np.isfinite(values)]

    def accuracy(self, part: str) -> float:
        """Of the saved network, else at the end of the last epoch; NaN if there is neither."""
        if f"{part}_labels" in self.predictions and self.seed == 0:
            answers = self.predictions[f"{part}_probabilities"].argmax(axis=-1)
            return float((answers == self.predictions[f"{part}_labels"]).mean())
        return self.last(f"{part}_accuracy")

    def last(self, name: str) -> float:
        """A figure at the end of the last epoch; NaN without an epoch."""
        curve = self.curve(name)
        return float(curve[-1]) if len(curve) else float("nan")

    def at_start(self, name: str) -> float:
        """A statistic of the network before training."""
        return float(_numbers(self.facts["start"][name])[self.seed])

    def layers(self, name: str, at_start: bool = False) -> dict[str, float]:
        """A statistic of each layer that has it, first layer first, at the start or the end."""
        where = self.facts["start"] if at_start or not self.epochs else self.epochs[-1]
        seed = self.seed
        return {
            layer: float(_numbers(found[name])[seed])
            for layer, found in where["layers"].items()
            if name in found
        }


def _numbers(values: Any) -> np.ndarray:
    """A list of numbers; None, which JSON has for what is not finite or stopped, becomes NaN."""
    return np.array([np.nan if v is None else v for v in np.atleast_1d(values)], float)


def read_record(folder: str | os.PathLike) -> ClassifierRecord:
    """Reads the folder of a classifier's run, complete or not.

    Raises:
        WorkdirError: a file is missing or damaged, or the folder is no classifier's.
    """
    folder = Path(folder)
    config = read_config(folder)
    if config.get("program") != "classifier":
        raise WorkdirError(f"{folder} is the folder of {config.get('program')!r}, no classifier's")
    facts = read_json(folder / "facts.json")
    records = read_records(folder / "metrics.jsonl")
    predictions = {}
    if (folder / "predictions.npz").exists():
        predictions = _read_arrays(folder / "predictions.npz")
    divergence = read_divergence(folder, records)
    if divergence is not None:
        predictions = {}  # of the run before it was prolonged
    return ClassifierRecord(
        config["config"],
        facts,
        [record for record in records if record["kind"] == "step"],
        [record for record in records if record["kind"] == "epoch"],
        predictions,
        divergence,
    )


def read_divergence(folder: Path, records: Sequence[Json]) -> dict[str, Any] | None:
    """What a run's divergence.json says; None without one, or if the run has got beyond it."""
    path = folder / "divergence.json"
    if not path.exists():
        return None
    found = read_json(path)
    # Not the logged steps, which go on to the end of a chunk.
    reached = max((r.get("step", 0) for r in records if r["kind"] != "step"), default=0)
    return None if reached > (found.get("step") or 0) else found


def read_config(folder: Path) -> dict[str, Any]:
    """What a run's config.json says; WorkdirError if the folder is no run's."""
    if not (folder / "config.json").exists():
        raise WorkdirError(
            f"{folder} is not the folder of a run: it has no config.json; give the folder that a "
            "training program wrote"
        )
    return read_json(folder / "config.json")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object; WorkdirError if it is none."""
    try:
        with open_regular(path) as file:
            found = json.loads(file.read(LARGEST))
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise WorkdirError(f"{path} cannot be read: {error}") from error
    return found


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a log; a last line that was cut off is left out."""
    try:
        with open_regular(path) as file:
            *lines, _ = file.read(LARGEST).decode().split("\n")
        records = [json.loads(line) for line in lines]
        if not all(isinstance(r, dict) and "kind" in r for r in records):
            raise ValueError("a line is no record")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise WorkdirError(f"{path} cannot be read: {error}") from error
    return records


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_regular(path) as file:
            content = io.BytesIO(file.read(LARGEST))
        with np.load(content, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # NumPy and zipfile document no common type
        raise WorkdirError(f"{path} is damaged: remove it, or run the program again") from error
