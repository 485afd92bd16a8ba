"""Summary of repeated runs: figures over seeds, paired differences, and their table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.config import changed_flags
from experiments.common.session import Session
from experiments.common.table import text_table
from experiments.common.workdir import FREE_FIELDS
from jaxdl import plot
from jaxdl.distributed.parallel import batch_size_for
from jaxdl.metrics.statistics import Summary, paired_difference, summarize, verdict
from jaxdl.run.classifiers import FittedClassifier


class Course(NamedTuple):
    """The figures the course printed: one run of one seed."""

    test_loss: float
    test_accuracy: float


COURSE_IMAGES = 60_000  # MNIST's training images
# Flags that leave the figures alone, or only draw other random numbers.
SAME_FIGURES = FREE_FIELDS - {"epochs", "max_steps", "images"} | {
    *("seed", "seeds", "virtual_shards", "log_every", "sample_every"),
    *("ema_half_life", "evaluate_every", "evaluate_epochs", "evaluate_samples", "judge"),
}
METRICS = ("test_accuracy", "test_loss")


class Scale(NamedTuple):
    """How the figures of a metric are shown and judged.

    Attributes:
        possible: smallest and largest possible value.
        factor: what figures are multiplied with to be shown.
        unit: of the shown figures; may be empty.
        decimals: of the shown figures.
        higher_is_better: False for losses.
    """

    possible: tuple[float, float]
    factor: float
    unit: str
    decimals: int
    higher_is_better: bool


SHARE = Scale((0.0, 1.0), 100, "points", 2, True)
FAULTS = SHARE._replace(higher_is_better=False)
LOSS = Scale((0.0, math.inf), 1, "", 4, False)


def scale_of(metric: str) -> Scale:
    """The scale of a metric by its name: a loss if that is its last word, else a share.

    Example:
        >>> scale_of("train_loss") is LOSS, scale_of("test_accuracy") is SHARE
        (True, True)
        >>> scale_of("dead_units").higher_is_better
        False
    """
    if metric == "dead_units":
        return FAULTS
    return LOSS if metric.split("_")[-1] == "loss" else SHARE


class Outcome(NamedTuple):
    """A run's test figures, one per seed, and the course's figures for it."""

    name: str
    test_loss: list[float]
    test_accuracy: list[float]
    course: Course | None


def differences_from_course(session: Session) -> list[str]:
    """What a run does otherwise than the course: fewer data, and flags that change its figures."""
    config, found = session.config, []
    if session.dataset.num_train < COURSE_IMAGES:
        found.append(f"{session.dataset.num_train:,} training images")
    shares = config.virtual_shards or session.devices.total
    usual = {"batch_size": batch_size_for(shares, None, config.COURSE_BATCH_SIZE)}
    return found + changed_flags(config, usual, SAME_FIGURES)


def _summary_of(outcome: Outcome, metric: str) -> Summary:
    return summarize(getattr(outcome, metric), possible=scale_of(metric).possible)


def described(values: Sequence[float], metric: str) -> dict[str, Any]:
    """Figures of one run, one per seed, for ``summary.json``: mean, spread and intervals."""
    summary = summarize(values, possible=scale_of(metric).possible)
    return {
        "mean": summary.mean,
        "sd": summary.sd,
        "values": list(values),
        "interval": [summary.low, summary.high],
        "prediction_interval": list(summary.prediction_interval),
    }


def difference_of(
    values: Sequence[float], baseline: Sequence[float], metric: str
) -> tuple[dict[str, Any], str]:
    """Two runs' paired difference for ``summary.json``, and the verdict in words."""
    found, scale = paired_difference(values, baseline), scale_of(metric)
    words = verdict(found, scale.unit, scale.factor, scale.higher_is_better)
    return {"mean": found.mean, "interval": [found.low, found.high]}, words


def _figure_of(outcome: Outcome, metric: str, comparable: bool) -> dict[str, Any]:
    """One metric of one run, beside the course's figure if there is one."""
    summary = _summary_of(outcome, metric)
    entry = described(getattr(outcome, metric), metric)
    if outcome.course is not None:
        course = entry["course"] = getattr(outcome.course, metric)
        inside = summary.mean_interval_contains, summary.prediction_interval_contains
        names = "course_in_interval", "course_in_prediction_interval"
        for name, contains in zip(names, inside, strict=True):
            entry[name] = contains(course) if comparable else None
    return entry


