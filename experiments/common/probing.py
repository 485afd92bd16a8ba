"""The experiment that decides what a log cannot: a run's siblings, and scikit-learn's baselines.

A larger network that knows more training images says that the model is too small; a smaller one
that does, that the optimisation fails (course document 001). Another step size says that the rate
is to blame.
"""

import contextlib
import dataclasses
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.classifier import ClassifierConfig, run
from experiments.common.baselines import linear_baseline, svm_baseline
from experiments.common.diagnosing import NOT_REPEATED
from experiments.common.parts import make_parts
from experiments.common.table import text_table
from jaxdl import data
from jaxdl.diagnosis import ClassifierRecord, Remedy, read_config, read_record
from jaxdl.diagnosis.finding import Finding
from jaxdl.errors import ConfigError, TrainingError

SAME, SMALLER, LARGER, SLOWER, FASTER = (
    *("the same", "a smaller network", "a larger network"),
    *("a fifth of the rate", "five times the rate"),
)
COST = {SAME: 1, SMALLER: 1, LARGER: 6, SLOWER: 1, FASTER: 1}  # of a step, at most
FOR_BASELINES = 0.3  # share of the budget
FEWEST_STEPS = 20
BETTER = 0.05  # accuracy on training images
SURE, SHORTER = 0.95, 0.7  # sureness after as many steps as the run's, after fewer


class Sibling(NamedTuple):
    """A trained relative of the run; NaN for what is not known."""

    name: str
    train_loss: float
    train_accuracy: float
    val_accuracy: float


def changes_of(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each sibling changes.

    Example:
        >>> changes_of({"model": "mlp", "width": 64, "depth": 8, "learning_rate": 0.1})[SMALLER]
        {'depth': 4}
    """
    rate, width, depth = settings["learning_rate"], settings["width"], settings["depth"]
    rates = {SLOWER: {"learning_rate": rate / 5}, FASTER: {"learning_rate": 5 * rate}}
    if settings["model"] == "linear":
        larger = {"model": "mlp", "width": 128, "depth": 1, "augment": settings["augment"]}
        return {SAME: {}, LARGER: larger | {"normalization": "none"}, **rates}
    smaller = {"depth": depth // 2} if depth > 3 else {"width": max(width // 4, 1)}
    return {SAME: {}, SMALLER: smaller, LARGER: {"width": 4 * width}, **rates}


def probe(folder: Path, seconds: float) -> tuple[list[Sibling], Finding | None]:
    """Trains the siblings and the baselines of the run in a folder within about a budget.

    Compiling each sibling's program and drawing its figures comes on top, some seconds each.

    They get the run's number of steps, or as many as there is time for; then the run itself is
    trained again for so many. Their folders lie in the run's, under ``probe``. Returns them, and
    what they decide.
    """
    if (program := read_config(folder).get("program")) != "classifier":
        raise ConfigError(f"--probe trains siblings of classifiers; {folder} is of {program!r}")
    record = read_record(folder)
    wanted, steps = changes_of(record.settings), _steps(record, seconds * (1 - FOR_BASELINES))
    found = []
    for name, changes in wanted.items():
        place = folder / "probe" / f"{name.replace(' ', '_')}_{steps}"
        found.append(_train(name, {**record.settings, **changes}, place, steps))
    found += _baselines(record.settings, seconds * FOR_BASELINES / 2)
    decision = decide(found, record.settings)
    if decision and steps < (record.epochs[-1]["step"] if record.epochs else math.inf):
        decision = decision._replace(sureness=SHORTER)
    return found, decision


def _steps(record: ClassifierRecord, seconds: float) -> int:
    """For how many steps there is time, at most those of the run."""
    settings, training = record.settings, record.facts["parts"]["training"]
    per_epoch = math.ceil(training / settings["batch_size"])
    planned = min(per_epoch * settings["epochs"], settings["max_steps"] or math.inf)
    speeds = [r["images_per_second"] for r in record.epochs if r.get("images_per_second")]
    step = settings["batch_size"] * settings["seeds"] / max(speeds) if speeds else 0.01
    affordable = int(seconds / (sum(COST.values()) * step))
    return int(min(planned, max(affordable, FEWEST_STEPS)))


def _train(name: str, settings: Mapping[str, Any], folder: Path, steps: int) -> Sibling:
    fields = {field.name for field in dataclasses.fields(ClassifierConfig)}
    chosen = {key: value for key, value in settings.items() if key in fields - NOT_REPEATED}
    chosen |= {"workdir": str(folder), "seeds": 1, "max_steps": steps}
    config = ClassifierConfig(**chosen)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(TrainingError):
        result = run(config)
        if result is not None and result.exit_status is not None:
            raise SystemExit(result.exit_status)
    record = read_record(folder)
    last = (record.last("train_loss"), record.accuracy("train"))
    return Sibling(name, *last, record.accuracy("val") if "val" in record.parts else math.nan)


def _baselines(settings: Mapping[str, Any], seconds: float) -> list[Sibling]:
    dataset = data.load(settings["dataset"], settings["data_dir"], source=settings["data_source"])
    parts = make_parts(dataset, settings["validation"] or 0.1, settings["seed"])
    fits = (fit(parts.train, parts.evaluated["val"], seconds=seconds) for fit in BASELINES)
    return [Sibling(f.name, math.nan, f.train_accuracy, f.val_accuracy) for f in fits]


BASELINES = (linear_baseline, svm_baseline)


def decide(siblings: list[Sibling], settings: Mapping[str, Any]) -> Finding | None:
    """The cause that the siblings show; None if they differ too little."""
    by_name = {sibling.name: sibling for sibling in siblings}
    own = by_name[SAME]
    gains = {
        name: sibling.train_accuracy - own.train_accuracy
        for name, sibling in by_name.items()
        if name in COST and sibling.train_accuracy > own.train_accuracy + BETTER
    }
    if not gains:
        return None
    best = max(gains, key=lambda name: gains[name])
    cause, text = {
        SMALLER: ("optimisation", "train the smaller network"),
        LARGER: ("model too small", "train the larger network"),
        SLOWER: ("rate too high", "take a fifth of the step size"),
        FASTER: ("rate too low", "take five times the step size"),
    }[best]
    evidence = (
        f"{best} reaches a training accuracy of {by_name[best].train_accuracy:.1%}, the run's own "
        f"settings {own.train_accuracy:.1%} in as many steps",
    )
    return Finding(cause, SURE, evidence, (Remedy(text, changes_of(settings)[best]),))


def told(siblings: list[Sibling]) -> str:
    """The siblings as a table."""
    forms = ("{:.3g}", "{:.1%}", "{:.1%}")
    rows = [(s.name, *map(_cell, s[1:], forms)) for s in siblings]
    return text_table(("probe", "training loss", "training accuracy", "validation"), rows)


def _cell(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
