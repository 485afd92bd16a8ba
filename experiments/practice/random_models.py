"""Selection: among 1,000 random models the best on a test set is best by luck.

What:     1,000 networks that were never trained, and 1,000 that were trained for a few steps, each
          from its own seed, scored on a small test set; the best of them scored again on images
          that took no part in the choice. Beside it, the best score that luck alone would bring:
          the expected maximum of binomial draws.
Source:   course document 003 (its warning).
Command:  python -m experiments.practice.random_models                  some minutes on two cores
          python -m experiments.practice.random_models --preset quick   under a minute
Expected: with --preset quick, networks that were never trained guess 10% right on average. The best
          of 1,000 seems to know 23% of 100 test images, more than twice as much; of fresh images it
          knows 16%. So random networks do differ, but about half of the lead is luck.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import special, stats

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.console import data_line
from experiments.common.table import text_table
from jaxdl import data, losses, optim, plot
from jaxdl.errors import DataError
from jaxdl.metrics.statistics import paired_difference, summarize
from jaxdl.models import MLP
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Practice"

TOGETHER = 50  # networks that are scored at once
MOST_TRAINED_ON = 20_000  # training images that are drawn from


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomModelsConfig(DataConfig):
    """The flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"seeds": 3, "width": 8, "steps": 50},
        "smoke": {"models": 20, "seeds": 2, "width": 2, "steps": 2, "batch_size": 8},
    }

    models: int = option(1000, "random networks to choose from", low=2, high=100_000)
    test_images: int = option(100, "images in the test set that chooses", low=1)
    seeds: int = option(5, "repetitions, each with other networks and test images", low=1, high=100)
    width: int = option(16, "neurons of the hidden layer", low=1, high=100)
    steps: int = option(100, "training steps of the trained networks", low=1, high=1000)
    batch_size: int = option(32, "images in a training step", low=1, high=256)
    learning_rate: float = option(0.01, "Adam's step size", above=0)


class Scores(NamedTuple):
    """Accuracies of all networks of a kind, each (seeds, models).

    Attributes:
        test: on the few images that choose.
        fresh: on the others, an almost exact measure of a network's worth.
    """

    test: np.ndarray
    fresh: np.ndarray

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Each seed's best network on the test set (the last of equals): test, fresh (seeds,)."""
        rows = np.arange(len(self.test)), self.test.argsort(axis=1, kind="stable")[:, -1]
        return self.test[rows], self.fresh[rows]

    def best_of(self, count: int) -> tuple[float, float]:
        """Mean over all choices of ``count`` networks of the best one's test and fresh accuracy."""
        order = self.test.argsort(axis=1, kind="stable")
        models = order.shape[1]
        rank = np.arange(models)
        # The best of a random subset has rank r if its others are among the r below.
        chance = np.exp(_log_choose(rank, count - 1) - _log_choose(models, count))
        sorted_ = (np.take_along_axis(each, order, 1) for each in self)
        return tuple(float((each * chance).sum(1).mean()) for each in sorted_)


def _log_choose(n: Any, k: int) -> np.ndarray:
    """The logarithm of the number of k-subsets of n things; -inf without any."""
    n = np.asarray(n, float)
    known = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(np.maximum(n - k, 0) + 1)
    )
    return np.where(n >= k, known, -np.inf)


def expected_maximum(images: int, accuracy: float, models: int) -> float:
    """Mean of the best score of equally good models that are right or wrong independently.

    Each score is binomial; the maximum of k draws is at most j with probability F(j)^k.

    Args:
        images: in the test set.
        accuracy: of every model.
        models: number of models.

    Example:
        >>> expected_maximum(1, 0.5, 2), round(expected_maximum(100, 0.1, 1000), 3)
        (0.75, 0.208)
    """
    below = stats.binom.cdf(np.arange(images), images, accuracy) ** models
    return float((1 - below).sum() / images)


