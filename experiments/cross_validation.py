"""Cross-validation: choosing dropout and weight decay without looking at the test part.

What:     every setting is trained k times, each time without one of k parts of the training data
          and judged on that part; the setting with the best mean is trained once more on all of
          it, and the test part is looked at once.
Source:   course document 001 (k = 5, 50 epochs, batch 16, learning rate 1e-3, weight decay 1e-4,
          MLP 784-256-10 with dropout 0.5).
Command:  python -m experiments.cross_validation --epochs 5       some minutes on two cores
          python -m experiments.cross_validation --preset quick   a minute or two
Expected: the course gives no figures. Differences between settings are of the size of the
          standard deviation over folds; the choice is the best mean, not a proof.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.session import Session
from experiments.common.study import (
    Run,
    StoppedError,
    StudyConfig,
    open_study,
    print_plan,
    train_runs,
)
from experiments.common.table import text_table
from jaxdl import data, optim, plot
from jaxdl.errors import ConfigError
from jaxdl.metrics.statistics import summarize
from jaxdl.models import MLP
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Regularisation"

# Dropout rate and weight decay by name; the first is the course's.
SETTINGS = {
    "dropout+l2": (0.5, 1e-4),
    "dropout": (0.5, 0.0),
    "l2": (0.0, 1e-4),
    "plain": (0.0, 0.0),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidationConfig(StudyConfig):
    """The course's set-up; each field's reason or unit is in its help."""

    COURSE_BATCH_SIZE = 16
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 3, "max_steps": 600},
        "smoke": {"folds": 2, "max_steps": 4, "width": 8, "log_every": 1},
    }

    seeds: int = option(1, "how many seeds each fold is repeated from", low=1, high=1000)
    epochs: int = option(50, "passes over the training part", low=1)
    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    folds: int = option(5, "parts the training data is cut into (k)", low=2)
    width: int = option(256, "width of the hidden layer", low=1, high=100_000)
    log_every: int = option(100, "steps between logged steps", low=1)


class Result(NamedTuple):
    """What :func:`run` gives back.

    Attributes:
        validation: for each setting its accuracy on each fold.
        chosen: the setting with the best mean.
        test_accuracy: the chosen setting's accuracy on the test part, and
        test_loss: its loss, one a seed.
        figures: Matplotlib figures by file name.
        summary: what ``summary.json`` holds.
        exit_status: None if all is done; the status that the program ends with where it was
            stopped before, and only ``validation`` is filled, as far as it got.
    """

    validation: dict[str, list[float]]
    chosen: str
    test_accuracy: list[float]
    test_loss: list[float]
    figures: dict[str, Any]
    summary: dict[str, Any]
    exit_status: int | None = None


def setting_run(config: CrossValidationConfig, setting: str, name: str, **parts: Any) -> Run:
    """How a setting is trained."""
    dropout, weight_decay = SETTINGS[setting]
    model = MLP(hidden=(config.width,), dropout_rate=dropout, dropout_layers=1)
    return Run(name, model, optim.adam(config.learning_rate, weight_decay=weight_decay), **parts)


def check_folds(config: CrossValidationConfig, train: data.Split) -> None:
    """Raises if a class cannot be in every fold."""
    smallest = np.bincount(train.labels).min()
    if config.folds > smallest:
        raise ConfigError(f"--folds {config.folds}, but the rarest class has {smallest} images")


def make_runs(config: CrossValidationConfig, dataset: data.Dataset) -> list[Run]:
    """The settings to choose from, if the training part can be cut into so many folds."""
    check_folds(config, dataset.train)
    return [setting_run(config, name, name) for name in SETTINGS]


def fold_splits(config: CrossValidationConfig, train: data.Split) -> list[tuple]:
    """For each fold what is trained on and what is held out; every class has its share in each."""
    check_folds(config, train)
    key = stream(root_key(config.seed), Stream.SPLIT)
    return [
        tuple(data.Split(train.images[rows], train.labels[rows]) for rows in split)
        for split in data.stratified_k_fold(train.labels, config.folds, key=key)
    ]


def cross_validate(session: Session, accuracies: dict[str, list[float]]) -> None:
    """Fills in each setting's accuracy on each fold, the mean over seeds.

    Raises:
        StoppedError: a run was stopped.
    """
    config = session.config
    splits = fold_splits(config, session.dataset.train)
    for setting in SETTINGS:
        accuracies[setting] = []
        for fold, (train, held) in enumerate(splits, start=1):
            name = f"{setting}-fold{fold}"
            one = setting_run(config, setting, name, train=train)
            fitted = train_runs(session, [one], {"val": held})[name]
            accuracies[setting].append(float(np.mean(fitted.final("val_accuracy"))))


def summarize_choice(
    session: Session, validation: dict[str, list[float]], chosen: str, final: FittedClassifier
) -> dict[str, Any]:
    """What ``summary.json`` holds."""

    def entry(values: list[float]) -> dict[str, Any]:
        found = summarize(values)
        return {"mean": found.mean, "sd": found.sd, "values": values}

    return {
        "program": "cross_validation",
        "folds": session.config.folds,
        "settings": {name: {"val_accuracy": entry(v)} for name, v in validation.items()},
        "chosen": chosen,
        "runs": {
            chosen: {
                "test_accuracy": entry(final.final("test_accuracy")),
                "test_loss": entry(final.final("test_loss")),
            }
        },
        "data": session.dataset.source,
        "comparable_with_course": session.dataset.source != "embedded",
        "device": session.devices.kind,
        "num_devices": session.devices.total,
    }


def run(config: CrossValidationConfig) -> Result | None:
    """Cross-validates, trains the choice, and writes the folder; None for a dry run."""
    with open_study("cross_validation", config, make_runs) as session:
        if config.dry_run:
            print_plan(session, make_runs(session.config, session.dataset))
            return None
        validation: dict[str, list[float]] = {}
        try:
            cross_validate(session, validation)
            chosen = max(validation, key=lambda name: np.mean(validation[name]))
            one = setting_run(session.config, chosen, f"{chosen}-final")
            final = train_runs(session, [one], {"test": session.dataset.test})[one.name]
        except StoppedError as stopped:
            return Result(validation, "", [], [], {}, {}, stopped.status)
        return finish(session, validation, chosen, final)


def finish(
    session: Session, validation: dict[str, list[float]], chosen: str, final: FittedClassifier
) -> Result:
    """Writes the summary and the figure, and says what was found."""
    config = session.config
    summary = summarize_choice(session, validation, chosen, final)
    figure = plot.values_per_seed(
        {name: 100 * np.array(values) for name, values in validation.items()},
        ylabel="Accuracy on the held-out fold (%)",
    )
    if session.devices.is_main:
        plot.save_figure(figure, session.workdir.path / "accuracy_per_fold.png")
        session.workdir.write_summary(summary)
    rows = [
        (name, f"{100 * np.mean(v):.2f} ± {100 * np.std(v, ddof=1):.2f}", "←" * (name == chosen))
        for name, v in validation.items()
    ]
    session.console.message(text_table(("setting", f"accuracy % ({config.folds} folds)", ""), rows))
    accuracy, loss = final.final("test_accuracy"), final.final("test_loss")
    session.console.message(
        f"{chosen}, trained on all of the training part: test accuracy {np.mean(accuracy):.2%}, "
        f"test loss {np.mean(loss):.4f}; pictures are in {session.config.workdir}"
    )
    return Result(validation, chosen, accuracy, loss, {"accuracy_per_fold": figure}, summary)


if __name__ == "__main__":
    command_line.main("cross_validation", CrossValidationConfig, run, __doc__)
