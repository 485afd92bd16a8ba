"""Practice programs: ways of training, each from the same seeds, compared in a table and in words.

A program says what is compared: a list of ``study.Run`` and the figures to look at. What they all
share is here: training, table, paired intervals, sentence, figure, summary, ``--dry_run`` and
resuming. The seeds share the data: an interval says how well a difference is known on these images,
not on another draw of them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.config import option
from experiments.common.findings import Findings, Values, chosen, draw_differences, draw_values
from experiments.common.judgement import judge
from experiments.common.session import Session
from experiments.common.study import (
    MakeRuns,
    Run,
    StoppedError,
    StudyConfig,
    is_only_looked_at,
    open_study,
    train_runs,
)
from jaxdl import data, plot
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.run.progress import clock
from jaxdl.training.predict import predict_probabilities
from jaxdl.training.reprs import short_repr

METRICS = ("test_accuracy", "test_loss", "train_loss")  # what most comparisons look at
ROUND = 50  # steps between two looks at held-out images, where an epoch is not a pass over the data


@dataclasses.dataclass(frozen=True, kw_only=True)
class PracticeConfig(StudyConfig):
    """Flags of every practice program."""

    COURSE_BATCH_SIZE = 100

    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    log_every: int = option(50, "steps between logged steps", low=1)
    validation: float = option(
        0.1, "share of the training images held out to choose settings by", above=0, high=0.9
    )


# measure(session, runs, fitted): the figures of the runs, and of whatever is made of them.
Measure = Callable[[Session, Sequence[Run], Mapping[str, FittedClassifier]], Values]
# draw(findings, session, fitted): figures by file name.
Draw = Callable[[Findings, Session, Mapping[str, FittedClassifier]], dict[str, Any]]


def logged(fitted: FittedClassifier, metrics: Sequence[str] = METRICS) -> dict[str, list[float]]:
    """Each seed's metrics, of those logged, after its last epoch, or its best if it stops early."""
    which = fitted.final if fitted.best_epochs is None else fitted.best
    return {metric: which(metric) for metric in metrics if metric in fitted.log.records[-1]}


