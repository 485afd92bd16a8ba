"""Loss functions: the course's worked values, and what each loss punishes.

What:     every loss on the course's inputs; curves of the regression losses and of focal loss;
          entropy and cross-entropy over two probabilities; lines fitted with three losses to data
          with outliers; the mean of the k largest losses; balancing two classes at 1 : 10.
Source:   course document 002, section 9.
Command:  python -m experiments.lessons.losses     seconds
Expected: the values of the course and of PyTorch to six digits; cross-entropy is least where the
          prediction is right; outliers pull the line of MSE along, those of MAE and smooth L1
          hardly.

Four things to see: NLL takes no logarithm itself, so probabilities give a negative "loss";
cross-entropy of two logits is binary cross-entropy of their softmax; without its factor 0.5, the
parabola of smooth L1 would not meet the line at |d| = 1; the surface that the course draws is one
term of cross-entropy, -p·log q, which is least at q = 1 whatever p is. That is why the course finds
that targets between 0 and 1 cannot be used. With its second term, -(1 - p)·log(1 - q), they can.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import losses, metrics, plot
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
PROBABILITIES = np.linspace(0.01, 0.99, 99, dtype=np.float32)

# Lines are fitted to points around this one; some are too high.
SLOPE, INTERCEPT = 2.0, 1.0
POINTS, NOISE, PUSH = 40, 0.5, 10.0
PUSHED = range(0, 17, 2)
DESCENT = np.linspace(0.5, 0.0, 1000, dtype=np.float32)  # step sizes


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossesConfig(Config):
    """Settings of the figures; the table is the course's."""

    beta: float = option(1.0, "smooth L1's β, where its parabola ends", above=0)
    draws: int = option(100, "draws of the points with outliers", low=2, high=10_000)
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


