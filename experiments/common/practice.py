"""Practice programs: ways of training, each from the same seeds, compared in a table and in words.

A program says what is compared: a list of ``study.Run`` and the figures to look at. What they all
share is here: training, table, paired intervals, sentence, figure, summary, ``--dry_run`` and
resuming. Its docstring's first lines are ``What``, ``Source``, ``Command`` and ``Expected``.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.comparison import described, difference_of, scale_of, with_sd
from experiments.common.config import option
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
from experiments.common.table import text_table
from jaxdl import data, plot
from jaxdl.metrics.statistics import PairedDifference, paired_difference, summarize
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.run.progress import clock
from jaxdl.training.predict import predict_probabilities
from jaxdl.training.reprs import short_repr

METRICS = ("test_accuracy", "test_loss", "train_loss")  # what most comparisons look at

# Figures by run, then by metric, one number per seed. A metric whose name ends in "loss" is a loss,
# every other one a share in [0, 1].
Values = Mapping[str, Mapping[str, Sequence[float]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PracticeConfig(StudyConfig):
    """Flags of every practice program."""

    COURSE_BATCH_SIZE = 100

    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    log_every: int = option(50, "steps between logged steps", low=1)
    validation: float = option(
        0.1, "share of the training images held out to choose settings by", above=0, high=0.9
    )


class Findings(NamedTuple):
    """Figures of runs that share their seeds.

    Attributes:
        values: by run, then by metric, one number per seed.
        pairs: what to compare: a run, and the run it is compared with.

    Example:
        >>> found = Findings(
        ...     {"plain": {"test_accuracy": [0.8, 0.9, 0.7]},
        ...      "wide": {"test_accuracy": [0.91, 0.99, 0.8]}}, [("wide", "plain")])
        >>> print(found.sentence("test_accuracy"))
        Test accuracy against plain, seed by seed: better with wide (by 10.0 ± 2.5 points).
    """

    values: Values
    pairs: Sequence[tuple[str, str]]

    def mean(self, run: str, metric: str) -> float:
        """A run's figure, averaged over the seeds."""
        return float(np.mean(self.values[run][metric]))

    def difference(self, run: str, against: str, metric: str) -> PairedDifference:
        """A run's figures less another's, paired by seed."""
        return paired_difference(self.values[run][metric], self.values[against][metric])

    def verdict(self, run: str, against: str, metric: str) -> str:
        """The difference in words: "no difference shown" if its interval contains 0."""
        return difference_of(self.values[run][metric], self.values[against][metric], metric)[1]

    def pairs_with(self, metric: str) -> list[tuple[str, str]]:
        """The pairs in which both runs have a metric."""
        return [pair for pair in self.pairs if all(metric in self.values[run] for run in pair)]

    def sentence(self, metric: str) -> str:
        """What the pairs show of a metric: one sentence for each run that others face."""
        by_reference: dict[str, dict[str, list[str]]] = {}
        for run, against in self.pairs_with(metric):
            words = self.verdict(run, against, metric)
            kind, size = re.fullmatch(r"(better|worse|[^(]*[^( ]) ?(.*)", words).groups()
            groups = by_reference.setdefault(against, {})
            groups.setdefault(kind, []).append(f"{run} ({size.strip('()')})" if size else run)
        return " ".join(
            f"{spoken(metric)} against {against}, seed by seed: "
            + "; ".join(f"{kind} with {listed(runs)}" for kind, runs in sorted(groups.items()))
            + "."
            for against, groups in by_reference.items()
        )

    def entries(self) -> dict[str, Any]:
        """The runs and their differences, for ``summary.json``."""
        runs: dict[str, Any] = {
            name: {metric: described(figures, metric) for metric, figures in own.items()}
            for name, own in self.values.items()
        }
        for run, against in self.pairs:
            own, other = self.values[run], self.values[against]
            differences = {}
            for metric in own:
                if metric in other:
                    found, words = difference_of(own[metric], other[metric], metric)
                    differences[metric] = {**found, "verdict": words}
            runs[run][f"difference_to_{against}"] = differences
        return runs

    def table(self) -> str:
        """Mean ± standard deviation of every metric, a row for each run."""
        metrics = list(dict.fromkeys(metric for own in self.values.values() for metric in own))
        header = [
            f"{spoken(metric).lower()}{' %' * (scale_of(metric).factor == 100)}"
            for metric in metrics
        ]
        rows = [
            [name, *(_cell(own.get(m), m) for m in metrics)] for name, own in self.values.items()
        ]
        return text_table(("run", *header), rows)


