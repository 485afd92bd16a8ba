"""What runs that share their seeds show: figures, paired differences, a sentence, pictures."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.comparison import described, difference_of, scale_of, with_sd
from experiments.common.table import text_table
from jaxdl import plot
from jaxdl.metrics.statistics import PairedDifference, paired_difference, summarize

MOST_COLUMNS = 8  # runs in a picture with a column for each

# Figures by run, then by metric, one number per seed. A metric whose name ends in "loss" is a loss,
# every other one a share in [0, 1].
Values = Mapping[str, Mapping[str, Sequence[float]]]


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

    @property
    def metrics(self) -> list[str]:
        """All metrics, in the order in which they occur."""
        return list(dict.fromkeys(metric for own in self.values.values() for metric in own))

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
        metrics = self.metrics
        header = [spoken(m) + " %" * (scale_of(m).factor == 100) for m in metrics]
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


def chosen(values: Values, names: Sequence[str], metric: str = "val_accuracy") -> str:
    """The run with the best mean of a validation metric; the first of equals.

    Example:
        >>> chosen({"a": {"val_loss": [0.2, 0.3]}, "b": {"val_loss": [0.1, 0.2]}},
        ...        ["a", "b"], "val_loss")
        'b'
    """
    sign = 1 if scale_of(metric).higher_is_better else -1
    return max(names, key=lambda name: sign * np.mean(values[name][metric]))


def draw_values(findings: Findings) -> Any | None:
    """Every run's values, one per seed, in a panel for each metric; None for many runs."""
    if len(findings.values) > MOST_COLUMNS:
        return None
    figure, panels = plot.figure_with_panels(len(findings.metrics))
    for ax, metric in zip(panels, findings.metrics, strict=True):
        scale = scale_of(metric)
        values = {
            name: scale.factor * np.array(own[metric])
            for name, own in findings.values.items()
            if metric in own
        }
        high = scale.factor * scale.possible[1]
        possible = (0, high) if np.isfinite(high) else None
        plot.values_per_seed(values, ylabel=_axis_label(metric), possible=possible, ax=ax)
        if ax is not panels[0]:
            ax.get_legend().remove()
    return figure


def draw_differences(findings: Findings, metric: str) -> Any | None:
    """The paired differences of a metric with their intervals; None if nothing is compared."""
    scale, rows = scale_of(metric), {}
    pairs = findings.pairs_with(metric)
    references = list(dict.fromkeys(against for _, against in pairs))
    if not pairs:
        return None
    for run, against in pairs:
        found = findings.difference(run, against, metric)
        label = run if len(references) == 1 else f"{run} − {against}"
        rows[label] = tuple(scale.factor * v for v in (found.low, found.mean, found.high))
    to = f", difference to “{references[0]}”" if len(references) == 1 else ", difference"
    label = f"{spoken(metric)}{to} ({scale.unit or 'nats'})"
    return plot.intervals(rows, xlabel=label, title="Mean over seeds and its 95 % interval")


def _axis_label(metric: str) -> str:
    return f"{spoken(metric)} ({'%' if scale_of(metric).factor == 100 else 'nats'})"
