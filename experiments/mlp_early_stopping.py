"""Early stopping of an MLP: the course's way, and a sound one.

What:     the baseline MLP for 29 epochs; the same run stopped by its *test* accuracy, as in the
          course (which makes it no test any more); and training with a tenth held out, stopped by
          the accuracy on that tenth, with the best weights restored and the test data never used.
Source:   course document 004, level 13 (patience 3; `range(1, 30)` is 29 epochs, not 30).
Command:  python -m experiments.mlp_early_stopping                  three seeds; a quarter of an
                                                                    hour on two cores
          python -m experiments.mlp_early_stopping --preset quick   a minute or two
Expected: the course reports 82.70% after 29 epochs and 92.16% with early stopping, from one run
          each.
"""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.session import Session
from experiments.common.study import (
    Course,
    Outcome,
    Result,
    Run,
    StoppedError,
    StudyConfig,
    final_outcome,
    finish,
    is_only_looked_at,
    open_study,
    train_runs,
)
from jaxdl import data, optim, plot
from jaxdl.models import MLP
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Regularisation"

LONG, COURSE_WAY, SOUND = "long_baseline", "early_stopping_course", "early_stopping"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPEarlyStoppingConfig(StudyConfig):
    """The course's settings; the flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"seeds": 3, "epochs": 10, "width": 200},
        "smoke": {"seeds": 2, "epochs": 2, "max_steps": 4, "width": 16, "log_every": 1},
    }

    seeds: int = option(3, "number of seeds to repeat each run with", low=1, high=1000)
    epochs: int = option(29, "passes over the training part", low=1)
    patience: int = option(3, "epochs without improvement that end a run", low=1)
    held_out: float = option(0.1, "share of the training part held out", above=0, high=0.9)
    width: int = option(700, "width of each of the six hidden layers", low=1, high=100_000)


def hold_out(config: MLPEarlyStoppingConfig, train: data.Split) -> tuple[data.Split, data.Split]:
    """The training split without the held-out part, and that part, stratified by class."""
    key = stream(root_key(config.seed), Stream.SPLIT)
    kept, held = data.stratified_train_test_split(train.labels, 1 - config.held_out, key=key)
    return (
        data.Split(train.images[kept], train.labels[kept]),
        data.Split(train.images[held], train.labels[held]),
    )


def make_runs(config: MLPEarlyStoppingConfig, dataset: data.Dataset) -> Sequence[Run]:
    """The two runs that are trained; the course's way is read off the first."""
    model, adam = MLP(hidden=(config.width,) * 6), optim.adam(config.learning_rate)
    kept, held = hold_out(config, dataset.train)
    stopping = EarlyStopping("val_accuracy", "max", config.patience)
    parts = {"val": held, "test": dataset.test}
    return [
        Run(LONG, model, adam, Course(0.5489, 0.8270)),
        Run(SOUND, model, adam, train=kept, evaluate_on=parts, early_stopping=stopping),
    ]


def course_way(fitted: FittedClassifier, patience: int) -> tuple[Outcome, list[int]]:
    """The long run's figures at the epoch where its test accuracy would have stopped it.

    Stopping changes nothing before the stop, so these are the figures of a run that really stopped.
    The weights are the last ones, as in the course.

    Args:
        fitted: the long run, evaluated on the test split after each epoch.
        patience: epochs without a better test accuracy.

    Returns:
        The outcome, and for each seed the epoch where it stopped.
    """
    epochs = [record for record in fitted.log.records if record["kind"] == "epoch"]
    stopping = EarlyStopping("test_accuracy", "max", patience)
    stops = []
    for i in range(len(fitted.seeds)):
        one = copy.deepcopy(stopping)
        stop = next((r["epoch"] for r in epochs if one(r["test_accuracy"][i])), len(epochs))
        stops.append(stop)
    losses = [epochs[stop - 1]["test_loss"][i] for i, stop in enumerate(stops)]
    accuracies = [epochs[stop - 1]["test_accuracy"][i] for i, stop in enumerate(stops)]
    return Outcome(COURSE_WAY, losses, accuracies, Course(0.3297, 0.9216)), stops


TITLES = {
    LONG: ("Not stopped", "the course's rule would stop here"),
    SOUND: ("Stopped by the accuracy on held-out digits", "stopped here"),
}


@plot.style.styled
def accuracy_curves(fitted: dict[str, FittedClassifier], stops: dict[str, list[int]]) -> Any:
    """Test accuracy by epoch, and where each seed stopped."""
    figure, axes = plot.figure_with_panels(len(fitted), panel_height=3.0)
    for ax, (name, one) in zip(axes, fitted.items(), strict=True):
        epochs = [record for record in one.log.records if record["kind"] == "epoch"]
        series = {
            f"seed {seed}": [100 * record["test_accuracy"][i] for record in epochs]
            for i, seed in enumerate(one.seeds)
        }
        plot.curves(
            [record["epoch"] for record in epochs],
            series,
            xlabel="Epoch" if ax is axes[-1] else "",
            ylabel="Test accuracy (%)",
            ax=ax,
        )
        title, mark = TITLES[name]
        reached = [
            values[stop - 1] for values, stop in zip(series.values(), stops[name], strict=True)
        ]
        cross = {"marker": "X", "markersize": 9, "color": "black", "linestyle": "none"}
        ax.plot(stops[name], reached, **cross, label=mark, zorder=4)
        plot.style.title_and_legend(ax, title)
    return figure


def run(config: MLPEarlyStoppingConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    with open_study("mlp_early_stopping", config, make_runs) as session:
        runs = make_runs(session.config, session.dataset)
        if is_only_looked_at(session, runs):
            return None
        try:
            fitted = train_runs(session, runs)
        except StoppedError as stopped:
            return Result([], stopped.fitted, {}, {}, stopped.status)
        return compare_ways(session, runs, fitted)


def compare_ways(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> Result:
    """Compares the two ways of stopping with the run that was not stopped."""
    long_run, sound_run = runs
    sound = fitted[SOUND]
    by_test, course_stops = course_way(fitted[LONG], session.config.patience)
    last = max(r["epoch"] for r in sound.log.records if r["kind"] == "epoch")
    sound_stops = [stop or last for stop in sound.stopped_epochs]
    outcomes = [
        final_outcome(long_run, fitted[LONG]),
        by_test,
        Outcome(
            SOUND,
            sound.best("test_loss"),
            sound.best("test_accuracy"),
            sound_run.course,
        ),
    ]
    more = {
        COURSE_WAY: {"stopped_epochs": course_stops, "selected_on": "test", "weights": "last"},
        SOUND: {
            "stopped_epochs": sound.stopped_epochs,
            "best_epochs": sound.best_epochs,
            "selected_on": "held-out part",
            "weights": "best",
        },
    }
    figure = accuracy_curves(fitted, {LONG: course_stops, SOUND: sound_stops})
    return finish("mlp_early_stopping", session, outcomes, fitted, {"accuracy": figure}, more)


if __name__ == "__main__":
    command_line.main("mlp_early_stopping", MLPEarlyStoppingConfig, run, __doc__)
