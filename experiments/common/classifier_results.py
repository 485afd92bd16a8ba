"""What a run of ``experiments.classifier`` leaves in its folder."""

import dataclasses
from typing import Any, NamedTuple

import jax

from experiments.common import judgement
from experiments.common.comparison import Outcome, compare
from experiments.common.parts import make_parts, predictions_file
from experiments.common.session import Session
from experiments.common.study import Run, StudyConfig, input_of
from jaxdl import classification, data, plot
from jaxdl.classification import TrainedClassifier
from jaxdl.files import to_json
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.run.progress import clock
from jaxdl.training.reprs import short_repr
from jaxdl.training.several_seeds import stacked_states

MODEL, FACTS, PREDICTIONS = "model.safetensors", "facts.json", "predictions.npz"


class Result(NamedTuple):
    """What :func:`run` returns.

    Attributes:
        classifier: the first seed's network; None if the run was stopped.
        fitted: all seeds' networks and the log; None after ``--evaluate``.
        figures: Matplotlib figures by file name.
        summary: the content of ``summary.json``.
        exit_status: None if complete, else the stopped program's exit status.
    """

    classifier: TrainedClassifier | None
    fitted: FittedClassifier | None
    figures: dict[str, Any]
    summary: dict[str, Any]
    exit_status: int | None = None

    __repr__ = short_repr


def write_facts(session: Session, run: Run) -> None:
    """Writes what is known before training: of the data, and of the layers at the start."""
    config, dataset = session.config, session.dataset
    example = jax.numpy.zeros(input_of(run, dataset).shape)
    start = stacked_states(run.model, run.optimizer, example, config.all_seeds)
    facts = {
        "data": data.data_facts(dataset.train, dataset.test, dataset.num_classes),
        "parts": {"training": len(run.train.labels)}
        | {name: len(part.labels) for name, part in run.evaluate_on.items()},
        "inputs": dataclasses.asdict(run.how["transform"]),
        "start": run.hooks[0].call(None, start),
    }
    if session.devices.is_main:
        session.workdir.write(FACTS, to_json(facts, indent=2) + "\n")


def first_classifier(session: Session, run: Run, fitted: FittedClassifier) -> TrainedClassifier:
    """The first seed's network, with its best weights if it was stopped early."""
    config, dataset = session.config, session.dataset
    record = {
        "dataset": dataset.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "seed": config.seed,
    }
    # Without a whole epoch there are no best weights yet.
    best = fitted.best_epochs is not None and fitted.best_epochs[0] is not None
    network = fitted.network(best=best)
    return TrainedClassifier(run.model, network.variables(), run.how["transform"], record)


def write_results(session: Session, run: Run, fitted: FittedClassifier) -> Result:
    """Writes the run's files, prints the tables, and returns the result."""
    config, tell = session.config, session.console.message
    classifier = first_classifier(session, run, fitted)
    probabilities = {n: classifier.probabilities(p.images) for n, p in run.evaluate_on.items()}
    found = judgement.judge(probabilities["test"], session.dataset.test.labels)
    which = fitted.final if fitted.best_epochs is None else fitted.best
    seeds = {n: which(n) for n in fitted.log.records[-1] if n.endswith(("_loss", "_accuracy"))}
    outcome = Outcome(config.model, seeds["test_loss"], seeds["test_accuracy"], None)
    measured = compare([outcome], comparable=False)[config.model]
    summary = {
        "program": "classifier",
        "seeds": list(config.all_seeds),
        **measured,
        "by_seed": seeds,
        "first_seed": found,
        "best_epochs": fitted.best_epochs,
        "data": session.dataset.source,
        "device": session.devices.kind,
        "num_devices": session.devices.total,
        "training_seconds": fitted.fitted.progress.seconds,
    }
    title = f"{config.model}, seed {config.seed}, {session.dataset.name}'s test images"
    figures: dict[str, Any] = {}
    if session.devices.is_main:
        figures = judgement.judgement_figures(
            session.dataset.test, probabilities["test"], found, title
        )
        figures["learning_curves"] = judgement.learning_curves(fitted.log, run.evaluate_on)
        parts = make_parts(session.dataset, config.validation, config.seed)
        session.workdir.write(PREDICTIONS, predictions_file(parts, probabilities))
        for name in (MODEL, "model.pt"):
            classification.save_classifier(classifier, session.workdir.path / name)
        for name, figure in figures.items():
            plot.save_figure(figure, session.workdir.path / f"{name}.png")
        session.workdir.write_summary(summary)
    tell(f"\n{judgement.class_table(found)}\n")
    tell(sentence(config, measured["test_accuracy"], fitted.fitted.progress.seconds))
    return Result(classifier, fitted, figures, summary)


def sentence(config: StudyConfig, accuracy: dict[str, Any], seconds: float) -> str:
    """The result in words."""
    text = f"Test accuracy {accuracy['mean']:.2%}"
    if config.seeds > 1:
        low, high = accuracy["interval"]
        text += f", mean of {config.seeds} seeds (95% interval {low:.2%} to {high:.2%})"
    return (
        f"{text}; trained in {clock(seconds)}. The table is of seed {config.seed}, whose network "
        f"is {config.workdir}/{MODEL}."
    )
