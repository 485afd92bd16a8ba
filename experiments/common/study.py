"""Studies: several ways of training a classifier, each from several seeds, compared fairly.

Every run is repeated from the same seeds, so differences are paired. Intervals are Student's t
intervals (``jaxdl.metrics.statistics``).
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import numpy as np
import optax

from experiments.common.comparison import (
    Course,
    Outcome,
    compare,
    comparison_table,
    differences_from_course,
    figures_of,
    in_words,
)
from experiments.common.config import TrainingConfig, option
from experiments.common.session import Session, open_session
from experiments.common.table import flag_table
from experiments.common.training import exit_status, is_replayed, run_options
from jaxdl import data, nn, plot
from jaxdl.distributed.memory import check_fits
from jaxdl.errors import ConfigError
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.classifiers import FittedClassifier, fit_classifier
from jaxdl.run.log import Record
from jaxdl.run.progress import clock
from jaxdl.run.replay import replay
from jaxdl.run.task import Hook
from jaxdl.training.classifier import Augmentation
from jaxdl.training.collapse import chance_warnings
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.reprs import short_repr
from jaxdl.training.several_seeds import stacked_states

BASELINE = "baseline"
NEAR_ZERO = 1e-3  # smaller weights count as near zero


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(TrainingConfig):
    """Flags of a study; the defaults are the course's settings, repeated from several seeds."""

    COURSE_BATCH_SIZE = 64

    seed: int = option(1, "first seed; the others follow it", low=0, high=2**31 - 1)
    seeds: int = option(5, "number of seeds to repeat each run with", low=1, high=1000)
    epochs: int = option(1, "passes over the training part", low=1)
    learning_rate: float = option(0.01, "Adam's step size", above=0)
    log_every: int = option(10, "steps between logged steps", low=1)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds of every run."""
        return tuple(range(self.seed, self.seed + self.seeds))


class Run(NamedTuple):
    """One way of training.

    Attributes:
        name: its name in tables and in ``summary.json``.
        model: the network.
        optimizer: its optimiser.
        course: the course's figures, None where it has none.
        augment: transforms the training images.
        train: the split to train on; None for the whole training split.
        evaluate_on: what it is evaluated on, by name; None for the test split.
        early_stopping: when to stop a seed.
        how: further fields of ``ClassifierOptions``, such as ``objective`` or ``sampler``, or
            ``seeds`` in place of the study's.
        hooks: called at the ends of epochs.
        identity: what else a checkpoint must match, such as the length that a schedule needs.
    """

    name: str
    model: linen.Module
    optimizer: optax.GradientTransformation
    course: Course | None = None
    augment: Augmentation | None = None
    train: data.Split | None = None
    evaluate_on: Mapping[str, data.Split] | None = None
    early_stopping: EarlyStopping | None = None
    how: Mapping[str, Any] = MappingProxyType({})
    hooks: Sequence[Hook] = ()
    identity: Mapping[str, Any] = MappingProxyType({})


MakeRuns = Callable[[Any, data.Dataset], Sequence[Run]]


class Result(NamedTuple):
    """What a study's ``run`` returns.

    Attributes:
        outcomes: the test figures.
        fitted: the trained classifiers by run.
        figures: Matplotlib figures by file name.
        summary: the content of ``summary.json``.
        exit_status: None if the study is complete. If it was stopped, the program's exit status;
            then only ``fitted`` is filled.
    """

    outcomes: list[Outcome]
    fitted: dict[str, FittedClassifier]
    figures: dict[str, Any]
    summary: dict[str, Any]
    exit_status: int | None = None

    __repr__ = short_repr


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"mean of {seeds} seeds"


def describe(record: Record) -> str:
    """Formats a record for the console."""
    trained = [i for i, value in enumerate(record["loss"]) if value is not None]
    loss, accuracy = (np.mean([record[name][i] for i in trained]) for name in ("loss", "accuracy"))
    return f"Loss: {loss:.4f} Accuracy: {accuracy:.2%} ({_count(len(trained))})"


def check(config: StudyConfig, dataset: data.Dataset) -> None:
    """Raises if this configuration cannot train on the data."""
    if config.batch_size > dataset.num_train:
        raise ConfigError(
            f"--batch_size {config.batch_size} is more than the {dataset.num_train} training images"
        )


def open_study(
    program: str, config: StudyConfig, make_runs: MakeRuns
) -> contextlib.AbstractContextManager[Session]:
    """Opens a session after checking that all runs can be made; see :func:`open_session`."""

    def check_runs(config: StudyConfig, dataset: data.Dataset) -> None:
        check(config, dataset)
        for run in make_runs(config, dataset):
            _check_run(run, config, dataset)

    return open_session(program, config, describe, check_runs)


def _check_run(run: Run, config: StudyConfig, dataset: data.Dataset) -> None:
    example = input_of(run, dataset)
    states = jax.eval_shape(
        lambda x: stacked_states(run.model, run.optimizer, x, seeds_of(run, config)), example
    )
    check_fits(states, (), f"the networks of {run.name!r} (--width, --seeds)")


def seeds_of(run: Run, config: StudyConfig) -> tuple[int, ...]:
    """The seeds that a run is repeated with."""
    return tuple(run.how.get("seeds", config.all_seeds))


def input_of(run: Run, dataset: data.Dataset) -> jax.ShapeDtypeStruct:
    """The shape of one input of a run's network."""
    images = (run.train or dataset.train).images
    image = jax.ShapeDtypeStruct((1, *images.shape[1:]), np.uint8)
    return jax.eval_shape(run.how.get("transform", data.normalize_mnist), image)


