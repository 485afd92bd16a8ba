"""Overfitting: what helps most? More data, a smaller network, penalties, dropout, augmentation.

What:     an MLP that has learned its few training images by heart, beside the same training with
          one thing changed: the number of images, parameters (width), features (pixels averaged),
          L1, L2, dropout, early stopping, and each of the library's augmentations. All take equally
          many steps. Each setting's value is chosen on held-out training images; the test
          images are looked at once, after training.
Source:   course document 001 ("overfitting"; more data is "the most effective"), document 004
          (levels 9 and 13). The course's picture of it, polynomials through noisy points, is
          experiments.lessons.polynomials.
Command:  python -m experiments.practice.overfitting                  six minutes on two cores
          python -m experiments.practice.overfitting --preset quick   one minute
Expected: from 1,000 of MNIST's images 89.1% of the test images are known, from all 54,000 96.5%.
          Of what needs no further image, the elastic distortion gives most (96.2%), then scaling
          (94.6%), shifting (93.6%) and rotation (91.8%), which make new digits; dropout helps by
          0.7 points, flipped digits harm. L1, L2 and early stopping lower the test loss; the last
          two know fewer test images.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
import optax

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.findings import Findings
from experiments.common.parts import EXAMPLES, make_parts, take
from experiments.common.practice import (
    ROUND,
    Practice,
    PracticeConfig,
    Result,
    measure_on_test,
    run_practice,
)
from experiments.common.session import Session
from experiments.common.study import Run
from jaxdl import data, nn, optim, plot
from jaxdl.data.augmentation import KINDS, parse_augmentations
from jaxdl.errors import ConfigError
from jaxdl.models import MLP
from jaxdl.run.classifiers import FittedClassifier
from jaxdl.training.early_stopping import EarlyStopping

THEME = "Practice"
HELD_OUT = 2000  # at most so many of them are looked at
BASELINE, STOPPED, IMAGES = "baseline", "early stopping", " images"
TIMES_DATA = (0.25, 0.5, 2, 4, 16)

# The likeliest value first.
SETTINGS: dict[str, tuple[float, ...]] = {
    "width": (32, 8, 64),
    "pool": (2, 4),  # pixels along the side of the squares that are averaged
    "l1": (1e-4, 1e-3, 1e-5),
    "l2": (1e-3, 1e-2, 1e-4),
    "dropout": (0.5, 0.2, 0.8),
}
STRENGTHS = (1, 0.5, 2)  # of each augmentation, relative to its usual one


@dataclasses.dataclass(frozen=True, kw_only=True)
class OverfittingConfig(PracticeConfig):
    """The flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 8, "examples": 500, "tries": 1},
        "smoke": {"seeds": 2, "epochs": 1, "max_steps": 2, "examples": 100, "tries": 1},
    }

    epochs: int = option(20, f"rounds of {ROUND} steps", low=1)
    examples: int = option(1000, "training images of the baseline", low=10)
    width: int = option(128, "width of the baseline's two hidden layers", low=1, high=10_000)
    tries: int = option(3, "values of each setting to try on held-out images", low=1, high=3)
    patience: int = option(4, "rounds without a lower held-out loss that stop early", low=1)


class Way(NamedTuple):
    """A way of training: the baseline, unless a field is changed."""

    examples: int
    width: int
    pool: int = 1
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0
    augment: str = "none"
    patience: int | None = None


def ways(config: OverfittingConfig, available: int) -> dict[str, Way]:
    """All ways by name; candidates of a setting are named "setting=value"."""
    base = Way(config.examples, config.width)
    found = {BASELINE: base}
    sizes = [int(times * config.examples) for times in TIMES_DATA]
    for size in [*(size for size in sizes if size < available), available]:
        found[f"{size:,}{IMAGES}"] = base._replace(examples=size)
    for name, values in SETTINGS.items():
        for value in values[: config.tries]:
            found[f"{name}={value:g}"] = base._replace(**{name: value})
    found[STOPPED] = base._replace(patience=config.patience)
    for name, kind in KINDS.items():
        for factor in STRENGTHS[: config.tries]:
            strength = f"{kind.strength * factor:g}"
            found[f"{name}={strength}"] = base._replace(augment=f"{name}:{strength}")
    return found


