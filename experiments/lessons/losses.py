"""Loss functions: the course's worked values, and what each loss punishes.

What:     every loss on the course's inputs; curves of the regression losses and of focal loss;
          the mean of the k largest losses; balancing two classes at 1 : 10.
Source:   course document 002, section 9.
Command:  python -m experiments.lessons.losses     seconds
Expected: the values of the course and of PyTorch to six digits.

Three things to see: NLL takes no logarithm itself, so probabilities give a negative "loss";
cross-entropy of two logits is binary cross-entropy of their softmax; without its factor 0.5, the
parabola of smooth L1 would not meet the line at |d| = 1.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import losses, plot
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossesConfig(Config):
    """Settings of the figure; the table is the course's."""

    beta: float = option(1.0, "smooth L1's β, where its parabola ends", above=0)
    samples: int = option(20, "samples for the mean of the k largest losses", low=1, high=100)


class Worked(NamedTuple):
    """A worked value: ours, the course's, PyTorch's (None if there is none)."""

    name: str
    ours: jax.Array
    course: float | None
    pytorch: float | None


INPUTS = {
    "table": np.array(
        [[0.1, 0.2, 0.3, 0.3, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.05, 0.1, 0.15, 0.2, 0.5]]
    ),
    "labels": np.array([1, 2, 4]),
    "pair": np.array([[0.25, 0.4]]),
    "logits": np.array([[0.25] * 4, [0.3, 0.4, 0.5, 0.6]]),
    "classes": np.array([1, 2]),
    "image": np.arange(8.0).reshape(1, 2, 2, 2) / 8,  # (N, C, H, W)
    "predicted": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    "true": np.array([[8.0, 9.0, 10.0], [11.0, 12.0, 13.0]]),
}
# The course's and PyTorch 2.13.0's values of the losses that compute_losses names.
PRINTED: dict[str, tuple[float | None, float | None]] = {
    "NLL of probabilities": (-0.4333333671092987, -0.4333334),
    "NLL of log-softmax": (None, 1.389180),
    "NLL of a 2×2 image": (None, -0.4375),
    "cross-entropy, [.25, .4]": (0.62095707654953, 0.6209571),
    "BCE of softmax([.25, .4])": (0.62095707654953, 0.6209571),
    "cross-entropy, 2 samples": (None, 1.364415),
    "focal γ = 0, the same": (None, 1.364415),
    "focal γ = 2, the same": (None, 0.7563076),
    "top-1 of the same": (None, 1.386294),
    "MSE, all 7 apart": (None, 49.0),
    "MAE, all 7 apart": (None, 7.0),
    "one of your own: MAE": (None, 7.0),
    "smooth L1, all 7 apart": (None, 6.5),
    "smooth L1, d = 0.5": (None, 0.125),
}