def print_plan(session: Session, runs: Sequence[Run]) -> None:
    """Prints what a dry run shows: the configuration, and each run's network."""
    tell = session.console.message
    tell(flag_table(session.config))
    names: dict[tuple[linen.Module, tuple[int, ...]], list[str]] = {}
    for run in runs:
        shape = input_of(run, session.dataset).shape
        names.setdefault((run.model, shape), []).append(run.name)
    for (model, shape), its_runs in names.items():
        table = nn.summary(model, shape)
        tell(f"\n{', '.join(its_runs)}: {table}")


def arguments_of(session: Session, run: Run) -> dict[str, Any]:
    """What ``fit_classifier`` and ``classifier_task`` take for a run."""
    config = session.config
    parts = {"test": session.dataset.test} if run.evaluate_on is None else run.evaluate_on
    return {
        "model": run.model,
        "optimizer": run.optimizer,
        "train": run.train or session.dataset.train,
        "evaluate_on": parts,
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "how": ClassifierOptions(
            max_steps=config.max_steps,
            early_stopping=run.early_stopping,
            augment=run.augment,
            **{**run.how, "seeds": seeds_of(run, config)},
        ),
        "options": run_options(
            session,
            name=run.name,
            identity={**session.workdir.identity, "run": run.name, **run.identity},
            hooks=run.hooks,
            warnings=functools.partial(chance_warnings, num_classes=session.dataset.num_classes),
        ),
    }


def replay_runs(session: Session, runs: Sequence[Run]) -> None:
    """Repeats the steps that ``--debug_step`` asks for, of the run that diverged or the first."""
    for run in runs:
        arguments = arguments_of(session, run)
        if is_replayed(session.config, arguments["options"]):
            session.console.message(f"{run.name}:")
            replay(*classifier_task(**arguments), arguments["options"], session.config.debug_step)
            return


def is_only_looked_at(session: Session, runs: Sequence[Run]) -> bool:
    """Whether the flags ask for no training: then the plan is printed, or steps are repeated."""
    if session.config.dry_run:
        print_plan(session, runs)
    elif session.config.debug_step is not None:
        replay_runs(session, runs)
    else:
        return False
    return True


class StoppedError(Exception):
    """The study ended before its last run.

    Attributes:
        fitted: the runs that were trained.
        status: the program's exit status.
    """

    def __init__(self, fitted: dict[str, FittedClassifier], status: int) -> None:
        super().__init__(f"ended with status {status}")
        self.fitted, self.status = fitted, status


def train_runs(session: Session, runs: Sequence[Run]) -> dict[str, FittedClassifier]:
    """Trains one run after another.

    Raises:
        StoppedError: a signal ended one.
    """
    fitted: dict[str, FittedClassifier] = {}
    for run in runs:
        seeds = len(seeds_of(run, session.config))
        session.console.message(f"{run.name}: {seeds} seed{'s' * (seeds > 1)}")
        one = fitted[run.name] = fit_classifier(**arguments_of(session, run))
        session.console.close()
        if (status := exit_status(one.fitted)) is not None:
            raise StoppedError(fitted, status)
    return fitted


def final_outcome(run: Run, fitted: FittedClassifier) -> Outcome:
    """A run's test figures after its last epoch."""
    return Outcome(run.name, fitted.final("test_loss"), fitted.final("test_accuracy"), run.course)