def _cell(figures: Sequence[float] | None, metric: str) -> str:
    if figures is None:
        return "–"
    scale = scale_of(metric)
    return with_sd(summarize(figures), scale.factor, scale.decimals)


def spoken(metric: str) -> str:
    """A metric's name in words.

    Example:
        >>> spoken("train_loss"), spoken("val_accuracy"), spoken("test_macro_f1")
        ('Training loss', 'Validation accuracy', 'Test macro F1')
    """
    text = metric.replace("train_", "training_").replace("val_", "validation_").replace("_", " ")
    return re.sub(r"\bf1\b", "F1", text[:1].upper() + text[1:])


def listed(words: Sequence[str]) -> str:
    """Joins words with commas and "and".

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


# measure(session, runs, fitted): the figures of the runs, and of whatever is made of them.
Measure = Callable[[Session, Sequence[Run], Mapping[str, FittedClassifier]], Values]


def logged(fitted: FittedClassifier, metrics: Sequence[str] = METRICS) -> dict[str, list[float]]:
    """Each seed's metrics after its last epoch, or at its best if it was stopped early."""
    which = fitted.final if fitted.best_epochs is None else fitted.best
    return {metric: which(metric) for metric in metrics}


def measure_logged(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> Values:
    """Every run's metrics out of its log, those of :data:`METRICS` that it has."""
    del session, runs
    return {
        name: logged(one, [m for m in METRICS if m in one.log.records[-1]])
        for name, one in fitted.items()
    }


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


def chosen(values: Values, names: Sequence[str], metric: str = "val_accuracy") -> str:
    """The run with the best mean of a validation metric; the first of equals.

    Example:
        >>> chosen({"a": {"val_loss": [0.2, 0.3]}, "b": {"val_loss": [0.1, 0.2]}},
        ...        ["a", "b"], "val_loss")
        'b'
    """
    sign = 1 if scale_of(metric).higher_is_better else -1
    return max(names, key=lambda name: sign * np.mean(values[name][metric]))


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
        make_runs: ``make_runs(config, dataset)``, the runs to train.
        measure: the runs' figures; by default out of their logs.
        pairs: ``pairs(names)``, what to compare; by default every run with the first.
        draw: ``draw(findings, session)``, further figures by file name.
        tell: ``tell(findings)``, the sentence; by default of the first metric.
    """

    program: str
    make_runs: MakeRuns
    measure: Measure = measure_logged
    pairs: Callable[[Sequence[str]], Sequence[tuple[str, str]]] | None = None
    draw: Callable[[Findings, Session], dict[str, Any]] | None = None
    tell: Callable[[Findings], str] | None = None


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
        values = practice.measure(session, runs, fitted)
        names = list(values)
        pairs = practice.pairs(names) if practice.pairs else [(n, names[0]) for n in names[1:]]
        findings = Findings(values, pairs)
        return finish(practice, session, findings, fitted)


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
    first = next(iter(next(iter(findings.values.values()))))
    sentence = practice.tell(findings) if practice.tell else findings.sentence(first)
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
        figures = {"comparison": draw_comparison(findings, first)}
        figures |= practice.draw(findings, session) if practice.draw else {}
        for name, figure in figures.items():
            plot.save_figure(figure, session.workdir.path / f"{name}.png")
        session.workdir.write_summary(summary)
    tell = session.console.message
    tell(f"\n{findings.table()}\nFigures are mean ± standard deviation over the seeds.\n")
    tell(sentence)
    seconds = sum(summary["training_seconds"].values())
    tell(f"Trained in {clock(seconds)}; pictures are in {session.config.workdir}")
    return Result(findings, dict(fitted), figures, summary)


def draw_comparison(findings: Findings, metric: str) -> Any:
    """Every run's values of a metric, one per seed."""
    scale = scale_of(metric)
    values = {
        name: scale.factor * np.array(own[metric])
        for name, own in findings.values.items()
        if metric in own
    }
    low, high = (scale.factor * end for end in scale.possible)
    percent = " (%)" * (scale.factor == 100)
    possible = (low, high) if np.isfinite(high) else None
    return plot.values_per_seed(values, ylabel=f"{spoken(metric)}{percent}", possible=possible)