@jax.jit
def compute_losses(given: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Losses of the course's inputs, by name."""
    table, labels, pair, image = (given[name] for name in ("table", "labels", "pair", "image"))
    logits, classes = given["logits"], given["classes"]
    predicted, true = given["predicted"], given["true"]
    each = losses.cross_entropy(logits, classes)
    mean = {"reduction": "mean"}
    nll = losses.negative_log_likelihood
    return {
        "NLL of probabilities": nll(table, labels, **mean),
        "NLL of log-softmax": nll(jax.nn.log_softmax(table), labels, **mean),
        "NLL of a 2×2 image": nll(image, np.array([[[0, 1], [1, 0]]]), **mean),
        "cross-entropy, [.25, .4]": losses.cross_entropy(pair, np.array([1]), **mean),
        "BCE of softmax([.25, .4])": losses.binary_cross_entropy(
            jax.nn.softmax(pair), np.array([[0, 1]]), **mean
        ),
        "cross-entropy, 2 samples": each.mean(),
        "focal γ = 0, the same": losses.focal(logits, classes, gamma=0, **mean),
        "focal γ = 2, the same": losses.focal(logits, classes, **mean),
        "top-1 of the same": losses.top_k(each, 1),
        "MSE, all 7 apart": losses.mean_squared_error(predicted, true),
        "MAE, all 7 apart": losses.absolute_error(predicted, true, **mean),
        "one of your own: MAE": jnp.abs(predicted - true).mean(),
        "smooth L1, all 7 apart": losses.smooth_l1(predicted, true, **mean),
        "smooth L1, d = 0.5": losses.smooth_l1(0.5, 0.0),
    }


def worked_values() -> list[Worked]:
    """Losses of the course's inputs beside what the course and PyTorch print."""
    ours = compute_losses(INPUTS)
    return [Worked(name, ours[name], *printed) for name, printed in PRINTED.items()]


def balance() -> dict[str, tuple[float, float]]:
    """Total loss of 1 positive and 10 negatives, 0.5 each, unweighted and weighted two ways."""
    targets = np.array([1] + [0] * 10)
    logit = -math.log(math.expm1(0.5))  # softplus(-logit) = 0.5
    names = "unweighted", "the course's factors 10 and 1", "jaxdl"
    ways = zip(names, weigh(np.where(targets == 1, logit, -logit), targets), strict=True)
    return {name: (float(v[0]), float(v[1:].sum())) for name, v in ways}


@jax.jit
def weigh(logits: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Binary cross-entropy of each of 11 samples, the first positive, weighted in three ways."""
    plain = losses.binary_cross_entropy_with_logits(logits, targets)
    course = plain * jnp.where(targets == 1, 10.0, 1.0)
    ours = losses.weighted_binary_cross_entropy(logits, targets, positives=1, negatives=10)
    return plain, course, ours


def hardest(config: LossesConfig) -> tuple[np.ndarray, np.ndarray]:
    """Losses of made-up samples, a few of them hard, and the mean of the k largest for every k."""
    key = stream(root_key(config.seed), Stream.MADE_UP)
    drawn = jnp.exp(jax.random.normal(key, (config.samples,)))
    counts = range(1, config.samples + 1)
    means = jax.jit(lambda v: jnp.stack([losses.top_k(v, k) for k in counts]))(drawn)
    return np.asarray(drawn), np.asarray(means)


def draw(config: LossesConfig, drawn: np.ndarray, means: Sequence[float]) -> Any:
    """Regression losses and their slopes, focal loss, and the mean of the k largest."""
    d = np.linspace(-3, 3, 300)  # even, so the slopes jump at 0 between two points
    functions = {
        "squared": losses.squared_error,
        "absolute": losses.absolute_error,
        "smooth L1": lambda p, t: losses.smooth_l1(p, t, config.beta),
    }
    figure, (values, slopes, focal, top) = plot.figure_with_panels(
        *(2, 2), share_x=False, panel_height=3.2
    )
    curves = {
        name: jax.jit(jax.vmap(jax.value_and_grad(f), (0, None)))(jnp.asarray(d), 0.0)
        for name, f in functions.items()
    }
    for ax, which, title in ((values, 0, "Loss"), (slopes, 1, "Slope")):
        series = {name: both[which] for name, both in curves.items()}
        plot.curves(d, series, xlabel="Difference d", ylabel=title, title=title, ax=ax)
    p = np.linspace(0.01, 0.99, 200)
    logits = np.stack([np.log(p), np.log1p(-p)], axis=-1)

    @jax.jit
    def focal_losses(logits: jax.Array) -> dict[str, jax.Array]:
        first = jnp.zeros(len(logits), int)
        return {f"γ = {g:g}": losses.focal(logits, first, gamma=g) for g in GAMMAS}

    series = focal_losses(logits)
    labels = {"xlabel": "Probability of the true class", "ylabel": "Loss"}
    plot.curves(p, series, **labels, title="Focal loss", ax=focal)
    series = {"mean of the k largest": means, "k-th largest": np.sort(drawn)[::-1]}
    labels = {"xlabel": "k", "ylabel": "Loss"}
    reference = {"mean of all": float(drawn.mean())}
    plot.curves(
        np.arange(1, drawn.size + 1), series, **labels, references=reference, title="Top k", ax=top
    )
    return figure


def run(config: LossesConfig) -> lesson.Result:
    """Prints the worked values and the balance, draws, and writes the folder."""
    folder = lesson.begin("losses", config)
    worked = worked_values()
    rows = [(w.name, *("-" if v is None else f"{float(v):.6g}" for v in w[1:])) for w in worked]
    print(text_table(("loss", "jaxdl", "course", "PyTorch 2.13"), rows))
    print(
        "\nSmooth L1 at d = 0.5 is 0.5·d² = 0.125; without the 0.5 the parabola would end at 1 "
        "where the line begins at 0.5."
    )
    totals = balance()
    print("\n1 positive and 10 negatives, each with a loss of 0.5:\n")
    rows = [(name, round(p, 4), round(n, 4)) for name, (p, n) in totals.items()]
    print(text_table(("weights", "positives in all", "negatives in all"), rows))
    drawn, means = hardest(config)
    summary = {
        "worked": {
            w.name: {"jaxdl": float(w.ours), "course": w.course, "pytorch": w.pytorch}
            for w in worked
        },
        "balance": totals,
        "top_k_means": means.tolist(),
    }
    return lesson.finish(folder, summary, {"losses": draw(config, drawn, means)})


if __name__ == "__main__":
    command_line.main("lessons.losses", LossesConfig, run, __doc__)
