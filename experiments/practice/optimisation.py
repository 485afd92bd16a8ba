"""Optimisation: a network that could know more and does not, and what mends it.

What:     depth: a deep plain network whose training loss is worse than a shallow one's, and mended
          by other first weights, BatchNorm, residual connections and a schedule; rates: a constant
          rate beside decaying ones; optimizers: SGD with momentum beside Adam, to the end;
          activations: six of them in an eight-layer network.
Source:   course document 001 ("optimisation": a bigger model with a higher training loss), course
          document 002, section 8 (sigmoid and tanh vanish, ReLU dies) and section 10 (Adam is fast,
          SGD ends better).
Command:  python -m experiments.practice.optimisation                        depth
          python -m experiments.practice.optimisation --part activations     or rates, optimizers
          python -m experiments.practice.optimisation --preset quick
Expected: on full MNIST, five seeds: 20 layers end with a training loss of 0.69 where two layers
          reach 0.09; He's first weights (0.15), BatchNorm (0.14) and residual connections (0.20)
          mend that, a schedule alone a little (0.50). Decaying rates gain 1.2 points over a large
          constant one. Adam and SGD, their rates chosen by validation, end alike. Through eight
          layers sigmoid learns slowly (65%); of ReLU's units 9% are dead.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.findings import Findings, Values
from experiments.common.ingredients import Network, Training, make_model, make_optimizer
from experiments.common.parts import make_parts, take
from experiments.common.practice import (
    Practice,
    PracticeConfig,
    Result,
    measure_logged,
    run_practice,
)
from experiments.common.session import Session, default_workdir
from experiments.common.study import Run
from jaxdl import data, plot
from jaxdl.nn import ACTIVATIONS
from jaxdl.run import layer_hook
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.training.objective import Objective

THEME = "Practice"
PROBED = 500  # training images, for dead units


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimisationConfig(PracticeConfig):
    """The flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 15, "max_steps": 500, "seeds": 3},
        "smoke": {"seeds": 2, "max_steps": 8, "width": 4, "depth": 3, "log_every": 1},
    }

    part: str = option(
        "depth", "what to compare", choices=("depth", "rates", "optimizers", "activations")
    )
    epochs: int | None = option(
        None, "passes over the training part; unset: 3, or 20 for rates and optimizers", low=1
    )
    width: int = option(64, "neurons of a hidden layer", low=1, high=10_000)
    depth: int = option(20, "hidden layers of the deep networks", low=2, high=100)


# By part, the runs: what differs from the part's usual network and training.
Variants = dict[str, dict[str, Any]]


def depth_variants(config: OptimisationConfig) -> Variants:
    """A shallow network, a deep one, and what may mend it."""
    deep = {"depth": config.depth}
    return {
        "deep": deep,
        "shallow": {"depth": 2},
        "He's first weights": {**deep, "initialization": "he"},
        "BatchNorm": {**deep, "normalization": "batch"},
        "residual": {**deep, "residual": True},
        "warm-up, cosine": {**deep, "schedule": "warmup_cosine"},
    }


def rate_variants(config: OptimisationConfig) -> Variants:
    """One large rate, constant or decaying, and a small one."""
    large = {"optimizer": "momentum", "learning_rate": 0.1}
    return {
        "constant": large,
        "step": {**large, "schedule": "step"},
        "cosine": {**large, "schedule": "cosine"},
        "plateau": {**large, "schedule": "plateau"},
        "constant, small": {**large, "learning_rate": 0.003},
    }


def optimizer_variants(config: OptimisationConfig) -> Variants:
    """Adam and SGD with momentum, constant or decaying; each one's rate is chosen by validation."""
    rates = {"Adam": ("adam", (1e-3, 3e-3)), "momentum": ("momentum", (0.03, 0.1))}
    return {
        f"{name}{suffix}={rate:g}": {
            "optimizer": optimizer,
            "learning_rate": rate,
            "schedule": schedule,
        }
        for suffix, schedule in {"": "constant", ", cosine": "cosine"}.items()
        for name, (optimizer, candidates) in rates.items()
        for rate in candidates
    }


