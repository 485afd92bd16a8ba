"""Cross-validation: choose dropout and weight decay without looking at the test data.

What:     trains every setting k times, each time leaving out one of k parts of the training data
          and scoring on that part; retrains the setting with the best mean on all of the training
          data; looks at the test data once. How good is what such a choice yields? That is
          estimated by nesting: k outer parts are held out in turn, the rest chooses by its own
          folds and retrains, and the held-out part, which no choice has seen, scores.
Source:   course document 001 (k = 5, 50 epochs, batch 16, learning rate 1e-3, weight decay 1e-4,
          MLP 784-256-10 with dropout 0.5).
Command:  python -m experiments.cross_validation --epochs 1       some minutes on two cores
          python -m experiments.cross_validation --preset quick   a minute or two
          python -m experiments.cross_validation --outer_folds 0  chooses only
Expected: the course gives no figures. Settings differ by about the standard deviation over folds,
          so the choice is the best mean, not a proof. The best mean is picked for being high, but
          comes from networks trained on less data: the nested estimate may lie on either side.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
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
from jaxdl.metrics.statistics import paired_difference, summarize
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
        "quick": {"epochs": 3, "max_steps": 600, "outer_folds": 3},
        "smoke": {"folds": 2, "outer_folds": 0, "max_steps": 4, "width": 8, "log_every": 1},
    }

    seeds: int = option(1, "number of seeds to repeat each fold with", low=1, high=1000)
    epochs: int = option(50, "passes over the training part", low=1)
    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    folds: int = option(5, "parts the training data is cut into (k)", low=2)
    outer_folds: int = option(
        5, "parts held out in turn to estimate what choosing by folds yields; 0: none", low=0
    )
    width: int = option(256, "width of the hidden layer", low=1, high=100_000)
    log_every: int = option(100, "steps between logged steps", low=1)


class OuterFold(NamedTuple):
    """What one outer fold of nested cross-validation gave.

    Attributes:
        chosen: the setting that the inner folds chose.
        promised: its accuracy on them, their mean.
        accuracy: of the network trained on all inner folds, on the outer one.
    """

    chosen: str
    promised: float
    accuracy: float


class Result(NamedTuple):
    """What :func:`run` returns.

    Attributes:
        validation: each setting's accuracy on each fold.
        chosen: the setting with the best mean.
        test_accuracy: of the chosen setting, one per seed.
        test_loss: likewise.
        nested: the outer folds.
        figures: Matplotlib figures by file name.
        summary: the content of ``summary.json``.
        exit_status: None if complete. If the run was stopped, the program's exit status; then only
            ``validation`` is filled, as far as it got.
    """

    validation: dict[str, list[float]]
    chosen: str
    test_accuracy: list[float]
    test_loss: list[float]
    nested: list[OuterFold]
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
    for name in ("folds", "outer_folds"):
        if (folds := getattr(config, name)) > smallest:
            raise ConfigError(f"--{name} {folds}, but the rarest class has {smallest} images")
    if config.outer_folds == 1:
        raise ConfigError("--outer_folds 1: expected at least 2, or 0 for none")
    if config.outer_folds and config.folds > (
        left := smallest - -(-smallest // config.outer_folds)
    ):
        raise ConfigError(
            f"--folds {config.folds}, but without an outer fold the rarest class has {left} images"
        )


def make_runs(config: CrossValidationConfig, dataset: data.Dataset) -> list[Run]:
    """The settings to choose from, if the training split can be cut into that many folds."""
    check_folds(config, dataset.train)
    return [setting_run(config, name, name) for name in SETTINGS]


def fold_splits(
    config: CrossValidationConfig, train: data.Split, outer: bool = False
) -> list[tuple[data.Split, data.Split]]:
    """For each fold, the training and the held-out split; every class has its share in each."""
    key = stream(root_key(config.seed), Stream.SPLIT)
    folds = config.folds
    if outer:
        key, folds = jax.random.fold_in(key, 1), config.outer_folds
    return [
        tuple(data.Split(train.images[rows], train.labels[rows]) for rows in split)
        for split in data.stratified_k_fold(train.labels, folds, key=key)
    ]


def fold_runs(
    config: CrossValidationConfig, train: data.Split, prefix: str = ""
) -> dict[str, list[Run]]:
    """Each setting's runs, one for each fold; their names begin with the prefix."""
    splits = fold_splits(config, train)
    return {
        setting: [
            setting_run(
                *(config, setting, f"{prefix}{setting}-fold{fold}"),
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


def outer_runs(
    config: CrossValidationConfig, train: data.Split
) -> Iterator[tuple[dict[str, list[Run]], dict[str, Run]]]:
    """For each outer fold, the inner folds' runs, and each setting's run on all of them."""
    splits = fold_splits(config, train, outer=True) if config.outer_folds else []
    for number, (rest, held) in enumerate(splits, start=1):
        prefix = f"outer{number}-"
        parts = {"train": rest, "evaluate_on": {"val": held}}
        finals = {s: setting_run(config, s, f"{prefix}{s}-final", **parts) for s in SETTINGS}
        yield fold_runs(config, rest, prefix), finals


def validate(session: Session, run: Run) -> float:
    """Trains a run, and returns its accuracy on the held-out part, averaged over seeds."""
    fitted = train_runs(session, [run])[run.name]
    return float(np.mean(fitted.final("val_accuracy")))


def cross_validate(
    session: Session, runs: Mapping[str, Sequence[Run]], accuracies: dict[str, list[float]]
) -> str:
    """Fills in each setting's accuracy on each fold; returns the setting with the best mean.

    Raises:
        StoppedError: a run was stopped.
    """
    for setting, folds in runs.items():
        accuracies[setting] = []
        for run in folds:
            accuracies[setting].append(validate(session, run))
    return max(accuracies, key=lambda name: np.mean(accuracies[name]))


def cross_validate_nested(session: Session) -> list[OuterFold]:
    """Chooses and retrains within every outer fold's rest, and scores on the outer fold."""
    found = []
    for inner, finals in outer_runs(session.config, session.dataset.train):
        accuracies: dict[str, list[float]] = {}
        chosen = cross_validate(session, inner, accuracies)
        promised = float(np.mean(accuracies[chosen]))
        found.append(OuterFold(chosen, promised, validate(session, finals[chosen])))
    return found


def nested_sentence(nested: Sequence[OuterFold]) -> str:
    """What the outer folds show.

    The interval takes the folds for independent, though their training parts overlap: it is
    somewhat too narrow (Bengio and Grandvalet, "No Unbiased Estimator of the Variance of K-Fold
    Cross-Validation", 2004).

    Example:
        >>> print(nested_sentence([OuterFold("l2", 0.93, 0.92), OuterFold("plain", 0.95, 0.92)]))
        Nested, over 2 outer folds: 92.00% of images that no choice has seen; chosen were l2 once,
        plain once. No difference shown from what the inner folds promised (+2.0 ± 12.7 points).
    """
    accuracy = np.mean([fold.accuracy for fold in nested])
    counts = collections.Counter(fold.chosen for fold in nested)
    times = {1: "once", 2: "twice"}
    chosen = ", ".join(f"{name} {times.get(n, f'{n} times')}" for name, n in counts.items())
    excess = paired_difference([f.promised for f in nested], [f.accuracy for f in nested])
    size = f"{100 * excess.mean:+.1f} ± {100 * excess.half_width:.1f} points"
    if excess.low <= 0 <= excess.high:
        compared = f"No difference shown from what the inner folds promised ({size})."
    else:
        word = "more" if excess.mean > 0 else "less"
        compared = f"The inner folds promised {word} ({size})."
    return (
        f"Nested, over {len(nested)} outer folds: {accuracy:.2%} of images that no choice has "
        f"seen; chosen were {chosen}. {compared}"
    )


def entry(values: list[float]) -> dict[str, Any]:
    """Figures in ``summary.json``."""
    found = summarize(values)
    return {"mean": found.mean, "sd": found.sd, "values": values}


def summarize_nested(nested: list[OuterFold]) -> dict[str, Any]:
    """The outer folds in ``summary.json``."""
    return {
        "chosen": [fold.chosen for fold in nested],
        "promised": entry([fold.promised for fold in nested]),
        "accuracy": entry([fold.accuracy for fold in nested]),
        "sentence": nested_sentence(nested),
    }


def summarize_choice(
    session: Session, validation: dict[str, list[float]], chosen: str, final: FittedClassifier
) -> dict[str, Any]:
    """The content of ``summary.json``, without the outer folds."""
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


def all_runs(session: Session) -> list[Run]:
    """Every run that may be trained."""
    config, train = session.config, session.dataset.train
    folds = itertools.chain(*fold_runs(config, train).values())
    runs = [*folds, *(final_run(config, setting) for setting in SETTINGS)]
    for inner, finals in outer_runs(config, train):
        runs += [*itertools.chain(*inner.values()), *finals.values()]
    return runs


def run(config: CrossValidationConfig) -> Result | None:
    """Cross-validates, trains the chosen setting, and writes the folder; None for a dry run."""
    with open_study("cross_validation", config, make_runs) as session:
        if config.dry_run:
            print_plan(session, make_runs(session.config, session.dataset))
            return None
        if config.debug_step is not None:
            replay_runs(session, all_runs(session))
            return None
        validation: dict[str, list[float]] = {}
        try:
            folds = fold_runs(session.config, session.dataset.train)
            chosen = cross_validate(session, folds, validation)
            one = final_run(session.config, chosen)
            final = train_runs(session, [one])[one.name]
            nested = cross_validate_nested(session)
        except StoppedError as stopped:
            return Result(validation, "", [], [], [], {}, {}, stopped.status)
        return finish(session, validation, (chosen, final), nested)


def finish(
    session: Session,
    validation: dict[str, list[float]],
    choice: tuple[str, FittedClassifier],
    nested: list[OuterFold],
) -> Result:
    """Writes summary and figure, and prints the result."""
    config, (chosen, final) = session.config, choice
    summary = summarize_choice(session, validation, chosen, final)
    shown = {name: 100 * np.array(values) for name, values in validation.items()}
    if nested:
        summary["nested"] = summarize_nested(nested)
        shown["nested"] = 100 * np.array([fold.accuracy for fold in nested])
    label = "Accuracy on the held-out fold (%)"
    figure = plot.values_per_seed(shown, ylabel=label, possible=(0, 100))
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
        f"test loss {np.mean(loss):.4f}; pictures and report.html are in {session.config.workdir}"
    )
    if nested:
        session.console.message(summary["nested"]["sentence"])
    figures = {"accuracy_per_fold": figure}
    return Result(validation, chosen, accuracy, loss, nested, figures, summary)


if __name__ == "__main__":
    command_line.main("cross_validation", CrossValidationConfig, run, __doc__)