@jax.jit
def cross_entropies(true: jax.Array, predicted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Binary cross-entropy and its first term, in bits, of each p (row) with each q (column)."""
    p, q = jnp.meshgrid(true, predicted, indexing="ij")
    return losses.binary_cross_entropy(q, p) / jnp.log(2), -p * jnp.log2(q)


def entropy_facts(whole: np.ndarray, term: np.ndarray) -> dict[str, Any]:
    """Entropies of a few distributions in bits, and where cross-entropy and its term are least."""
    known = {
        "a coin": [0.5, 0.5],
        "a bent coin, 0.9": [0.9, 0.1],
        "a die": [1 / 6] * 6,
    }
    best = PROBABILITIES[whole.argmin(1)]
    entropies = -PROBABILITIES * np.log2(PROBABILITIES)
    entropies = entropies + entropies[::-1]  # the probabilities are symmetric about 1/2
    return {
        "entropy": {name: float(-np.dot(p, np.log2(p))) for name, p in known.items()},
        "least_away_from_p": float(abs(best - PROBABILITIES).max()),
        "least_away_from_entropy": float(abs(whole.min(1) - entropies).max()),
        "term_least_at": sorted({round(float(q), 2) for q in PROBABILITIES[term.argmin(1)]}),
    }


def regression_losses(config: LossesConfig) -> dict[str, Callable[[Any, Any], jax.Array]]:
    """The losses of a difference, by name."""
    return {
        "squared": losses.squared_error,
        "absolute": losses.absolute_error,
        "smooth L1": lambda p, t: losses.smooth_l1(p, t, config.beta),
    }


def draw_points(key: jax.Array, pushed: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Points of the line with noise, ``pushed`` of them too high: x, y and which, (POINTS,)."""
    noise_key, rank_key = (jax.random.fold_in(key, i) for i in range(2))
    x = jnp.linspace(-1, 1, POINTS)
    outlier = jax.random.permutation(rank_key, POINTS) < pushed
    y = SLOPE * x + INTERCEPT + NOISE * jax.random.normal(noise_key, (POINTS,))
    return x, y + PUSH * outlier, outlier


def fit_lines(config: LossesConfig, key: jax.Array, pushed: jax.Array) -> dict[str, jax.Array]:
    """Slope and intercept (2,) with the least mean loss, for each loss, by gradient descent."""
    x, y, _ = draw_points(key, pushed)
    lines = {}
    for name, loss in regression_losses(config).items():

        def step(line: jax.Array, rate: jax.Array, loss: Any = loss) -> tuple[jax.Array, None]:
            slope = jax.grad(lambda line: loss(line[0] * x + line[1], y).mean())(line)
            return line - rate * slope, None

        lines[name], _ = jax.lax.scan(step, jnp.zeros(2), DESCENT)
    return lines


def fit_with_outliers(config: LossesConfig) -> dict[str, np.ndarray]:
    """Lines (draws, numbers of outliers, 2) of each loss; only the outliers differ."""
    start = stream(root_key(config.seed), Stream.MADE_UP)
    keys = jax.vmap(lambda draw: jax.random.fold_in(start, draw))(jnp.arange(config.draws))
    over_counts = jax.vmap(lambda key, count: fit_lines(config, key, count), (None, 0))
    fitted = jax.jit(jax.vmap(over_counts, (0, None)))(keys, jnp.array(PUSHED))
    return {name: np.asarray(fitted[name]) for name in regression_losses(config)}


def misses(lines: np.ndarray) -> np.ndarray:
    """Root of the mean squared distance (…,) of lines (…, 2) from the true one at the points."""
    x = np.linspace(-1, 1, POINTS)
    off = lines - np.array([SLOPE, INTERCEPT])
    return np.sqrt(((off[..., :1] * x + off[..., 1:]) ** 2).mean(-1))


def fit_sentence(missed: dict[str, np.ndarray], place: int) -> str:
    """Which loss comes nearest to the true line with a number of outliers, draw by draw."""
    means = {name: values[:, place].mean() for name, values in missed.items()}
    best = min(means, key=means.get)
    others = [
        f"{name} {mean:.2f}, "
        + metrics.verdict(
            metrics.paired_difference(missed[name][:, place], missed[best][:, place]),
            *("", 1, False),
        ).replace("seeds", "draws")
        for name, mean in means.items()
        if name != best
    ]
    return (
        f"With {PUSHED[place]} of {POINTS} points too high, the line of the {best} loss is nearest "
        f"to the true one, {means[best]:.2f} away ({'; '.join(others)})."
    )


def sentence(worked: Sequence[Worked], facts: dict[str, Any], missed: dict[str, np.ndarray]) -> str:
    """What the lesson has shown."""
    apart = max(abs(float(w.ours) / w.pytorch - 1) for w in worked)
    step = float(PROBABILITIES[1] - PROBABILITIES[0])
    right = "where q = p" if facts["least_away_from_p"] < step / 2 else "away from q = p"
    term = " or ".join(f"{q:g}" for q in facts["term_least_at"])
    return (
        f"The losses have PyTorch's values (at most {apart:.0e} apart, relatively). Over q from "
        f"0.01 to 0.99, cross-entropy is least {right}; the course's term is least at q = {term}. "
        f"{fit_sentence(missed, 0)} {fit_sentence(missed, len(PUSHED) // 2)}"
    )


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
    figure, (values, slopes, focal, top) = plot.figure_with_panels(
        *(2, 2), share_x=False, panel_height=3.2
    )
    curves = {
        name: jax.jit(jax.vmap(jax.value_and_grad(f), (0, None)))(jnp.asarray(d), 0.0)
        for name, f in regression_losses(config).items()
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


@plot.style.styled
def draw_entropy(whole: np.ndarray, term: np.ndarray) -> Any:
    """The entropy of a coin, cross-entropy over two probabilities, and its first term."""
    figure, (curve, *planes) = plot.figure_with_panels(
        *(1, 3), share_x=False, width=10.0, panel_height=3.6
    )
    labels = {"xlabel": "Probability p of heads", "ylabel": "Entropy (bits)"}
    plot.curves(PROBABILITIES, {"H(p)": np.diag(whole)}, **labels, title="A coin", ax=curve)
    titles = "Cross-entropy (bits)", "The course's term alone: $-p\\,\\log_2 q$ (bits)"
    for ax, values, title in zip(planes, (whole, term), titles, strict=True):
        levels = [0, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 7]
        plane = (PROBABILITIES, PROBABILITIES, values.T)
        ax.contourf(*plane, levels, cmap="Blues", alpha=0.8)
        lines = ax.contour(*plane, levels[1:-1], colors="black", linewidths=0.6)
        ax.clabel(lines, levels[1:-3], fmt="%g", fontsize=7)
        least = PROBABILITIES[values.argmin(1)]
        ax.plot(PROBABILITIES, least, "--", color=plot.PALETTE[1], linewidth=2, label="least")
        ax.set(xlabel="True probability p", ylabel="Predicted probability q")
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.grid(visible=False)
        plot.style.title_and_legend(ax, title)
    return figure


@plot.style.styled
def draw_outliers(
    config: LossesConfig, lines: dict[str, np.ndarray], missed: dict[str, np.ndarray]
) -> Any:
    """The first draw with its three lines, and how far lines are off by the number of outliers."""
    place = len(PUSHED) // 2
    key = jax.random.fold_in(stream(root_key(config.seed), Stream.MADE_UP), 0)
    x, y, outlier = map(np.asarray, draw_points(key, PUSHED[place]))
    figure, (points, distance) = plot.figure_with_panels(2, share_x=False, panel_height=3.2)
    points.plot(
        x, SLOPE * x + INTERCEPT, color=plot.style.GREY, linewidth=4, alpha=0.4, label="true"
    )
    points.plot(x[~outlier], y[~outlier], "o", color=plot.style.GREY, label="points")
    points.plot(x[outlier], y[outlier], "^", color="black", markersize=6, label="outliers")
    fitted = {name: each[0, place, 0] * x + each[0, place, 1] for name, each in lines.items()}
    plot.curves(x, fitted, xlabel="x", ylabel="y", ax=points)
    plot.curves(
        list(PUSHED),
        {name: values.mean(0) for name, values in missed.items()},
        xlabel=f"Outliers among {POINTS} points",
        ylabel=f"Distance to the true line,\nmean of {config.draws} draws",
        ax=distance,
    )
    distance.set_ylim(bottom=0)
    return figure


def run(config: LossesConfig) -> lesson.Result:
    """Prints the worked values and the balance, draws, and writes the folder."""
    folder = lesson.begin("losses", config, __doc__)
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
    whole, term = map(np.asarray, cross_entropies(PROBABILITIES, PROBABILITIES))
    facts = entropy_facts(whole, term)
    entropies = (f"{name} {bits:.3f}" for name, bits in facts["entropy"].items())
    print(f"\nEntropy in bits: {', '.join(entropies)}.")
    lines = fit_with_outliers(config)
    missed = {name: misses(each) for name, each in lines.items()}
    print(f"\nLines fitted to {POINTS} points, some of them {PUSH:g} too high:")
    print(f"distance to the true line, mean of {config.draws} draws\n")
    rows = [
        (count, *(f"{values[:, i].mean():.3f}" for values in missed.values()))
        for i, count in enumerate(PUSHED)
    ]
    print(text_table(("outliers", *missed), rows))
    summary = {
        "worked": {
            w.name: {"jaxdl": float(w.ours), "course": w.course, "pytorch": w.pytorch}
            for w in worked
        },
        "balance": totals,
        "top_k_means": means.tolist(),
        "cross_entropy": facts,
        "distance_to_the_true_line": {n: values.mean(0).tolist() for n, values in missed.items()},
        "shown": sentence(worked, facts, missed),
    }
    figures = {
        "losses": draw(config, drawn, means),
        "entropy": draw_entropy(whole, term),
        "outliers": draw_outliers(config, lines, missed),
    }
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("lessons.losses", LossesConfig, run, __doc__)