def activation_variants(config: OptimisationConfig) -> Variants:
    """The six, in a network of eight layers with Glorot's first weights."""
    eight = {"depth": min(8, config.depth), "initialization": "glorot"}
    return {name: {**eight, "activation": name} for name in ACTIVATIONS}


PARTS: dict[str, Callable[[OptimisationConfig], Variants]] = {
    "depth": depth_variants,
    "rates": rate_variants,
    "optimizers": optimizer_variants,
    "activations": activation_variants,
}


def make_runs(config: OptimisationConfig, dataset: data.Dataset) -> Sequence[Run]:
    """The runs of a part."""
    parts = make_parts(dataset, config.validation, config.seed)
    per_epoch = data.steps_per_epoch(len(parts.train.labels), config.batch_size, drop_last=False)
    steps = int(min(config.epochs * per_epoch, config.max_steps or np.inf))
    count = min(PROBED, len(parts.indices["train"]))
    probed = take(parts.evaluated["train"], np.arange(count))

    def make(name: str, wanted: Mapping[str, Any]) -> Run:
        words = {"model": "mlp", "width": config.width, "depth": 2, **wanted}
        network = {n: v for n, v in words.items() if n in Network._fields}
        training = {n: v for n, v in words.items() if n in Training._fields}
        usual = {"optimizer": "adam", "learning_rate": config.learning_rate, "schedule": "constant"}
        how = Training(**(usual | training))
        return Run(
            name,
            make_model(Network(**network), dataset.num_classes),
            make_optimizer(how, steps, per_epoch),
            train=parts.train,
            evaluate_on=parts.evaluated,
            hooks=(layer_hook(probed, data.normalize_mnist, Objective()),),
            identity={"steps": steps},
        )

    return [make(name, wanted) for name, wanted in PARTS[config.part](config).items()]


def measure(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> Values:
    """Losses and accuracies, and for activations the share of dead or saturated units."""
    values = {
        name: {m: figures[m] for m in ("train_loss", "test_accuracy")}
        for name, figures in measure_logged(session, runs, fitted).items()
    }
    if session.config.part == "activations":
        for name, one in fitted.items():
            values[name]["dead_units"] = one.final("dead_units")
    return values


def draw(
    findings: Findings, session: Session, fitted: Mapping[str, FittedClassifier]
) -> dict[str, Any]:
    """The training loss after each epoch."""
    curves = {}
    for name, one in fitted.items():
        epochs = [record for record in one.log.records if record["kind"] == "epoch"]
        curves[name] = np.array([record["train_loss"] for record in epochs], float).T
    if not curves or min(len(values.T) for values in curves.values()) < 2:
        return {}
    numbers = np.arange(1, len(next(iter(curves.values())).T) + 1)
    return {
        "training_loss": plot.line_band(
            numbers,
            curves,
            xlabel="Epoch",
            ylabel="Training loss (nats), mean and range over seeds",
            log_y=True,
        )
    }


def tell(findings: Findings) -> str:
    """What happens to the training loss, and what to the test accuracy."""
    return f"{findings.sentence('train_loss')}\n{findings.sentence('test_accuracy')}"


def run(config: OptimisationConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    if config.epochs is None:
        epochs = 20 if config.part in ("rates", "optimizers") else 3
        config = dataclasses.replace(config, epochs=epochs)
    if config.workdir is None:
        name = f"practice.optimisation-{config.part}"
        config = dataclasses.replace(config, workdir=default_workdir(name, config.preset))
    return run_practice(Practice("optimisation", make_runs, measure, tell=tell, draw=draw), config)


if __name__ == "__main__":
    command_line.main("practice.optimisation", OptimisationConfig, run, __doc__)
