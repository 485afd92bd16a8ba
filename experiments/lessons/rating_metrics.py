"""Rating metrics: MAE, the true RMSE, and what the course's "RMSE" really is.

What:     a consistency check of the course's eleven printed results; made-up ratings measured
          whole and in batches; both kinds of RMSE as ratings are added; predictions rounded to
          whole numbers, where ratings are whole and where they are not.
Source:   course document 004, level 4 (rating prediction).
Command:  python -m experiments.lessons.rating_metrics     seconds
Expected: none of the eleven results can be a true RMSE; all of them fit √(Σe²)/n with the same
          n, between 16 and 31. Rounding lowers the MAE where ratings are whole, as the course
          says, and raises it where they are not; the RMSE it lowers only if predictions are good.

The true RMSE is √(Σe²/n), which is never below the MAE, Σ|e|/n, because squares weigh large errors
more. The course divides after taking the root, c = √(Σe²)/n. That is the true RMSE divided by √n:
the more ratings, the better it looks. The course does not print n, but c and the MAE m bound it:

    n ≥ (m/c)²      since Σe² ≥ (Σ|e|)²/n, and Σe² = n²c², Σ|e| = nm
    n ≤ E·m/c²      since Σe² ≤ E·Σ|e| if no error exceeds E
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
SPREADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)  # of predictions about the rating
KINDS = {
    "MAE": metrics.MAE,
    "true RMSE": metrics.RMSE,
    "course's √(Σe²)/n": metrics.CourseRMSE,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatingMetricsConfig(Config):
    """Assumptions about the course's ratings, and how many ratings to make up."""

    largest_error: float = option(5.0, "assumed largest error: 5 for ratings from 0 to 5", above=0)
    assumed_n: int = option(20, "n to assume when showing the true RMSE", low=1)
    ratings: int = option(1000, "made-up ratings", low=2, high=100_000)
    batch_size: int = option(300, "ratings in a batch; the last one may be smaller", low=1)
    draws: int = option(50, "draws of the ratings to be rounded", low=2, high=10_000)


def possible_counts(mae: float, course: float, largest_error: float) -> tuple[int, int]:
    """Smallest and largest n compatible with an MAE and the course's "RMSE"."""
    return math.ceil((mae / course) ** 2), math.floor(largest_error * mae / course**2)


def consistency(config: RatingMetricsConfig) -> list[dict[str, Any]]:
    """For each printed result: whether it can be a true RMSE, bounds on n, and the implied RMSE."""
    found = []
    for mae, course in COURSE:
        low, high = possible_counts(mae, course, config.largest_error)
        true = course * math.sqrt(config.assumed_n)
        entry = {"mae": mae, "course_rmse": course, "can_be_rmse": course >= mae}
        found.append(entry | {"n_at_least": low, "n_at_most": high, "true_rmse": true})
    return found


def made_up(config: RatingMetricsConfig) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and ratings, both uniform on 0 to 5."""
    key = rngs.stream(rngs.root_key(config.seed), rngs.Stream.MADE_UP)
    drawn = jax.random.uniform(key, (2, config.ratings), maxval=5.0)
    return tuple(np.asarray(drawn))


def in_batches(kind: Any, predictions: np.ndarray, ratings: np.ndarray, size: int) -> list[Any]:
    """One metric per batch."""
    starts = range(0, len(ratings), size)
    return [kind.from_batch(predictions[i : i + size], ratings[i : i + size]) for i in starts]


def stream(config: RatingMetricsConfig) -> dict[str, dict[str, float]]:
    """Each metric on the whole, on merged batches, and as the mean of the batches' values."""
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


def rounding(config: RatingMetricsConfig) -> dict[str, dict[str, np.ndarray]]:
    """What rounding the predictions changes, by kind of rating, then of metric: (draws, SPREADS).

    Ratings lie between 1 and 5, predictions normally about them; rounded ones are kept within 1
    and 5 like the others.
    """
    key = rngs.stream(rngs.root_key(config.seed), rngs.Stream.MADE_UP)
    keys = [jax.random.fold_in(key, i) for i in (1, 2, 3)]
    shape = config.draws, 1, config.ratings
    noise = jax.random.normal(keys[0], shape) * np.array(SPREADS, np.float32)[None, :, None]
    kinds = {
        "whole numbers": jax.random.randint(keys[1], shape, 1, 6),
        "any numbers": jax.random.uniform(keys[2], shape, minval=1, maxval=5),
    }
    found = {}
    for name, ratings in kinds.items():
        ratings = np.asarray(ratings, float)
        predictions = np.clip(ratings + noise, 1, 5)
        before, after = (abs(p - ratings) for p in (predictions, np.round(predictions)))
        found[name] = {
            "MAE": after.mean(-1) - before.mean(-1),
            "RMSE": np.sqrt((after**2).mean(-1)) - np.sqrt((before**2).mean(-1)),
        }
    return found


def directions(changes: np.ndarray) -> str:
    """How many of the spreads rounding helps and harms, by 95% intervals of changes (draws, …).

    Example:
        >>> directions(np.array([[-1.0, 1.0, 1.0], [-1.1, 1.1, -1.0]]))
        'lower at 1 and higher at 1 of 3'
    """
    intervals = [metrics.summarize(column) for column in changes.T]
    lower, higher = sum(i.high < 0 for i in intervals), sum(i.low > 0 for i in intervals)
    told = [f"{word} at {n}" for word, n in (("lower", lower), ("higher", higher)) if n]
    return f"{' and '.join(told) or 'neither lower nor higher at any'} of {len(intervals)}"