def averaged(images: jax.Array, *, window: int) -> jax.Array:
    """Normalised pixels, averaged over squares."""
    return nn.avg_pool(data.normalize_mnist(images), window)


def make_runs(config: OverfittingConfig, dataset: data.Dataset) -> Sequence[Run]:
    """The baseline, and everything that is compared with it."""
    parts = make_parts(dataset, config.validation, config.seed)
    held = parts.evaluated["val"]
    held = take(held, np.arange(min(HELD_OUT, len(held.labels))))
    available = len(parts.train.labels)
    if config.examples >= available:
        raise ConfigError(f"--examples {config.examples}: there are {available}, choose fewer")

    def train(name: str, way: Way) -> Run:
        model = MLP((way.width,) * 2, dataset.num_classes, way.dropout)
        adam = optim.adam(config.learning_rate, weight_decay=way.l2)
        own = take(parts.train, np.arange(way.examples))
        how = {"sampler": data.shuffled_sampler(way.examples, ROUND * config.batch_size)}
        if way.pool > 1:
            how["transform"] = functools.partial(averaged, window=way.pool)
        return Run(
            name,
            model,
            optax.chain(optim.add_l1(way.l1), adam) if way.l1 else adam,
            augment=parse_augmentations(way.augment),
            train=own,
            evaluate_on={"train": take(own, np.arange(min(EXAMPLES, way.examples))), "val": held},
            early_stopping=EarlyStopping("val_loss", "min", way.patience) if way.patience else None,
            how=how,
        )

    return [train(name, way) for name, way in ways(config, available).items()]


def tell(findings: Findings) -> str:
    """What helps, and what helps most; of many intervals some miss by chance."""
    by_chance = f"Of {len(findings.pairs)} intervals of 95 %, about one in twenty misses by chance."
    best = f"{most(findings, True)} {most(findings, False)}"
    return f"{findings.sentence('test_accuracy')} {by_chance}\n{best}"


def most(findings: Findings, of_all: bool) -> str:
    """The best way on held-out images, of all or of those with the baseline's training images.

    Not on the test images: the best of many there is the best by luck, too.
    """
    names = [n for n in list(findings.values)[1:] if of_all or not n.endswith(IMAGES)]
    best = max(names, key=lambda name: findings.mean(name, "val_accuracy"))
    words = findings.verdict(best, BASELINE, "test_accuracy")
    among = "" if of_all else ", with the same training images"
    return f"Best on held-out images{among}: {best}; test accuracy {words}."


def draw(
    findings: Findings, session: Session, fitted: Mapping[str, FittedClassifier]
) -> dict[str, Any]:
    """The baseline's training and held-out loss, and test accuracy by number of images."""
    rounds = [r for r in fitted[BASELINE].log.records if r["kind"] == "epoch"]
    losses = {
        name: np.array([r[f"{part}_loss"] for r in rounds], float).T
        for name, part in (("training", "train"), ("held out", "val"))
    }
    curve = plot.line_band(
        [ROUND * r["epoch"] for r in rounds],
        losses,
        xlabel="Step",
        ylabel="Loss (nats), mean and range over seeds",
        title=f"{session.config.examples:,} training images",
        log_y=True,
    )
    names = [name for name in findings.values if name.endswith(IMAGES)]
    sizes = {int(name.removesuffix(IMAGES).replace(",", "")): name for name in names}
    sizes = dict(sorted({session.config.examples: BASELINE, **sizes}.items()))
    accuracies = [findings.values[name]["test_accuracy"] for name in sizes.values()]
    learning = plot.line_band(
        list(sizes),
        {"MLP": 100 * np.array(accuracies).T},
        xlabel="Training images",
        ylabel="Test accuracy (%), mean and range over seeds",
    )
    learning.axes[0].set_xscale("log")
    learning.axes[0].set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    learning.axes[0].minorticks_off()
    return {"losses": curve, "learning_curve": learning}


PRACTICE = Practice("overfitting", make_runs, measure_on_test, draw=draw, tell=tell)


def run(config: OverfittingConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    return run_practice(PRACTICE, config)


if __name__ == "__main__":
    command_line.main("practice.overfitting", OverfittingConfig, run, __doc__)
