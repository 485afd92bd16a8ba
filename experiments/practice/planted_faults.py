"""Planted faults: how often a diagnosis notices a fault, names it, or alarms without one.

What:     runs of experiments.classifier with a fault planted on purpose (labels, data, rates,
          networks, losses), and healthy ones, each diagnosed from what it left in its folder. Three
          networks, two data sets: 3,000 MNIST digits, and scikit-learn's 1,797 of 8×8 pixels.
Source:   course document 001's guide from symptoms to causes, which jaxdl.diagnosis follows.
Command:  python -m experiments.practice.planted_faults --preset quick    a sixth, minutes
          python -m experiments.practice.planted_faults                   82 faults, 60 healthy runs
Expected: of the half that rules and thresholds were not chosen on, 38 of 40 faults noticed and 36
          named, no healthy run called ill; over four draws (--seed 0 to 3) 153 and 147 of 160,
          and two of 120.

Stopped and started again, it goes on with the runs that are missing.
"""

import contextlib
import dataclasses
import io
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from experiments import classifier
from experiments.common import command_line, diagnosing, lesson
from experiments.common.config import DataConfig, option
from experiments.common.session import default_workdir
from experiments.common.table import text_table
from experiments.measuring import fault_cases
from experiments.measuring.fault_cases import Case, Parts
from jaxdl import data, plot
from jaxdl.data.sources.idx import write_idx
from jaxdl.diagnosis import CAUSES, HEALTHY
from jaxdl.errors import TrainingError
from jaxdl.files import to_json, write_atomically

THEME = "Practice"

