"""Summary of repeated runs: figures over seeds, paired differences, and their table."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.common.table import text_table
from jaxdl.metrics.statistics import Summary, paired_difference, summarize, verdict


class Course(NamedTuple):
    """The figures the course printed: one run of one seed."""

    test_loss: float
    test_accuracy: float


class Outcome(NamedTuple):
    """A run's test figures, one per seed, and the course's figures for it."""

    name: str
    test_loss: list[float]
    test_accuracy: list[float]
    course: Course | None


def _figure_of(values: Sequence[float], course: float | None) -> dict[str, Any]:
    """One metric of one run, for ``summary.json``."""
    summary = summarize(values)
    entry = {
        "mean": summary.mean,
        "sd": summary.sd,
        "values": list(values),
        "interval": [summary.low, summary.high],
        "prediction_interval": list(summary.prediction_interval),
    }
    if course is not None:
        entry["course"] = course
        entry["course_in_interval"] = summary.mean_interval_contains(course)
        entry["course_in_prediction_interval"] = summary.prediction_interval_contains(course)
    return entry


def compare(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Returns every run's figures, and its differences from the first run, seed by seed."""
    first = outcomes[0]
    runs: dict[str, Any] = {}
    for outcome in outcomes:
        entry: dict[str, Any] = {}
        for metric in ("test_accuracy", "test_loss"):
            course = getattr(outcome.course, metric) if outcome.course else None
            entry[metric] = _figure_of(getattr(outcome, metric), course)
        if outcome is not first:
            entry[f"difference_to_{first.name}"] = _differences(outcome, first)
        runs[outcome.name] = entry
    return runs


def _differences(outcome: Outcome, first: Outcome) -> dict[str, Any]:
    accuracy = paired_difference(outcome.test_accuracy, first.test_accuracy)
    loss = paired_difference(outcome.test_loss, first.test_loss)
    return {
        "test_accuracy": {"mean": accuracy.mean, "interval": [accuracy.low, accuracy.high]},
        "test_loss": {"mean": loss.mean, "interval": [loss.low, loss.high]},
        "accuracy_verdict": verdict(accuracy),
        "loss_verdict": verdict(loss, unit="", scale=1, higher_is_better=False),
    }


def _with_sd(summary: Summary, scale: float, decimals: int) -> str:
    return f"{scale * summary.mean:.{decimals}f} ± {scale * summary.sd:.{decimals}f}"


def _interval(summary: Summary, scale: float, decimals: int) -> str:
    return f"{scale * summary.low:.{decimals}f} … {scale * summary.high:.{decimals}f}"


def _beside(value: float | None, summary: Summary, form: str) -> str:
    """The course's figure, and whether one more run of ours could have produced it."""
    if value is None:
        return "–"
    inside = summary.prediction_interval_contains(value)
    return form.format(value) + {True: " (within)", False: " (outside)", None: ""}[inside]


def comparison_table(outcomes: Sequence[Outcome], runs: Mapping[str, Any]) -> str:
    """The study's table: test figures, intervals, the course's figures, and the verdicts."""
    header = ("run", "test accuracy %", "95% interval", "course", "test loss", "course ")
    rows = []
    for outcome in outcomes:
        accuracy, loss = summarize(outcome.test_accuracy), summarize(outcome.test_loss)
        course = outcome.course
        rows.append(
            (
                outcome.name,
                _with_sd(accuracy, 100, 2),
                _interval(accuracy, 100, 2),
                _beside(course and course.test_accuracy, accuracy, "{:.2%}"),
                _with_sd(loss, 1, 4),
                _beside(course and course.test_loss, loss, "{:.4f}"),
            )
        )
    first = outcomes[0].name
    lines = [text_table(header, rows)]
    lines.append(
        "Figures are mean ± standard deviation over the seeds; the interval is the mean's "
        "(Student's t).\nThe course's figure is one run: “within” the interval in which one more "
        "run of ours is expected, or not."
    )
    for outcome in outcomes[1:]:
        found = runs[outcome.name][f"difference_to_{first}"]
        lines.append(
            f"{outcome.name} against {first}, seed by seed: accuracy {found['accuracy_verdict']}; "
            f"loss {found['loss_verdict']}."
        )
    return "\n".join(lines)
