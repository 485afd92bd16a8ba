"""Model bias: is the network too small? Width, depth, more features, an ensemble of networks.

What:     a small MLP beside five times its width (and so five times its parameters), beside four
          layers of its width, beside itself with edges as further inputs, and beside the mean
          probabilities of five such networks that differ in their seeds. "small" is the mean of
          the five.
Source:   course document 001 ("bias": the remedies for a model that is too small).
Command:  python -m experiments.practice.model_bias                  two minutes on two cores
          python -m experiments.practice.model_bias --preset quick   half a minute
Expected: on full MNIST, five seeds, the larger model has the lower training loss (0.022 against
          0.138, and 97.4% against 94.9% of the test images), further features lower it too (0.074,
          96.9%), four layers of the same width do not. Five small networks together (96.0%) are
          better than one, but not than one with five times the weights: what each of them is too
          small for, all of them get wrong.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.findings import Findings, Values
from experiments.common.parts import make_parts
from experiments.common.practice import (
    METRICS,
    Practice,
    PracticeConfig,
    Result,
    judged,
    logged,
    probabilities_of,
    run_practice,
)
from experiments.common.session import Session
from experiments.common.study import Run
from jaxdl import data, nn, optim
from jaxdl.models import MLP
from jaxdl.run.classifiers import FittedClassifier

THEME = "Practice"
SMALL, ENSEMBLE, EDGES = "small", "ensemble", "edges too"
POOL = 4  # edges are averaged over squares of so many pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelBiasConfig(PracticeConfig):
    """The flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 25, "max_steps": 1000},
        "smoke": {"seeds": 2, "members": 2, "max_steps": 8, "width": 4, "log_every": 1},
    }

    epochs: int = option(10, "passes over the training part", low=1)
    width: int = option(16, "width of the small network's hidden layer", low=1, high=10_000)
    layers: int = option(4, "hidden layers of the deep network", low=2, high=100)
    members: int = option(
        5, "networks in an ensemble, and how many times wider the wide network is", low=2, high=20
    )


def with_edges(images: jax.Array) -> jax.Array:
    """Pixels, and how strongly brightness rises to the right, left, top and bottom of each square.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        The pixels and 4·⌊H/4⌋·⌊W/4⌋·C further numbers, (N, features).
    """
    unit, pixels = data.to_unit_range(images), data.normalize_mnist(images)
    steps = [jnp.diff(unit, axis=axis, append=0.0) for axis in (1, 2)]
    rises = jnp.concatenate([nn.relu(sign * step) for step in steps for sign in (1, -1)], axis=-1)
    edges = nn.avg_pool(rises, POOL) * POOL  # about the pixels' spread
    return jnp.concatenate([x.reshape(len(x), -1) for x in (pixels, edges)], axis=1)


def make_runs(config: ModelBiasConfig, dataset: data.Dataset) -> Sequence[Run]:
    """The small network with the seeds of all ensembles' members, and the larger ones."""
    parts = make_parts(dataset, config.validation, config.seed)
    adam = optim.adam(config.learning_rate)
    count = config.seeds * config.members

    def train(name: str, hidden: tuple[int, ...], **how: Any) -> Run:
        model = MLP(hidden, dataset.num_classes)
        return Run(name, model, adam, train=parts.train, evaluate_on=parts.evaluated, how=how)

    return [
        train(SMALL, (config.width,), seeds=tuple(range(config.seed, config.seed + count))),
        train(f"{config.members} × wider", (config.members * config.width,)),
        train(f"{config.layers} layers", (config.width,) * config.layers),
        train(EDGES, (config.width,), transform=with_edges),
    ]


def measure(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> Values:
    """The runs' figures, of the small network the mean of each ensemble's members."""
    shape = session.config.members, session.config.seeds  # the i-th ensemble is column i
    values: dict[str, dict[str, Sequence[float]]] = {n: logged(f) for n, f in fitted.items()}
    values[SMALL] = {m: np.reshape(v, shape).mean(0) for m, v in values[SMALL].items()}
    values[ENSEMBLE] = {}
    for name in ("test", "train"):
        part = runs[0].evaluate_on[name]
        members = probabilities_of(fitted[SMALL], part)
        together = members.reshape(*shape, *members.shape[1:]).mean(0)
        values[ENSEMBLE] |= judged(together, part.labels, name)
    values[ENSEMBLE] = {metric: values[ENSEMBLE][metric] for metric in METRICS}
    return values


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Everything with the small network, and the ensemble with as many parameters in one."""
    return [(name, SMALL) for name in names[1:]] + [(ENSEMBLE, names[1])]


def tell(findings: Findings) -> str:
    """What happens to the training loss, and what to the test accuracy."""
    return f"{findings.sentence('train_loss')}\n{findings.sentence('test_accuracy')}"


PRACTICE = Practice("model_bias", make_runs, measure, pairs, tell=tell)


def run(config: ModelBiasConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    return run_practice(PRACTICE, config)


if __name__ == "__main__":
    command_line.main("practice.model_bias", ModelBiasConfig, run, __doc__)