def measure_logged(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> Values:
    """Every run's metrics out of its log."""
    del session, runs
    return {name: logged(one) for name, one in fitted.items()}


def probabilities_of(fitted: FittedClassifier, part: data.Split) -> np.ndarray:
    """Every seed's class probabilities of a part's images, (seeds, N, C)."""
    best = fitted.best_epochs is not None and None not in fitted.best_epochs
    return np.stack(
        [
            predict_probabilities(fitted.network(i, best), part.images, fitted.transform)
            for i in range(len(fitted.seeds))
        ]
    )


JUDGED = {"accuracy": "accuracy", "loss": "cross_entropy"}  # metric → what ``judge`` calls it


def judged(
    probabilities: np.ndarray, labels: np.ndarray, part: str, names: Mapping[str, str] = JUDGED
) -> dict[str, list[float]]:
    """Each seed's figures on a part of the data, whatever loss it was trained with.

    Args:
        probabilities: (seeds, N, C).
        labels: integers (N,).
        part: the word before each metric's name.
        names: metrics, and what ``judgement.judge`` calls them.

    Example:
        >>> judged(np.array([[[0.9, 0.1], [0.6, 0.4]]]), np.array([0, 1]), "test")["test_accuracy"]
        [0.5]
    """
    found = [judge(one, labels) for one in probabilities]
    return {f"{part}_{name}": [one[key] for one in found] for name, key in names.items()}


def measure_on_test(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> Values:
    """Accuracy and loss on the test part, looked at only now, and what was logged of others."""
    del runs
    test = session.dataset.test
    return {
        name: judged(probabilities_of(one, test), test.labels, "test")
        | logged(one, ["train_loss", "val_accuracy"])
        for name, one in fitted.items()
    }


class Result(NamedTuple):
    """What a practice program's ``run`` returns.

    Attributes:
        findings: the figures and what is compared.
        fitted: the trained classifiers by run.
        figures: Matplotlib figures by file name.
        summary: the content of ``summary.json``.
        exit_status: None if complete. If the program was stopped, its exit status; then only
            ``fitted`` is filled.
    """

    findings: Findings
    fitted: dict[str, FittedClassifier]
    figures: dict[str, Any]
    summary: dict[str, Any]
    exit_status: int | None = None

    __repr__ = short_repr


def stopped(error: StoppedError) -> Result:
    """The result of a program that a signal ended."""
    return Result(Findings({}, ()), error.fitted, {}, {}, error.status)


class Practice(NamedTuple):
    """A comparison.

    Attributes:
        program: its name, as in ``overfitting``.
        make_runs: ``make_runs(config, dataset)``, the runs to train. Of runs named "l2=0.1",
            "l2=0.01" …, candidates of one setting, the best on validation data is kept; only that
            one is measured.
        measure: the runs' figures; by default out of their logs.
        pairs: ``pairs(names)``, what to compare; by default every run with the first.
        draw: ``draw(findings, session, fitted)``, further figures by file name.
        tell: ``tell(findings)``, the sentence; by default of the first metric.
        choose_by: the logged metric by which candidates are chosen.
    """

    program: str
    make_runs: MakeRuns
    measure: Measure = measure_logged
    pairs: Callable[[Sequence[str]], Sequence[tuple[str, str]]] | None = None
    draw: Draw | None = None
    tell: Callable[[Findings], str] | None = None
    choose_by: str = "val_accuracy"


def choose(
    fitted: Mapping[str, FittedClassifier], metric: str
) -> tuple[dict[str, FittedClassifier], dict[str, Any]]:
    """Keeps, of the candidates of each setting, the best on validation data.

    Args:
        fitted: what was trained; candidates are named "setting=value", other runs are all kept.
        metric: the logged metric to choose by.

    Returns:
        What is kept, in order, and what ``summary.json`` says of the choices.
    """
    settings: dict[str, list[str]] = {}
    for name in fitted:
        settings.setdefault(name.partition("=")[0], []).append(name)
    kept, record = {}, {}
    for setting, names in settings.items():
        best = names[0]
        if len(names) > 1:
            found = {name: logged(fitted[name], [metric]) for name in names}
            best = chosen(found, names, metric)
            record[setting] = {"chosen": best, "candidates": found}
        kept[best] = fitted[best]
    return kept, record


def run_practice(practice: Practice, config: PracticeConfig) -> Result | None:
    """Trains every run from every seed, and says what the comparison shows; None for a dry run."""
    with open_study(practice.program, config, practice.make_runs) as session:
        runs = practice.make_runs(session.config, session.dataset)
        if is_only_looked_at(session, runs):
            return None
        try:
            fitted = train_runs(session, runs)
        except StoppedError as error:
            return stopped(error)
        kept, choices = choose(fitted, practice.choose_by)
        values = practice.measure(session, [run for run in runs if run.name in kept], kept)
        names = list(values)
        pairs = practice.pairs(names) if practice.pairs else [(n, names[0]) for n in names[1:]]
        findings = Findings(values, pairs)
        return finish(practice, session, findings, fitted, {"choices": choices} if choices else {})


def finish(
    practice: Practice,
    session: Session,
    findings: Findings,
    fitted: Mapping[str, FittedClassifier],
    more: Mapping[str, Any] | None = None,
) -> Result:
    """Writes summary and figures, prints table and sentence, and returns the result.

    Args:
        practice: the comparison.
        session: its session.
        findings: the figures.
        fitted: the trained classifiers.
        more: further entries for ``summary.json``.
    """
    metric = findings.metrics[0]
    sentence = practice.tell(findings) if practice.tell else findings.sentence(metric)
    summary = {
        "program": practice.program,
        "sentence": sentence,
        "runs": findings.entries(),
        **(more or {}),
        "seeds": list(session.config.all_seeds),
        "interval": "mean ± t(n-1, 97.5%) · sd / √n over seeds; differences paired by seed",
        "data": session.dataset.source,
        "device": session.devices.kind,
        "num_devices": session.devices.total,
        "training_seconds": {name: one.fitted.progress.seconds for name, one in fitted.items()},
    }
    figures: dict[str, Any] = {}
    if session.devices.is_main:
        drawn = {
            "comparison": draw_values(findings),
            "differences": draw_differences(findings, metric),
            **(practice.draw(findings, session, fitted) if practice.draw else {}),
        }
        figures = {name: figure for name, figure in drawn.items() if figure is not None}
        for name, figure in figures.items():
            plot.save_figure(figure, session.workdir.path / f"{name}.png")
        session.workdir.write_summary(summary)
    tell = session.console.message
    tell(f"\n{findings.table()}\nFigures are mean ± standard deviation over the seeds.\n")
    tell(sentence)
    seconds = sum(summary["training_seconds"].values())
    tell(f"Trained in {clock(seconds)}; pictures and report.html are in {session.config.workdir}")
    return Result(findings, dict(fitted), figures, summary)
