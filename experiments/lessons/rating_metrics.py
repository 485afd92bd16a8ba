"""Rating metrics: MAE, the true RMSE, and what the course's "RMSE" really is.

What:     what the course's eleven printed results say about themselves; made-up ratings measured
          whole and in batches; both kinds of RMSE as ratings are added.
Source:   course document 004, level 4 (rating prediction).
Command:  python -m experiments.lessons.rating_metrics     seconds
Expected: not one of the eleven results can be a true RMSE; all of them fit √(Σe²)/n with the same
          n, from 16 to 31.

The true RMSE is √(Σe²/n) and never below the MAE, Σ|e|/n: squares weigh large errors more. The
course divides after the root, c = √(Σe²)/n, which is the true RMSE divided by √n: the more
ratings, the better it looks. From c and the MAE m follows what n can be, though the course does
not print it:

    n ≥ (m/c)²      since Σe² ≥ (Σ|e|)²/n, and Σe² = n²c², Σ|e| = nm
    n ≤ E·m/c²      since Σe² ≤ E·Σ|e| if no error is above E
"""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import metrics, plot
from jaxdl.training import rngs

THEME = "Building blocks"

# (MAE, "RMSE") as printed by the course.
COURSE = (
    (1.7200001566038026, 0.4514090256832854),
    (1.239705108822594, 0.35713520794924813),
    (1.7499926580955232, 0.465555718862482),
    (1.746949115034689, 0.4882812732555661),
    (2.1598522172916153, 0.5460346510016909),
    (1.6824240514184887, 0.46541209958034874),
    (1.6792562562194875, 0.49176114341507987),
    (1.7931466308292308, 0.47220292237768485),
    (1.6406961244212517, 0.4380791337450337),
    (1.6332884515765667, 0.4635470593340221),
    (1.9862890817370462, 0.5579275049496653),
)
KINDS = {
    "MAE": metrics.MAE,
    "true RMSE": metrics.RMSE,
    "course's √(Σe²)/n": metrics.CourseRMSE,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingMetricsConfig(Config):
    """What is assumed of the course's ratings, and how many ratings are made up."""

    largest_error: float = option(5.0, "no error is above this: 5 for ratings from 0 to 5", above=0)
    assumed_n: int = option(20, "number of ratings at which the true RMSE is shown", low=1)
    ratings: int = option(1000, "made-up ratings", low=2, high=100_000)
    batch_size: int = option(300, "ratings in a batch; the last one may be smaller", low=1)


def possible_counts(mae: float, course: float, largest_error: float) -> tuple[int, int]:
    """Least and greatest n with which a MAE and a course's "RMSE" go together."""
    return math.ceil((mae / course) ** 2), math.floor(largest_error * mae / course**2)


def consistency(config: RatingMetricsConfig) -> list[dict[str, Any]]:
    """For each printed result: whether it can be a true RMSE, n's limits, the RMSE it hides."""
    found = []
    for mae, course in COURSE:
        low, high = possible_counts(mae, course, config.largest_error)
        true = course * math.sqrt(config.assumed_n)
        entry = {"mae": mae, "course_rmse": course, "can_be_rmse": course >= mae}
        found.append(entry | {"n_at_least": low, "n_at_most": high, "true_rmse": true})
    return found


def made_up(config: RatingMetricsConfig) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and ratings, both drawn evenly from 0 to 5."""
    key = rngs.stream(rngs.root_key(config.seed), rngs.Stream.MADE_UP)
    drawn = jax.random.uniform(key, (2, config.ratings), maxval=5.0)
    return tuple(np.asarray(drawn))


def in_batches(kind: Any, predictions: np.ndarray, ratings: np.ndarray, size: int) -> list[Any]:
    """One metric a batch."""
    starts = range(0, len(ratings), size)
    return [kind.from_batch(predictions[i : i + size], ratings[i : i + size]) for i in starts]


def stream(config: RatingMetricsConfig) -> dict[str, dict[str, float]]:
    """Each metric of the whole, of merged batches, and as the mean of the batches' values."""
    predictions, ratings = made_up(config)
    found = {}
    for name, kind in KINDS.items():
        parts = in_batches(kind, predictions, ratings, config.batch_size)
        merged = kind.empty()
        for part in parts:
            merged = merged.merge(part)
        found[name] = {
            "whole": float(kind.from_batch(predictions, ratings).compute()),
            "merged": float(merged.compute()),
            "mean_of_batches": float(np.mean([part.compute() for part in parts])),
        }
    return found


def draw(config: RatingMetricsConfig, found: list[dict[str, Any]]) -> Any:
    """The three metrics as ratings are added, and what n each printed result allows."""
    error = np.subtract(*made_up(config)).astype(np.float64)
    n = np.arange(1, error.size + 1)
    norm = np.sqrt(np.cumsum(error**2))
    values = (np.cumsum(np.abs(error)) / n, norm / np.sqrt(n), norm / n)
    figure, (growth, counts) = plot.figure_with_panels(2, share_x=False, panel_height=3.2)
    series = dict(zip(KINDS, values, strict=True))
    labels = {"xlabel": "Number of ratings n", "ylabel": "Metric"}
    plot.curves(n, series, **labels, title="The same errors, more and more of them", ax=growth)
    growth.set_xscale("log")
    limits = {
        "least n": [entry["n_at_least"] for entry in found],
        "greatest n": [entry["n_at_most"] for entry in found],
    }
    labels = {"xlabel": "The course's sample", "ylabel": "Possible n"}
    reference = {f"n = {config.assumed_n}": config.assumed_n}
    title = "What n the printed results allow"
    plot.curves(range(len(found)), limits, **labels, references=reference, title=title, ax=counts)
    counts.set_ylim(bottom=0)
    return figure


def run(config: RatingMetricsConfig) -> lesson.Result:
    """Prints both tables, draws, and writes the folder."""
    folder = lesson.begin("rating_metrics", config)
    found = consistency(config)
    low = max(entry["n_at_least"] for entry in found)
    high = min(entry["n_at_most"] for entry in found)
    rows = [
        (
            *(i, f"{e['mae']:.4f}", f"{e['course_rmse']:.4f}"),
            "possible" if e["can_be_rmse"] else "no: below the MAE",
            *(e["n_at_least"], e["n_at_most"], f"{e['true_rmse']:.3f}"),
        )
        for i, e in enumerate(found)
    ]
    counts = ("n at least", "n at most", f"RMSE if n = {config.assumed_n}")
    print("The course's printed results:\n")
    print(text_table(("sample", "MAE", '"RMSE"', "a true RMSE?", *counts), rows))
    if low <= high:
        print(f'\n"RMSE" = √(Σe²)/n fits all of them with one n, from {low} to {high}.')
    else:
        print(f"\nNo single n fits all of them if no error is above {config.largest_error:g}.")
    streamed = stream(config)
    print(f"\n{config.ratings} made-up ratings, in batches of {config.batch_size}:\n")
    rows = [(name, *(f"{v:.6f}" for v in values.values())) for name, values in streamed.items()]
    print(text_table(("metric", "whole", "batches merged", "mean of the batches"), rows))
    summary = {"course": found, "common_n": [low, high], "streamed": streamed}
    return lesson.finish(folder, summary, {"rating_metrics": draw(config, found)})


if __name__ == "__main__":
    command_line.main("lessons.rating_metrics", RatingMetricsConfig, run, __doc__)
