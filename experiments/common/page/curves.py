"""Curves of a run's log: what is drawn, condensed to a few hundred points."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.page.reading import RunFolder, numbers
from experiments.common.quality import PANELS, SHARES

POINTS = 720  # of a chart's curves together, and a third of them of one; more are averaged
MOST_LINES = 8  # in a chart
LOG_FROM = 4  # times the lowest value: a logarithmic axis


class Line(NamedTuple):
    """A curve with the range of what each point stands for: seeds, and steps close by."""

    label: str
    steps: list[float]
    means: list[float]
    lows: list[float]
    highs: list[float]


class Chart(NamedTuple):
    """Curves over the steps of a run.

    Attributes:
        title: what they show.
        unit: of the vertical axis.
        lines: the curves.
        log: whether that axis is logarithmic.
        note: what a point stands for; empty if for one number.
    """

    title: str
    unit: str
    lines: list[Line]
    log: bool = False
    note: str = ""


class Spec(NamedTuple):
    """Which metrics of which records a chart shows, by label."""

    title: str
    unit: str
    kinds: tuple[str, ...]
    metrics: Mapping[str, str]
    log: bool = False


STEP, MEASURED = ("step",), ("score", "epoch")
GAN = (
    Spec("Losses", "Loss", STEP, {"loss_d": "D", "loss_g": "G"}),
    Spec(
        "Outputs of the discriminator",
        "Mean output of D",
        STEP,
        {"d_x": "D(x)", "d_g_z1": "D(G(z)) before D’s update", "d_g_z2": "D(G(z)) after"},
    ),
    *(
        Spec(
            "Shares" if label == SHARES else label,
            "Share" if label == SHARES else "Distance",
            MEASURED,
            names | {f"{n}_floor": "real images" for n in names if label != SHARES},
            label != SHARES,
        )
        for label, names in PANELS
    ),
)
CLASSIFIER = (
    Spec("Loss in training", "Loss", STEP, {"loss": "training"}, True),
    Spec("Accuracy in training", "Share", STEP, {"accuracy": "training"}),
    *(
        Spec(
            f"{metric.capitalize()} after each epoch",
            "Loss" if metric == "loss" else "Share",
            MEASURED,
            {
                f"{part}_{metric}": name
                for part, name in (
                    ("train", "training images"),
                    ("val", "validation images"),
                    ("test", "test images"),
                )
            },
            metric == "loss",
        )
        for metric in ("loss", "accuracy")
    ),
)


def charts_of(run: RunFolder) -> list[Chart]:
    """The charts of a run: one a group of metrics, or one a metric where several runs share a log.

    A chart without two points is left out.
    """
    specs = GAN + CLASSIFIER
    if len(run.names) > 1:
        specs = tuple(alone for spec in specs for alone in _each_metric(spec))
    return [chart for spec in specs if (chart := _chart([("", run)], spec))]


def charts_of_all(runs: Sequence[tuple[str, RunFolder]]) -> list[Chart]:
    """Charts in which runs lie over one another, one a metric; each run with its label."""
    specs = [alone for spec in GAN + CLASSIFIER for alone in _each_metric(spec)]
    return [chart for spec in specs if (chart := _chart(runs, spec))]


def _each_metric(spec: Spec) -> list[Spec]:
    several = len(spec.metrics) > 1
    return [
        spec._replace(title=f"{spec.title}: {label}" if several else spec.title, metrics={name: ""})
        for name, label in spec.metrics.items()
    ]


def _chart(runs: Sequence[tuple[str, RunFolder]], spec: Spec) -> Chart | None:
    """The chart of a specification; None if there is nothing to draw."""
    logs = [
        (" · ".join(filter(None, (label, name if len(run.names) > 1 else ""))), records)
        for label, run in runs
        for name, records in run.by_name(*spec.kinds).items()
    ]
    found = {
        " · ".join(filter(None, (label, words))): rows
        for (label, records), (metric, words) in itertools.product(logs, spec.metrics.items())
        if len(rows := _rows(records, metric)) > 1
    }
    if not found:
        return None
    drawn = list(found.items())[:MOST_LINES]
    most = POINTS // max(len(drawn), 3)
    group = max(math.ceil(len(rows) / most) for _, rows in drawn)
    lines = [_line(label, rows, group) for label, rows in drawn]
    seeds = max(len(values) for _, rows in drawn for _, values in rows)
    note = _note(group, seeds)
    if len(found) > MOST_LINES:
        note += f" The first {MOST_LINES} of {len(found)} curves."
    lowest = min(value for line in lines for value in line.lows)
    highest = max(value for line in lines for value in line.highs)
    log = spec.log and highest > LOG_FROM * lowest > 0
    return Chart(spec.title, spec.unit, lines, log, note.strip())


def _rows(records: Sequence[dict[str, Any]], metric: str) -> list[tuple[int, list[float]]]:
    """A metric's steps and its finite values, one for each seed."""
    return [
        (record["step"], finite)
        for record in records
        if (finite := [v for v in numbers(record.get(metric)) if math.isfinite(v)])
    ]


def _line(label: str, rows: Sequence[tuple[int, list[float]]], group: int) -> Line:
    """A metric's curve, each point of which stands for as many rows as ``group`` says."""
    points = [rows[i : i + group] for i in range(0, len(rows), group)]
    values = [np.array([v for _, finite in point for v in finite]) for point in points]
    ends = (10, 90) if group > 1 else (0, 100)
    lows, highs = np.array([np.percentile(each, ends) for each in values]).T.tolist()
    steps = [float(np.mean([step for step, _ in point])) for point in points]
    return Line(label, steps, [float(each.mean()) for each in values], lows, highs)


def _note(group: int, seeds: int) -> str:
    """What a point and the band around it stand for."""
    of = [f"{group} logged steps"] if group > 1 else []
    of += [f"{seeds} seeds"] if seeds > 1 else []
    band = "four fifths of their values lie in it" if group > 1 else "their range"
    return f"Line: mean of {' and '.join(of)}; band: {band}." if of else ""
