"""Fusion: two kinds of input, joined early, late or by a gate, and one of them failing.

What:     each digit is a noisy picture and a noisy measurement, the means of its rows and columns.
          MLPs see one of them, or both: side by side (early), each with a network of its own whose
          logits are averaged (late) or weighted by a gate, input by input. All are tested on whole
          inputs, on lost pictures and on lost measurements, which are black. Early and gated fusion
          are also trained with inputs that fail at random.
Source:   course document 001.
Command:  python -m experiments.practice.fusion
          python -m experiments.practice.fusion --preset quick
Expected: late fusion is better than either input alone; of early and gated fusion no difference is
          shown. Whoever has never seen an input fail does badly without it.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.practice import Findings, Practice, Result, logged, run_practice
from experiments.common.session import Session
from experiments.common.study import Run, StudyConfig
from jaxdl import data, optim, plot
from jaxdl.models import MLP, Fusion
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.training.rngs import Stream, root_key, stream, uniform_per_sample

THEME = "Practice"

PICTURE, MEASUREMENT = "picture alone", "measurement alone"
WITH_FAILURES = {"early + failures": "early", "gated + failures": "gated"}
PARTS = {"test": "on whole inputs", "no_picture": "without the picture"}
PARTS |= {"no_measurement": "without the measurement"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusionConfig(StudyConfig):
    """The flags' help gives reasons and units."""

    COURSE_BATCH_SIZE: ClassVar[int] = 100
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"seeds": 3, "max_steps": 400, "epochs": 10},
        "smoke": {"seeds": 2, "max_steps": 4, "width": 4, "log_every": 1},
    }

    epochs: int = option(5, "passes over the training part", low=1)
    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    log_every: int = option(50, "steps between logged steps", low=1)
    width: int = option(128, "neurons of every network's hidden layer", low=1, high=10_000)
    picture_noise: float = option(150.0, "of a pixel, in grey values", low=0)
    sums_noise: float = option(10.0, "of a row's or column's mean, in grey values", low=0)
    failures: float = option(
        0.3, "share of the training inputs that lose one of the two, if trained so", low=0, high=1
    )


def without(images: jax.Array, picture: bool) -> jax.Array:
    """The inputs with a black picture, or with a black measurement."""
    rows, side = images.shape[1:3]  # the measurement is in the last two rows
    is_picture = (jnp.arange(rows) < side).reshape(1, -1, 1, 1)
    return jnp.where(is_picture == picture, 0, images).astype(images.dtype)


def failing(key: jax.Array, images: jax.Array, positions: jax.Array, *, share: float) -> jax.Array:
    """An augmentation: a share of the inputs loses its picture or its measurement."""
    draws = uniform_per_sample(key, positions).reshape(-1, 1, 1, 1)
    images = jnp.where(draws < share / 2, without(images, picture=True), images)
    return jnp.where(draws > 1 - share / 2, without(images, picture=False), images)


def to_inputs(images: jax.Array, rows: slice = slice(None)) -> jax.Array:
    """Some rows of the inputs, in [0, 1]; what is black is 0 and moves no weight."""
    return data.to_unit_range(images[:, rows])


def make_runs(config: FusionConfig, dataset: data.Dataset) -> Sequence[Run]:
    """Either input alone, three ways to join them, and two of these trained with failures."""
    key = stream(root_key(config.seed), Stream.MADE_UP)
    views = data.noisy_views(dataset, key, config.picture_noise, config.sums_noise)
    parts = {"test": views.test}
    for name in ("picture", "measurement"):
        images = without(views.test.images, picture=name == "picture")
        parts[f"no_{name}"] = data.Split(jax.device_get(images), views.test.labels)
    hidden, classes, side = (config.width,), dataset.num_classes, dataset.images.shape[1]
    fusion = functools.partial(Fusion, (side**2, 2 * side), hidden=hidden, num_classes=classes)
    networks = {
        PICTURE: (MLP(hidden, classes), slice(side)),
        MEASUREMENT: (MLP(hidden, classes), slice(side, None)),
        **{kind: (fusion(kind), slice(None)) for kind in ("early", "late", "gated")},
        **{name: (fusion(kind), slice(None)) for name, kind in WITH_FAILURES.items()},
    }
    loses = functools.partial(failing, share=config.failures)
    return [
        Run(
            name,
            network,
            optim.adam(config.learning_rate),
            augment=loses if name in WITH_FAILURES else None,
            train=views.train,
            evaluate_on=parts,
            how={"transform": functools.partial(to_inputs, rows=rows)},
        )
        for name, (network, rows) in networks.items()
    ]


def measure(
    session: Session, runs: Sequence[Run], fitted: Mapping[str, FittedClassifier]
) -> dict[str, dict[str, list[float]]]:
    """Accuracies on whole inputs and without either."""
    del session, runs
    return {
        name: logged(one, [f"{part}_accuracy" for part in PARTS]) for name, one in fitted.items()
    }


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Fusions with the picture alone and among each other, failures with none."""
    joined = [(name, PICTURE) for name in names if name != PICTURE]
    return [*joined, *WITH_FAILURES.items()]


def tell(findings: Findings) -> str:
    """What joining brings, and what is left of it when an input fails."""
    lines = [findings.sentence("test_accuracy")]
    for part in ("no_picture", "no_measurement"):
        metric = f"{part}_accuracy"
        left = ", ".join(f"{n} {findings.mean(n, metric):.1%}" for n in findings.values)
        changes = "; ".join(
            f"{kind} {findings.verdict(name, kind, metric)}" for name, kind in WITH_FAILURES.items()
        )
        lines.append(f"Accuracy {PARTS[part]}: {left}; trained with failures: {changes}.")
    return "\n".join(lines)


def draw(
    findings: Findings, session: Session, fitted: Mapping[str, FittedClassifier]
) -> dict[str, Any]:
    """Ten inputs, and the accuracies without the picture and without the measurement."""
    views = make_runs(session.config, session.dataset)[0].train
    figures = {"inputs": plot.image_grid(views.images[:20], title="Pictures; below, measurements")}
    for part in ("no_picture", "no_measurement"):
        figures[part] = plot.values_per_seed(
            {n: [100 * v for v in own[f"{part}_accuracy"]] for n, own in findings.values.items()},
            ylabel=f"Accuracy {PARTS[part]} (%)",
            possible=(0, 100),
        )
    return figures


def run(config: FusionConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    practice = Practice("fusion", make_runs, measure, pairs, draw, tell)
    return run_practice(practice, config)


if __name__ == "__main__":
    command_line.main("practice.fusion", FusionConfig, run, __doc__)