def compare(outcomes: Sequence[Outcome], comparable: bool = True) -> dict[str, Any]:
    """Returns every run's figures, and its differences from the first run, seed by seed.

    Unless they are ``comparable`` with the course's, nothing is said about how the two compare.
    """
    first = outcomes[0]
    runs: dict[str, Any] = {}
    for outcome in outcomes:
        entry = {metric: _figure_of(outcome, metric, comparable) for metric in METRICS}
        if outcome is not first:
            entry[f"difference_to_{first.name}"] = _differences(outcome, first)
        runs[outcome.name] = entry
    return runs


def _differences(outcome: Outcome, first: Outcome) -> dict[str, Any]:
    found = {
        metric: difference_of(getattr(outcome, metric), getattr(first, metric), metric)
        for metric in METRICS
    }
    differences = {metric: difference for metric, (difference, _) in found.items()}
    verdicts = {
        f"{metric.removeprefix('test_')}_verdict": words for metric, (_, words) in found.items()
    }
    return differences | verdicts


def with_sd(summary: Summary, scale: float, decimals: int) -> str:
    """Mean ± standard deviation; of one value, the value."""
    mean, sd = f"{scale * summary.mean:.{decimals}f}", f"{scale * summary.sd:.{decimals}f}"
    return mean if summary.n == 1 else f"{mean} ± {sd}"


def _interval(summary: Summary, scale: float, decimals: int) -> str:
    if summary.n == 1:
        return "–"
    return f"{scale * summary.low:.{decimals}f} … {scale * summary.high:.{decimals}f}"


def _beside(value: float | None, summary: Summary, form: str) -> str:
    """The course's figure, and whether one more run of ours could have produced it."""
    if value is None:
        return "–"
    inside = summary.prediction_interval_contains(value)
    return form.format(value) + {True: " (within)", False: " (outside)", None: ""}[inside]


def comparison_table(
    outcomes: Sequence[Outcome], runs: Mapping[str, Any], comparable: bool = True
) -> str:
    """The study's table: test figures, intervals, verdicts, and the course's if ``comparable``."""
    rows: list[dict[str, str]] = []
    for outcome in outcomes:
        accuracy = _summary_of(outcome, "test_accuracy")
        loss = _summary_of(outcome, "test_loss")
        cells = {
            "run": outcome.name,
            "test accuracy %": with_sd(accuracy, 100, 2),
            "95% interval": _interval(accuracy, 100, 2),
            "course": _beside(outcome.course and outcome.course.test_accuracy, accuracy, "{:.2%}"),
            "test loss": with_sd(loss, 1, 4),
            "course ": _beside(outcome.course and outcome.course.test_loss, loss, "{:.4f}"),
        }
        rows.append({n: c for n, c in cells.items() if comparable or n.strip() != "course"})
    first = outcomes[0].name
    lines = [text_table(list(rows[0]), [list(cells.values()) for cells in rows])]
    lines.append(
        "Figures are mean ± standard deviation over the seeds; the interval is the mean's\n"
        "(Student's t, cut to 0 … 100)."
    )
    if comparable:
        lines.append(
            "The course's figure is one run: “within” the interval in which one more run of\n"
            "ours is expected, or not."
        )
    for outcome in outcomes[1:]:
        found = runs[outcome.name][f"difference_to_{first}"]
        lines.append(
            f"{outcome.name} against {first}, seed by seed: accuracy {found['accuracy_verdict']}; "
            f"loss {found['loss_verdict']}."
        )
    return "\n".join(lines)


def in_words(name: str) -> str:
    """A run's name as figures show it.

    Example:
        >>> in_words("early_stopping")
        'early stopping'
    """
    return name.replace("_", " ")


def figures_of(
    outcomes: Sequence[Outcome], fitted: Mapping[str, FittedClassifier], comparable: bool
) -> dict:
    """Accuracy per seed (beside the course's if comparable), and every run's loss with its band."""
    course = {
        in_words(o.name): 100 * o.course.test_accuracy for o in outcomes if o.course and comparable
    }
    accuracy = plot.values_per_seed(
        {in_words(o.name): 100 * np.array(o.test_accuracy) for o in outcomes},
        ylabel="Test accuracy (%)",
        run_references=course or None,
        run_reference_label="course (one run)",
        possible=(0, 100),
    )
    figures = {"accuracy_per_seed": accuracy}
    curves = {name: f.log.series("loss") for name, f in fitted.items()}
    shortest = min(len(steps) for steps, _ in curves.values())
    if shortest:
        by_name = {in_words(n): (s, np.array(v, float).T) for n, (s, v) in curves.items()}
        steps = next(iter(by_name.values()))[0][:shortest]
        figures["training_loss"] = plot.line_band(
            steps,
            {name: values[:, :shortest] for name, (_, values) in by_name.items()},
            xlabel="Step",
            ylabel="Training loss (nats), mean and range over seeds",
            log_y=True,
        )
    return figures
