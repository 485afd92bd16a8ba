"""Cross-validation: choose dropout and weight decay without looking at the test data.

What:     trains every setting k times, each time leaving out one of k parts of the training data
          and scoring on that part; retrains the setting with the best mean on all of the training
          data; looks at the test data once.
Source:   course document 001 (k = 5, 50 epochs, batch 16, learning rate 1e-3, weight decay 1e-4,
          MLP 784-256-10 with dropout 0.5).
Command:  python -m experiments.cross_validation --epochs 5       some minutes on two cores
          python -m experiments.cross_validation --preset quick   a minute or two
Expected: the course gives no figures. Settings differ by about the standard deviation over folds,
          so the choice is the best mean, not a proof.
"""

import dataclasses
import itertools
from typing import Any, ClassVar, NamedTuple

import numpy as np

from experiments.common import command_line
from experiments.common.comparison import differences_from_course
from experiments.common.config import option
from experiments.common.session import Session
from experiments.common.study import (
    Run,
    StoppedError,
    StudyConfig,
    open_study,
    print_plan,
    replay_runs,
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
    """The course's settings; the flags' help gives reasons and units."""

    COURSE_BATCH_SIZE = 16
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 3, "max_steps": 600},
        "smoke": {"folds": 2, "max_steps": 4, "width": 8, "log_every": 1},
    }

    seeds: int = option(1, "number of seeds to repeat each fold with", low=1, high=1000)
    epochs: int = option(50, "passes over the training part", low=1)
    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    folds: int = option(5, "parts the training data is cut into (k)", low=2)
    width: int = option(256, "width of the hidden layer", low=1, high=100_000)
    log_every: int = option(100, "steps between logged steps", low=1)


class Result(NamedTuple):
    """What :func:`run` returns.

    Attributes:
        validation: each setting's accuracy on each fold.
        chosen: the setting with the best mean.
        test_accuracy: of the chosen setting, one per seed.
        test_loss: likewise.
        figures: Matplotlib figures by file name.
        summary: the content of ``summary.json``.
        exit_status: None if complete. If the run was stopped, the program's exit status; then only
            ``validation`` is filled, as far as it got.
    """

    validation: dict[str, list[float]]
    chosen: str
    test_accuracy: list[float]
    test_loss: list[float]
    figures: dict[str, Any]
    summary: dict[str, Any]
    exit_status: int | None = None


def setting_run(config: CrossValidationConfig, setting: str, name: str, **parts: Any) -> Run:
    """Describes how to train a setting."""
    dropout, weight_decay = SETTINGS[setting]
    model = MLP(hidden=(config.width,), dropout_rate=dropout, dropout_layers=1)
    return Run(name, model, optim.adam(config.learning_rate, weight_decay=weight_decay), **parts)


def check_folds(config: CrossValidationConfig, train: data.Split) -> None:
    """Raises if some class cannot be in every fold."""
    smallest = np.bincount(train.labels).min()
    if config.folds > smallest:
        raise ConfigError(f"--folds {config.folds}, but the rarest class has {smallest} images")


def make_runs(config: CrossValidationConfig, dataset: data.Dataset) -> list[Run]:
    """The settings to choose from, if the training split can be cut into that many folds."""
    check_folds(config, dataset.train)
    return [setting_run(config, name, name) for name in SETTINGS]


def fold_splits(config: CrossValidationConfig, train: data.Split) -> list[tuple]:
    """For each fold, the training and the held-out split; every class has its share in each."""
    check_folds(config, train)
    key = stream(root_key(config.seed), Stream.SPLIT)
    return [
        tuple(data.Split(train.images[rows], train.labels[rows]) for rows in split)
        for split in data.stratified_k_fold(train.labels, config.folds, key=key)
    ]


def fold_runs(config: CrossValidationConfig, train: data.Split) -> dict[str, list[Run]]:
    """Each setting's runs, one for each fold."""
    splits = fold_splits(config, train)
    return {
        setting: [
            setting_run(
                *(config, setting, f"{setting}-fold{fold}"),
                train=rest,
                evaluate_on={"val": held},
            )
            for fold, (rest, held) in enumerate(splits, start=1)
        ]
        for setting in SETTINGS
    }


def final_run(config: CrossValidationConfig, setting: str) -> Run:
    """The run of the chosen setting on the whole training split."""
    return setting_run(config, setting, f"{setting}-final")


def cross_validate(session: Session, accuracies: dict[str, list[float]]) -> None:
    """Fills in each setting's accuracy on each fold, averaged over seeds.

    Raises:
        StoppedError: a run was stopped.
    """
    for setting, runs in fold_runs(session.config, session.dataset.train).items():
        accuracies[setting] = []
        for run in runs:
            fitted = train_runs(session, [run])[run.name]
            accuracies[setting].append(float(np.mean(fitted.final("val_accuracy"))))


def summarize_choice(
    session: Session, validation: dict[str, list[float]], chosen: str, final: FittedClassifier
) -> dict[str, Any]:
    """The content of ``summary.json``."""

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
        "comparable_with_course": not differences_from_course(session),
        "device": session.devices.kind,
        "num_devices": session.devices.total,
    }


def run(config: CrossValidationConfig) -> Result | None:
    """Cross-validates, trains the chosen setting, and writes the folder; None for a dry run."""
    with open_study("cross_validation", config, make_runs) as session:
        if config.dry_run:
            print_plan(session, make_runs(session.config, session.dataset))
            return None
        if config.debug_step is not None:
            folds = fold_runs(session.config, session.dataset.train).values()
            finals = [final_run(session.config, setting) for setting in SETTINGS]
            replay_runs(session, [*itertools.chain(*folds), *finals])
            return None
        validation: dict[str, list[float]] = {}
        try:
            cross_validate(session, validation)
            chosen = max(validation, key=lambda name: np.mean(validation[name]))
            one = final_run(session.config, chosen)
            final = train_runs(session, [one])[one.name]
        except StoppedError as stopped:
            return Result(validation, "", [], [], {}, {}, stopped.status)
        return finish(session, validation, chosen, final)


def finish(
    session: Session, validation: dict[str, list[float]], chosen: str, final: FittedClassifier
) -> Result:
    """Writes summary and figure, and prints the result."""
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
        f"{chosen}, trained on the whole training part: test accuracy {np.mean(accuracy):.2%}, "
        f"test loss {np.mean(loss):.4f}; pictures are in {session.config.workdir}"
    )
    return Result(validation, chosen, accuracy, loss, {"accuracy_per_fold": figure}, summary)


if __name__ == "__main__":
    command_line.main("cross_validation", CrossValidationConfig, run, __doc__)