def weights_of(fitted: FittedClassifier) -> np.ndarray:
    """Every weight (no biases) of each seed's network, (seeds, weights)."""
    leaves = jax.tree_util.tree_leaves_with_path(fitted.state.network.params)
    kernels = [np.asarray(leaf) for path, leaf in leaves if "kernel" in str(path[-1])]
    return np.concatenate([kernel.reshape(len(kernel), -1) for kernel in kernels], axis=1)


def finish(
    program: str,
    session: Session,
    outcomes: Sequence[Outcome],
    fitted: Mapping[str, FittedClassifier],
    more_figures: Mapping[str, Any] | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Result:
    """Writes summary and figures, prints the table, and returns the study's result.

    Args:
        program: the program's name.
        session: its session.
        outcomes: the test figures; the others are compared with the first.
        fitted: the trained classifiers.
        more_figures: further figures by name.
        more: further entries for runs in ``summary.json``.
    """
    differences = differences_from_course(session)
    runs = compare(outcomes, comparable=not differences)
    for name, entries in (more or {}).items():
        runs[name] |= entries
    for name, one in fitted.items():
        if name in runs:
            runs[name]["training_seconds"] = one.fitted.progress.seconds
    summary = {
        "program": program,
        "runs": runs,
        "seeds": list(session.config.all_seeds),
        "interval": "mean ± t(n-1, 97.5%) · sd / √n over seeds, cut to possible values; "
        "differences paired by seed",
        "data": session.dataset.source,
        "comparable_with_course": not differences,
        "differences_from_course": differences,
        "device": session.devices.kind,
        "num_devices": session.devices.total,
        "training_seconds": sum(one.fitted.progress.seconds for one in fitted.values()),
    }
    figures: dict[str, Any] = {}
    if session.devices.is_main:
        figures = {**figures_of(outcomes, fitted, not differences), **(more_figures or {})}
        for name, figure in figures.items():
            plot.save_figure(figure, session.workdir.path / f"{name}.png")
        session.workdir.write_summary(summary)
    tell = session.console.message
    tell(comparison_table(outcomes, runs, comparable=not differences))
    if differences:
        tell(f"Not comparable with the course's figures: {', '.join(differences)}.")
    tell(
        f"Trained in {clock(summary['training_seconds'])}; pictures and report.html are in "
        f"{session.config.workdir}"
    )
    return Result(list(outcomes), dict(fitted), figures, summary)


def run_study(
    program: str,
    config: StudyConfig,
    make_runs: MakeRuns,
    draw_more: Callable[[Any, data.Dataset], dict[str, Any]] | None = None,
) -> Result | None:
    """Trains every run from every seed and compares them with the first; None for a dry run.

    Args:
        program: the program's name.
        config: its configuration.
        make_runs: the runs, baseline first.
        draw_more: further figures by name.
    """
    with open_study(program, config, make_runs) as session:
        runs = make_runs(session.config, session.dataset)
        if is_only_looked_at(session, runs):
            return None
        try:
            fitted = train_runs(session, runs)
        except StoppedError as stopped:
            return Result([], stopped.fitted, {}, {}, stopped.status)
        more_figures = draw_more(session.config, session.dataset) if draw_more else {}
        return compare_runs(program, session, runs, fitted, more_figures)


def compare_runs(
    program: str,
    session: Session,
    runs: Sequence[Run],
    fitted: Mapping[str, FittedClassifier],
    more_figures: Mapping[str, Any],
) -> Result:
    """Writes the results of a study's trained runs: figures, weights, and the table."""
    outcomes = [final_outcome(run, fitted[run.name]) for run in runs]
    weights = {name: weights_of(one) for name, one in fitted.items()}
    near_zero = {name: (np.abs(w) < NEAR_ZERO).mean(axis=1) for name, w in weights.items()}
    figures = {
        "weights": plot.histogram(
            {in_words(name): each[0] for name, each in weights.items()},
            xlabel="Weight",
            log_y=True,
            title=f"Weights after training, seed {session.config.seed}",
        ),
        "weights_near_zero": plot.bars(
            {in_words(name): 100 * float(each.mean()) for name, each in near_zero.items()},
            ylabel=f"Weights with |w| < {NEAR_ZERO:g} (%)",
        ),
        **more_figures,
    }
    more = {
        name: {
            "share_near_zero": near_zero[name].tolist(),
            "weight_norm": np.linalg.norm(each, axis=1).tolist(),
        }
        for name, each in weights.items()
    }
    return finish(program, session, outcomes, fitted, figures, more)