class Task(NamedTuple):
    """The parts of one repetition: network inputs and labels."""

    train: tuple[jax.Array, jax.Array]
    test: tuple[jax.Array, jax.Array]
    fresh: tuple[jax.Array, jax.Array]


def make_task(config: RandomModelsConfig, dataset: data.Dataset, key: jax.Array) -> Task:
    """Draws the test set that chooses; the rest of the test part is fresh."""
    order = jax.random.permutation(stream(key, Stream.SPLIT), len(dataset.test.labels))
    few, rest = np.split(np.asarray(order), [config.test_images])

    def part(split: data.Split, rows: Any) -> tuple[jax.Array, jax.Array]:
        return data.normalize_mnist(split.images[rows]), jnp.asarray(split.labels[rows])

    train = part(dataset.train, slice(MOST_TRAINED_ON))
    return Task(train, part(dataset.test, few), part(dataset.test, rest))


@functools.partial(jax.jit, static_argnums=(0, 1))
def score(
    config: RandomModelsConfig, steps: int, task: Task, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Makes a network of every key, trains it, and returns all accuracies on test and fresh."""
    model, adam = MLP(hidden=(config.width,)), optim.adam(config.learning_rate)
    images, labels = task.train

    def loss(params: Any, rows: jax.Array) -> jax.Array:
        logits = model.apply({"params": params}, images[rows], train=False)
        return losses.cross_entropy(logits, labels[rows]).mean()

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        params = model.init(stream(key, Stream.WEIGHTS), images[:1], train=False)["params"]

        def step(state: tuple, rows: jax.Array) -> tuple[tuple, None]:
            params, moments = state
            updates, moments = adam.update(jax.grad(loss)(params, rows), moments, params)
            return (optax.apply_updates(params, updates), moments), None

        shape = (steps, config.batch_size)
        rows = jax.random.randint(stream(key, Stream.SHUFFLE), shape, 0, len(labels))
        (params, _), _ = jax.lax.scan(step, (params, adam.init(params)), rows)
        return tuple(
            (model.apply({"params": params}, x, train=False).argmax(-1) == y).mean()
            for x, y in (task.test, task.fresh)
        )

    return jax.lax.map(one, keys, batch_size=min(TOGETHER, config.models))


def score_all(config: RandomModelsConfig, dataset: data.Dataset) -> dict[str, Scores]:
    """The accuracies of both kinds of networks, in all repetitions."""
    found: dict[str, list] = {"untrained": [], f"trained {config.steps} steps": []}
    for seed in range(config.seed, config.seed + config.seeds):
        root = root_key(seed)
        task, networks = make_task(config, dataset, root), stream(root, "networks")
        keys = jax.vmap(lambda i, key=networks: jax.random.fold_in(key, i))(
            jnp.arange(config.models)
        )
        for name, steps in zip(found, (0, config.steps), strict=True):
            found[name].append(jax.tree.map(np.asarray, score(config, steps, task, keys)))
    return {name: Scores(*map(np.stack, zip(*s, strict=True))) for name, s in found.items()}


def sentence(name: str, scores: Scores, images: int) -> str:
    """What the repetitions show of the best network of a kind.

    Example:
        >>> scores = Scores(np.array([[0.1, 0.3], [0.4, 0.2]]), np.array([[0.1, 0.1], [0.3, 0.1]]))
        >>> print(sentence("untrained", scores, 10))
        Best of 2 untrained: 35.0% of 10 test images, 20.0% of fresh ones. No luck shown at 2 seeds
        (+15.0 ± 63.5 points).
    """
    test, fresh = scores.best()
    luck = paired_difference(test, fresh)
    size = f"{100 * luck.mean:+.1f} ± {100 * luck.half_width:.1f} points"
    shown = f"No luck shown at {len(test)} seeds ({size})."
    if luck.low > 0:
        shown = f"The difference, {size}, was luck."
    elif luck.high < 0:
        shown = f"It is better than the test set said ({size})."
    elif len(test) == 1:
        shown = "One seed shows nothing."
    return (
        f"Best of {scores.test.shape[1]:,} {name}: {test.mean():.1%} of {images} test images, "
        f"{fresh.mean():.1%} of fresh ones. {shown}"
    )


def summarize_kind(name: str, scores: Scores, images: int) -> dict[str, Any]:
    """A kind's entry in ``summary.json``."""
    test, fresh = scores.best()
    luck = summarize(test - fresh)
    return {
        "mean_accuracy": float(scores.fresh.mean()),
        "best_on_test": test.tolist(),
        "best_on_fresh": fresh.tolist(),
        "luck": {"mean": luck.mean, "interval": [luck.low, luck.high]},
        "expected_by_luck": expected_maximum(images, scores.fresh.mean(), scores.test.shape[1]),
        "best_possible": float(scores.fresh.max(axis=1).mean()),
        "sentence": sentence(name, scores, images),
    }


def counts_up_to(models: int) -> list[int]:
    """1, 2, 5, 10, 20, … and the number itself.

    Example:
        >>> counts_up_to(30)
        [1, 2, 5, 10, 20, 30]
    """
    steps = (first * 10**power for power in range(6) for first in (1, 2, 5))
    return [*(count for count in steps if count < models), models]


def draw(found: Mapping[str, Scores], images: int) -> dict[str, Any]:
    """For each kind, the accuracy of the best of k: on the test set, on fresh images, by luck."""
    figure, panels = plot.figure_with_panels(len(found), title=f"Chosen by {images} test images")
    for ax, (name, scores) in zip(panels, found.items(), strict=True):
        counts: Sequence[int] = counts_up_to(scores.test.shape[1])
        best = 100 * np.array([scores.best_of(count) for count in counts])
        mean = float(scores.fresh.mean())
        plot.curves(
            counts,
            {
                "of the test set that chose it": best[:, 0],
                "expected of equal models, by luck": [
                    100 * expected_maximum(images, mean, count) for count in counts
                ],
                "of fresh images": best[:, 1],
            },
            xlabel="Networks to choose from" if ax is panels[-1] else "",
            ylabel=f"Best {name} (%)",
            ax=ax,
        )
    for ax in panels:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
    return {"luck": figure}


def check(config: RandomModelsConfig, dataset: data.Dataset) -> None:
    """Raises if the test part leaves too few fresh images."""
    count = len(dataset.test.labels)
    if config.test_images > count // 2:
        raise DataError(
            f"--test_images {config.test_images}: {dataset.name} has {count} test images, and at "
            f"least half of them must be left to score on: at most {count // 2}"
        )


def run(config: RandomModelsConfig) -> lesson.Result:
    """Scores all networks, prints what chance does, draws it, and writes the folder."""
    dataset = data.load("mnist", config.data_dir, source=config.data_source)
    check(config, dataset)
    folder = lesson.begin("practice.random_models", config)
    print(data_line(dataset))
    found = score_all(config, dataset)
    kinds = {name: summarize_kind(name, s, config.test_images) for name, s in found.items()}
    header = ("networks", "average %", "best: test %", "by luck %", "fresh %", "best possible %")
    rows = [
        [
            name,
            *(
                f"{100 * np.mean(kind[figure]):.1f}"
                for figure in ("mean_accuracy", "best_on_test", "expected_by_luck", "best_on_fresh")
            ),
            f"{100 * kind['best_possible']:.1f}",
        ]
        for name, kind in kinds.items()
    ]
    print(f"\n{text_table(header, rows)}\n")
    for kind in kinds.values():
        print(kind["sentence"])
    summary = {
        "program": "practice.random_models",
        "kinds": kinds,
        "models": config.models,
        "test_images": config.test_images,
        "seeds": list(range(config.seed, config.seed + config.seeds)),
        "data": dataset.source,
    }
    return lesson.finish(folder, summary, draw(found, config.test_images))


if __name__ == "__main__":
    command_line.main("practice.random_models", RandomModelsConfig, run, __doc__)
