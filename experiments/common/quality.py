"""How good a generator is while it trains: scores of its samples, and their curve."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxdl import data, evaluation, plot
from jaxdl.data.sources import image_folder
from jaxdl.errors import ConfigError, DataError
from jaxdl.evaluation.judge import check_images
from jaxdl.evaluation.references import pick
from jaxdl.generation import TrainedGenerator
from jaxdl.metrics import generative
from jaxdl.run import Best, Monitor, Point, RunLog
from jaxdl.training import NetworkState, gan, rngs

RAW = "_raw"  # ends the names of the scores of G without averaging
FLOOR = "_floor"  # ends the names of the scores of real images
FLOORED = ("fid", "swd", "precision", "recall", "sure")
JUDGED, UNJUDGED = "fid", "swd"  # the deciding score, with a judge and without
SHARES = "Share"
# The panels of the figure: label of the axis, and the curves' names by score.
PANELS = (
    ("Fréchet distance (FID)", {"fid": "average of G", "fid_raw": "G"}),
    ("Sliced Wasserstein distance", {"swd": "average of G", "swd_raw": "G"}),
    (
        SHARES,
        {
            "precision": "precision",
            "recall": "recall",
            "sure": "judge is sure",
            "class_accuracy": "of the class asked for",
        },
    ),
)


def find_judge(name: str | None, dataset: data.Dataset) -> evaluation.Judge | None:
    """The judge of that file, or the packaged one of the data set; None if there is none.

    Raises:
        UserError: the file is no judge, or the judge does not know such images.
    """
    known = "" if dataset.source == image_folder.SOURCE else dataset.name
    judge = evaluation.find_judge(name, known)
    if judge is not None:
        check_images(dataset.images[:1], judge.network.channels)
    return judge


def check_samples(count: int, judge: evaluation.Judge | None, dataset: data.Dataset) -> None:
    """Raises if so few samples, or so few test images, cannot be judged."""
    least = judge.network.hidden + 1 if judge else 2
    if count < least:
        raise ConfigError(
            f"--evaluate_samples {count} is too few: at least {least}, or 0 to judge none"
        )
    if len(dataset.test.images) < least:
        raise DataError(
            f"{dataset.name} has {len(dataset.test.images)} test images; scores compare samples "
            f"with at least {least}: --evaluate_samples 0 trains without scores"
        )


def drawn_by(network: NetworkState) -> TrainedGenerator:
    """A network in training as a generator that draws images."""
    return TrainedGenerator(network.model, network.variables())


def sample(network: NetworkState, noise: jax.Array, labels: np.ndarray | None = None) -> np.ndarray:
    """Images (N, H, W, C) of a generator in training, as uint8."""
    generator = drawn_by(network)
    return np.concatenate(list(generator.pixels(generator.given_batches(noise, labels))))


def generator_monitor(
    judge: evaluation.Judge | None,
    test_images: np.ndarray,
    noise: jax.Array,
    every_steps: int | None = None,
    every_epochs: int = 1,
    labels: np.ndarray | None = None,
    real: np.ndarray | None = None,
) -> Monitor:
    """Scores G's images of the given noise against the test images, (N, H, W, C) of G's size.

    With labels, one for each z, the judge says how many images are of the class asked for.
    The average of G decides. If it is kept, G itself is scored too, in names that end in ``_raw``.
    With ``real`` training images, one for each z, each score has beside it what they reach, in
    names that end in ``_floor``.
    """
    if judge is None:
        name = UNJUDGED
        measure = functools.partial(_distance, images=test_images)
    else:
        name = JUDGED

        @functools.cache  # at the first measurement, which a complete run never makes
        def reference() -> evaluation.Reference:
            return evaluation.make_reference(judge.see(test_images))

        def measure(samples: np.ndarray) -> dict[str, Any]:
            seen = judge.see(samples)
            asked = {}
            if labels is not None:
                asked = {"class_accuracy": evaluation.class_accuracy(seen, labels)}
            found = evaluation.quick_scores(seen, reference()) | asked
            return found | evaluation.variety(seen, reference())

    @functools.cache
    def floor() -> dict[str, Any]:
        found = {} if real is None else measure(real)
        return {f"{name}{FLOOR}": found[name] for name in FLOORED if name in found}

    def scores(point: Point, state: gan.GANState) -> dict[str, Any]:
        found = measure(sample(state.averaged_generator, noise, labels))
        if state.average:
            raw = measure(sample(state.generator, noise, labels))
            found |= {f"{each}{RAW}": value for each, value in raw.items()}
        return found | floor()

    return Monitor(scores, name, every_steps, every_epochs, describe)


def describe(scores: Mapping[str, Any]) -> str:
    """Formats the scores that say most.

    Example:
        >>> describe({"fid": 51.23, "fid_raw": 60.1, "precision": 0.7, "kid": 1.0, "sure": 0.81})
        'FID 51.23 (raw 60.1), precision 0.7, sure 0.81'
    """
    names = (JUDGED, UNJUDGED, "precision", "recall", "sure", "class_accuracy")
    shown = [name for name in names if name in scores]
    texts = []
    for name in shown:
        title = name.upper() if len(name) == 3 else name.replace("_", " ")
        text = f"{title} {scores[name]:.4g}"
        raw = scores.get(f"{name}{RAW}") if name in (JUDGED, UNJUDGED) else None
        texts.append(text if raw is None else f"{text} (raw {raw:.4g})")
    return ", ".join(texts)


def _distance(samples: np.ndarray, images: np.ndarray) -> dict[str, float]:
    real = images[pick(len(images), len(samples))]
    key = rngs.stream(rngs.root_key(0), rngs.Stream.EVALUATION)
    found = generative.sliced_wasserstein(samples[: len(real)], real, key)
    return {UNJUDGED: found.mean}


def scores_of(history: RunLog) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every score in a log, by name."""
    records = [r for r in history.records if r["kind"] in ("score", "epoch")]
    names = [name for _, names in PANELS for name in names if any(name in r for r in records)]
    return {
        name: tuple(zip(*((r["step"], r[name]) for r in records if name in r), strict=True))
        for name in names
    }