TRAINING, TEST = 3000, 1000  # images of "digits"
SMALL_TEST = 500  # of scikit-learn's digits
CASE = "case.json"
SEEDS_APART = 1000  # between the runs of one --seed and of the next


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlantedFaultsConfig(DataConfig):
    """Which runs."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"half": "quoted", "every": 3},
        "smoke": {"half": "quoted", "every": 25},
    }

    half: str = option(
        "both",
        "tuning: what rules and thresholds were chosen on; quoted: the others",
        choices=("both", fault_cases.TUNING, fault_cases.QUOTED),
    )
    every: int = option(1, "take every so many-th run only", low=1, high=100)


class Verdict(NamedTuple):
    """A case and its diagnosis."""

    case: Case
    found: str


def load_digits(config: PlantedFaultsConfig) -> dict[str, Parts]:
    """The data sets before any change."""
    from sklearn.datasets import load_digits as load_small

    full = data.load("mnist", config.data_dir, source=config.data_source)
    parts = full.train, full.test
    digits = tuple(
        data.Split(np.asarray(part.images[:count]), part.labels[:count])
        for part, count in zip(parts, (TRAINING, TEST), strict=True)
    )
    images, labels = load_small(return_X_y=True)
    images = np.rint(images * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(labels))  # they come writer by writer
    images, labels = images[order], labels[order]
    small = (
        data.Split(images[SMALL_TEST:], labels[SMALL_TEST:]),
        data.Split(images[:SMALL_TEST], labels[:SMALL_TEST]),
    )
    return {"digits": digits, "small": small}


def write_data(parts: Parts, folder: Path) -> None:
    """Writes a data set as four IDX files that ``--data_dir`` finds under ``mnist``."""
    folder = folder / "mnist"
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(("train", "t10k"), parts, strict=True):
        write_idx(folder / f"{name}-images-idx3-ubyte", part.images[..., 0])
        write_idx(folder / f"{name}-labels-idx1-ubyte", part.labels.astype(np.uint8))


def train(case: Case, digits: dict[str, Parts], folder: Path, seed: int) -> None:
    """Runs a case in a folder. A run that diverges is as good as one that ends."""
    parts = digits[case.dataset]
    if case.change is not None:
        kind, strength = case.change
        rng = np.random.default_rng((1 + seed, case.number))
        parts = fault_cases.CHANGES[kind](parts, strength, rng)
    write_data(parts, folder / "data")
    flags = {**fault_cases.COMMON, **fault_cases.NETWORKS[case.network], **case.flags}
    flags["seed"] = (flags.get("seed", 1) + SEEDS_APART * seed) % 2**31
    config = classifier.ClassifierConfig(
        workdir=str(folder / "run"), data_dir=str(folder / "data"), num_devices=1, **flags
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(TrainingError):
        result = classifier.run(config)
        if result is not None and result.exit_status is not None:
            raise SystemExit(result.exit_status)
    shutil.rmtree(folder / "data")


def verdict_of(case: Case, digits: dict[str, Parts], folder: Path, seed: int) -> str:
    """Trains a case unless that was done before, and diagnoses it."""
    folder = folder / case.name
    settings = [fault_cases.COMMON, fault_cases.NETWORKS]
    about = to_json([case.change, case.flags, *settings, *([seed] if seed else [])])
    done = folder / CASE
    if not done.exists() or done.read_text() != about:
        shutil.rmtree(folder, ignore_errors=True)
        train(case, digits, folder, seed)
        write_atomically(done, about)
    return diagnosing.diagnose_folder(folder / "run").verdict


def chosen(config: PlantedFaultsConfig) -> list[Case]:
    """The cases to run."""
    cases = [*fault_cases.planted(), *fault_cases.healthy()]
    return [case for case in cases if config.half in ("both", case.half)][:: config.every]


class Counts(NamedTuple):
    """How a half fared."""

    faults: int
    noticed: int
    named: int
    healthy: int
    alarms: int

    def __str__(self) -> str:
        return (
            f"of {self.faults} faults {self.noticed} noticed and {self.named} named; "
            f"of {self.healthy} healthy runs {self.alarms} called ill"
        )


def count(verdicts: Sequence[Verdict]) -> Counts:
    """Counts what was noticed and named."""
    faults = [v for v in verdicts if v.case.cause != HEALTHY]
    healthy = [v for v in verdicts if v.case.cause == HEALTHY]
    return Counts(
        len(faults),
        sum(v.found != HEALTHY for v in faults),
        sum(v.found == v.case.cause for v in faults),
        len(healthy),
        sum(v.found != HEALTHY for v in healthy),
    )


def table(verdicts: Sequence[Verdict]) -> str:
    """A row a cause: planted, noticed, named, and what it was taken for."""
    rows = []
    for cause in (*CAUSES, HEALTHY):
        own = [v.found for v in verdicts if v.case.cause == cause]
        others = sorted({found for found in own if found != cause})
        taken = ", ".join(f"{found} ({own.count(found)})" for found in others)
        noticed = sum(found != HEALTHY for found in own)
        rows.append((cause, len(own), noticed, own.count(cause), taken))
    return text_table(("planted", "runs", "noticed", "named", "taken for"), rows)


def matrix(verdicts: Sequence[Verdict]) -> Any:
    """Figure of what was planted and what was found."""
    names = [*CAUSES, HEALTHY]
    counts = np.zeros((len(names), len(names)), int)
    for verdict in verdicts:
        counts[names.index(verdict.case.cause), names.index(verdict.found)] += 1
    short = [name.replace("that do not belong together", "").strip() for name in names]
    figure = plot.confusion_matrix(counts, short)
    figure.axes[0].set(xlabel="Diagnosis", ylabel="Planted")
    return figure


def run(config: PlantedFaultsConfig) -> lesson.Result:
    """Trains and diagnoses the cases, prints the table and writes the folder."""
    workdir = Path(config.workdir or default_workdir("practice.planted_faults", config.preset))
    lesson.check_own(workdir, "practice.planted_faults")
    digits = load_digits(config)
    folder = lesson.begin("practice.planted_faults", config)
    verdicts, begin = [], time.perf_counter()
    cases = chosen(config)
    for i, case in enumerate(cases):
        found = verdict_of(case, digits, folder / "runs", config.seed)
        verdicts.append(Verdict(case, found))
        print(f"[{i + 1}/{len(cases)}] {case.name}: {found}", flush=True)
    seconds = time.perf_counter() - begin
    halves = {
        half: [v for v in verdicts if v.case.half == half]
        for half in (fault_cases.TUNING, fault_cases.QUOTED)
    }
    shown = halves[fault_cases.QUOTED] or verdicts
    print(f"\n{table(shown)}\n")
    for half, own in halves.items():
        if own:
            print(f"The {half} half: {count(own)}.")
    summary = {
        "program": "practice.planted_faults",
        "halves": {half: count(own)._asdict() for half, own in halves.items() if own},
        "verdicts": [
            {"name": v.case.name, "half": v.case.half, "planted": v.case.cause, "found": v.found}
            for v in verdicts
        ],
        "seconds": seconds,
    }
    return lesson.finish(folder, summary, {"causes": matrix(shown)})


if __name__ == "__main__":
    command_line.main("practice.planted_faults", PlantedFaultsConfig, run, __doc__)