@plot.style.styled
def draw_rounding(changes: dict[str, dict[str, np.ndarray]]) -> Any:
    """The mean change by rounding, over the spread of the predictions."""
    figure, panels = plot.figure_with_panels(1, 2, share_x=False, panel_height=3.4)
    for ax, (kind, found) in zip(panels, changes.items(), strict=True):
        means = {name: values.mean(0) for name, values in found.items()}
        labels = {
            "xlabel": "Spread of the predictions (sd, stars)",
            "ylabel": "Change by rounding (stars)",
        }
        plot.curves(SPREADS, means, **labels, title=f"Ratings: {kind}", ax=ax)
        ax.axhline(0, color=plot.style.GREY, linewidth=0.8)
    low, high = np.array([ax.get_ylim() for ax in panels]).T
    for ax in panels:
        ax.set_ylim(low.min(), high.max())
    return figure


@plot.style.styled
def draw(config: RatingMetricsConfig, found: list[dict[str, Any]]) -> Any:
    """The three metrics as ratings are added, and the n each printed result allows."""
    error = np.subtract(*made_up(config)).astype(np.float64)
    n = np.arange(1, error.size + 1)
    norm = np.sqrt(np.cumsum(error**2))
    values = (np.cumsum(np.abs(error)) / n, norm / np.sqrt(n), norm / n)
    figure, (growth, counts) = plot.figure_with_panels(2, share_x=False, panel_height=3.2)
    series = dict(zip(KINDS, values, strict=True))
    labels = {"xlabel": "Number of ratings n", "ylabel": "Metric (stars)"}
    plot.curves(n, series, **labels, title="The same errors, more and more of them", ax=growth)
    growth.set_xscale("log")
    least, most = (np.array([entry[k] for entry in found]) for k in ("n_at_least", "n_at_most"))
    style = {"width": 0.5, "color": plot.PALETTE[0], "alpha": 0.7}
    counts.bar(range(len(found)), most - least, bottom=least, label="possible n", **style)
    if least.max() <= most.min():
        label = f"common to all: {least.max()} to {most.min()}"
        counts.axhspan(least.max(), most.min(), color="black", alpha=0.12, label=label)
    counts.axhline(config.assumed_n, color="black", linestyle="--", label=f"n = {config.assumed_n}")
    counts.set(xlabel="The course's sample", ylabel="Number of ratings n", xticks=range(len(found)))
    counts.set_ylim(bottom=0)
    counts.grid(visible=False, axis="x")
    plot.style.title_and_legend(counts, "What n the printed results allow")
    return figure


def sentence(
    config: RatingMetricsConfig,
    found: list[dict[str, Any]],
    changes: dict[str, dict[str, np.ndarray]],
) -> str:
    """What the lesson has shown."""
    low, high = (f([e[k] for e in found]) for f, k in ((max, "n_at_least"), (min, "n_at_most")))
    true = sum(entry["can_be_rmse"] for entry in found)
    if low <= high:
        fits = f"√(Σe²)/n fits all of them with one n, from {low} to {high}"
    else:
        fits = f"no single n fits all of them if no error is above {config.largest_error:g}"
    whole, free = changes["whole numbers"], changes["any numbers"]
    return (
        f'{true} of the course\'s {len(found)} values of "RMSE" can be a true RMSE; {fits}. Where '
        f"ratings are whole numbers, rounding makes the MAE {directions(whole['MAE'])} spreads of "
        f"the predictions, the RMSE {directions(whole['RMSE'])}; where they are not, the MAE "
        f"{directions(free['MAE'])}."
    )


def run(config: RatingMetricsConfig) -> lesson.Result:
    """Prints both tables, draws, and writes the folder."""
    folder = lesson.begin("rating_metrics", config, __doc__)
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
    streamed = stream(config)
    print(f"\n{config.ratings} made-up ratings, in batches of {config.batch_size}:\n")
    rows = [(name, *(f"{v:.6f}" for v in values.values())) for name, values in streamed.items()]
    print(text_table(("metric", "whole", "batches merged", "mean of the batches"), rows))
    changes = rounding(config)
    print(f"\nChange of the metrics by rounding predictions, mean of {config.draws} draws:\n")
    names = [f"{name}, {kind}" for kind, found in changes.items() for name in found]
    columns = [values.mean(0) for found in changes.values() for values in found.values()]
    rows = [(s, *(f"{c[i]:+.3f}" for c in columns)) for i, s in enumerate(SPREADS)]
    print(text_table(("sd of predictions", *names), rows))
    summary = {
        "course": found,
        "common_n": [low, high],
        "streamed": streamed,
        "rounding": dict(zip(names, (column.tolist() for column in columns), strict=True)),
        "shown": sentence(config, found, changes),
    }
    figures = {"rating_metrics": draw(config, found), "rounding": draw_rounding(changes)}
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("lessons.rating_metrics", RatingMetricsConfig, run, __doc__)