def scores_at(history: RunLog, step: int) -> dict[str, float | None]:
    """The scores that were measured at a step."""
    found = {name: dict(zip(*series, strict=True)) for name, series in scores_of(history).items()}
    return {name: values[step] for name, values in found.items() if step in values}


def quality_figure(history: RunLog, best: Best | None) -> Any:
    """The distance to the test images above precision and recall, over the steps of a run.

    None if nothing was judged.
    """
    found = scores_of(history)
    panels = [(label, names) for label, names in PANELS if any(name in found for name in names)]
    if not panels:
        return None
    figure, axes = plot.figure_with_panels(len(panels), title="Quality of the samples")
    for ax, (label, names) in zip(axes, panels, strict=True):
        series = {names[name]: found[name] for name in names if name in found}
        plot.curves(
            next(iter(series.values()))[0],
            {
                title: [np.nan if v is None else v for v in values]
                for title, (_, values) in series.items()
            },
            xlabel="Step" if ax is axes[-1] else "",
            ylabel=label,
            ax=ax,
        )
        if label != SHARES:
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:g}")
        if best:
            ax.axvline(best.step, color="0.6", linestyle=":", zorder=0)
    if best:
        axes[0].annotate(
            f"best: {best.score:.3g}",
            (best.step, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -10),
            textcoords="offset points",
            fontsize="small",
        )
    return figure


def describe_best(best: Best | None, step: int, name: str) -> str:
    """A sentence about the generator that is kept, for the score of that name."""
    what = "Pictures and the exported generator are of"
    if best is None:
        return f"{what} the last step, {step}."
    which = "the last step" if best.step == step else f"step {best.step}, not the last, {step}"
    return f"{what} {which}: the best {name.upper()}, {best.score:.4g}."
