"""Detection metrics: precision, recall, F1, IoU and mAP of a simple detector of digits.

What:     a classifier of single digits, judged by precision, recall and F1 of each class; then
          scenes with several digits and some dirt, in which it finds digits as connected blots,
          judged by the overlap of boxes (IoU), the precision-recall curve, AP and mAP.
Source:   course document 002, whose headings name these metrics without content.
Command:  python -m experiments.lessons.detection_metrics     seconds
Expected: with the overlap that is asked for, mAP falls; with the score from which a detection
          counts, recall falls and precision rises.

The classifier takes the class whose mean image is nearest, at distance d₁; its score is 1 - d₁/d₂
with the distance d₂ of the second. The detector sees the scene at half its resolution. Both are
meant to make mistakes that one can look at: boxes are off by a pixel, touching digits are one blot,
a broken digit is two, dirt is a digit.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from scipy import ndimage

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, metrics, plot
from jaxdl.metrics import ConfusionMatrix, MeanAveragePrecision
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"

INK, LEAST_INK = 64, 12  # darker pixels are paper; smaller blots are ignored
STRIDE = 2  # pixels to a side of what the detector sees as one
SIDE = 12  # pixels that a digit is resized to before it is compared
CELL, CELLS = 32, 3  # a scene is CELLS × CELLS places of CELL pixels
OVERLAPS = tuple(i / 100 for i in range(50, 100, 5))  # COCO's
MOST = 1000  # single digits to learn the means from, and to be asked for
MOVED = (0.05, 0.1, 0.2, 0.5)  # shares of a square's side
LOOKS: dict[str, dict[str, Any]] = {  # line styles tell them apart in grey
    "true": {"edgecolor": plot.PALETTE[0], "linestyle": "-", "linewidth": 1.0},
    "found": {"edgecolor": plot.PALETTE[1], "linestyle": "--", "linewidth": 1.8},
    "wrong": {"edgecolor": "black", "linestyle": ":", "linewidth": 1.8},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionMetricsConfig(DataConfig):
    """What the scenes hold, and when a detection counts."""

    scenes: int = option(40, "scenes in which digits are to be found", low=2, high=1000)
    digits: int = option(6, "digits in a scene", low=1, high=CELLS**2)
    dirt: int = option(2, "specks of dirt in a scene", low=0, high=20)
    overlap: float = option(0.5, "IoU from which a detection is correct", above=0, high=1)
    score: float = option(0.05, "score from which a detection counts", low=0, high=1)


class Scene(NamedTuple):
    """An image (H, W), uint8, and its digits: boxes (M, 4) as (x1, y1, x2, y2), classes (M,)."""

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray


class Detections(NamedTuple):
    """Boxes (N, 4), classes (N,) and scores (N,) of what was found in a scene."""

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def box_of(ink: np.ndarray) -> np.ndarray:
    """The smallest box (x1, y1, x2, y2) around the true pixels (H, W)."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def cut(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A box of an image, resized, with lengths divided by the brightness: (SIDE²,)."""
    x1, y1, x2, y2 = box
    small = Image.fromarray(image[y1:y2, x1:x2]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small, np.float64).ravel()
    return pixels / max(np.linalg.norm(pixels), 1.0)


def class_means(split: data.Split, num_classes: int) -> np.ndarray:
    """The mean image of each class, (classes, SIDE²)."""
    cuts = np.stack([cut(image, box_of(image > INK)) for image in split.images[..., 0]])
    return np.stack([cuts[split.labels == label].mean(axis=0) for label in range(num_classes)])


def classify(cuts: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class (N,) with the nearest mean, and the score (N,) in [0, 1]."""
    distances = np.linalg.norm(cuts[:, None] - means[None], axis=2)
    first, second = np.sort(distances, axis=1)[:, :2].T
    return distances.argmin(axis=1), 1 - first / second


def make_scenes(split: data.Split, config: DetectionMetricsConfig) -> list[Scene]:
    """Digits near the middle of places in a grid, where neighbours may touch, and dirt."""
    key = stream(root_key(config.seed), Stream.MADE_UP)
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    return [_scene(split, config, random) for _ in range(config.scenes)]


def _scene(split: data.Split, config: DetectionMetricsConfig, random: np.random.Generator) -> Scene:
    side = CELL * CELLS
    image, boxes = np.zeros((side, side), np.uint8), []
    chosen = random.choice(len(split.labels), config.digits, replace=False)
    places = random.choice(CELLS**2, config.digits, replace=False)
    for index, place in zip(chosen, places, strict=True):
        digit = split.images[index, ..., 0]
        corner = CELL * np.array(divmod(place, CELLS)) + 2 + random.integers(-5, 6, 2)
        top, left = np.clip(corner, 0, side - np.array(digit.shape))
        part = image[top : top + digit.shape[0], left : left + digit.shape[1]]
        np.maximum(part, digit, out=part)
        boxes.append(box_of(digit > INK) + np.array([left, top, left, top]))
    for _ in range(config.dirt):
        height, width = random.integers(3, 9, 2)
        top, left = random.integers(0, side - 9, 2)
        image[top : top + height, left : left + width] = 255
    return Scene(image, np.array(boxes, float), split.labels[chosen])


def detect(image: np.ndarray, means: np.ndarray) -> Detections:
    """Every connected blot of ink is taken for a digit."""
    height, width = image.shape
    coarse = image.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE).max(axis=(1, 3))
    blots, _ = ndimage.label(coarse > INK, structure=np.ones((3, 3)))
    blots = blots.repeat(STRIDE, axis=0).repeat(STRIDE, axis=1)
    boxes, cuts = [], []
    for number, (rows, columns) in enumerate(ndimage.find_objects(blots), start=1):
        mine = (blots == number) & (image > INK)
        if mine.sum() >= LEAST_INK:
            box = np.array([columns.start, rows.start, columns.stop, rows.stop])
            boxes.append(box)
            cuts.append(cut(np.where(blots == number, image, 0), box))
    cuts = np.stack(cuts) if cuts else np.zeros((0, SIDE**2))
    return Detections(np.array(boxes, float).reshape(-1, 4), *classify(cuts, means))


def measure(
    scenes: list[Scene], found: list[Detections], overlaps: tuple[float, ...], num_classes: int
) -> MeanAveragePrecision:
    """The metric of all scenes."""
    whole = None
    for scene, one in zip(scenes, found, strict=True):
        metric = MeanAveragePrecision.from_image(
            metrics.box_iou(one.boxes, scene.boxes),
            *(one.scores, one.classes, scene.classes),
            num_classes=num_classes,
            thresholds=overlaps,
        )
        whole = metric if whole is None else whole.merge(metric)
    return whole


def counts_from(score: float, metric: MeanAveragePrecision) -> dict[str, float]:
    """Precision, recall and F1 if only detections with this score or more count."""
    kept = metric.scores >= score
    hits, truths = int(metric.hits[0, kept].sum()), int(metric.truths.sum())
    return {
        "precision": hits / kept.sum() if kept.any() else float("nan"),
        "recall": hits / truths,
        "F1": 2 * hits / (kept.sum() + truths),
    }


@plot.style.styled
def draw_scenes(
    scenes: list[Scene], found: list[Detections], config: DetectionMetricsConfig
) -> Any:
    """Two scenes with the true boxes and the detections, right and wrong."""
    title = "Digits as they are, and as they were found, with class and score"
    figure, panels = plot.figure_with_panels(1, 2, share_x=False, panel_height=3.9, title=title)
    for ax, scene, one in zip(panels, scenes, found, strict=False):
        same = one.classes[:, None] == scene.classes[None]
        iou = np.where(same, metrics.box_iou(one.boxes, scene.boxes), -1.0)
        hits = metrics.match_detections(iou, one.scores, config.overlap)
        ax.imshow(scene.image, cmap="gray_r", vmax=600)  # pale, so that boxes stand out
        for box in scene.boxes:
            ax.add_patch(outline(box, "true"))
        for box, label, score, hit in zip(*one, hits, strict=True):
            ax.add_patch(outline(box, "found" if hit else "wrong"))
            # Below a box at the upper edge, where there is no room above it.
            y, side = (box[3] + 1, "top") if box[1] < 6 else (box[1] - 1, "bottom")
            ax.text(box[0], y, f"{label}: {score:.2f}", fontsize=7, va=side, clip_on=True)
        frame(ax)
    handles = [outline(np.zeros(4), name) for name in LOOKS]
    labels = ["true box", f"found: class right, IoU ≥ {config.overlap:g}", "wrong"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def frame(ax: Any) -> None:
    """A thin line around a picture, instead of axes."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, linewidth=0.5)


def outline(box: np.ndarray, look: str) -> Any:
    """The edge of a box (x1, y1, x2, y2) in pixels, one of LOOKS."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = box - 0.5  # a pixel's centre is at an integer
    return Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, **LOOKS[look])


@plot.style.styled
def draw_overlaps() -> Any:
    """What an IoU looks like: a square and the same square moved along its diagonal."""
    figure, panels = plot.figure_with_panels(1, 4, share_x=False, panel_height=2.1)
    for ax, moved in zip(panels, MOVED, strict=True):
        true, found = np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0, 10, 10]]) + 10 * moved
        ax.add_patch(outline(true[0], "true"))
        ax.add_patch(outline(found[0], "found"))
        iou = float(metrics.box_iou(true, found)[0, 0])
        ax.set_title(f"IoU {iou:.2f}")
        ax.set(xlim=(-1.5, 15.5), ylim=(15.5, -1.5), aspect="equal")
        frame(ax)
        ax.set_xlabel(f"moved by {moved:.0%}\nof its side")
    return figure


@plot.style.styled
def draw_curves(metric: MeanAveragePrecision, config: DetectionMetricsConfig) -> Any:
    """Precision and recall as less and less certain detections count, and F1 by score."""
    figure, (left, right) = plot.figure_with_panels(1, 2, share_x=False, panel_height=3.4)
    truths = int(metric.truths.sum())
    precision, recall = metrics.precision_recall_curve(metric.scores, metric.hits[0], truths)
    # The area counts, at each recall, the best precision from there on.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    left.fill_between(
        np.append(0, recall),
        np.append(best[0], best),
        *(0,),
        step="pre",
        color=plot.PALETTE[0],
        alpha=0.15,
    )
    area = metrics.average_precision(metric.scores, metric.hits[0], truths)
    labels = {"xlabel": "Recall", "ylabel": "Precision"}
    title = f"All classes: area {area:.3f}"
    plot.curves(recall, {"as scores fall": precision}, **labels, title=title, ax=left)
    left.set(xlim=(0, 1.02), ylim=(0, 1.05))
    scores = np.linspace(0, metric.scores.max(), 100)
    rows = [counts_from(score, metric) for score in scores]
    series = {name: [row[name] for row in rows] for name in rows[0]}
    labels = {"xlabel": "Score from which a detection counts", "ylabel": "Share"}
    plot.curves(scores, series, **labels, title="By score", ax=right)
    right.axvline(config.score, color=plot.style.GREY, linewidth=1)
    right.text(config.score, 0.02, f" score {config.score:g}", fontsize=8)
    right.set_ylim(0, 1.05)
    return figure


def draw_average_precision(metric: MeanAveragePrecision) -> Any:
    """AP of each class, and mAP by the overlap that is asked for."""
    figure, (upper, lower) = plot.figure_with_panels(2, share_x=False, panel_height=2.8)
    each = metric.per_class()
    present = np.flatnonzero(metric.truths)
    plot.bars(
        {f"{label}": float(each[0, label]) for label in present},
        ylabel=f"AP at IoU ≥ {metric.thresholds[0]:g}",
        references={"their mean, mAP": float(each[0, present].mean())},
        value_format="{:.2f}",
        title="By class",
        ax=upper,
    )
    upper.set_xlabel("Digit")
    means = {"mAP": each[:, present].mean(axis=1)}
    labels = {"xlabel": "Overlap (IoU) asked for", "ylabel": "mAP"}
    plot.curves(
        *(metric.thresholds, means),
        **labels,
        references={"mean over these overlaps": float(means["mAP"].mean())},
        title="By overlap",
        ax=lower,
    )
    lower.set_ylim(0, 1)
    return figure


def shown(summary: dict[str, Any]) -> str:
    """What the lesson has shown, from its numbers."""
    first, last = summary["map_by_overlap"][0], summary["map_by_overlap"][-1]
    kept, every = summary["detections"], summary["all_detections"]
    gained, lost = kept["precision"] - every["precision"], every["recall"] - kept["recall"]
    matters = "says little without its overlap" if first - last > 0.1 else "hardly depends on it"
    return (
        f"One number does not describe a detector: to count only scores from {kept['score']:g} "
        f"raises its precision by {100 * gained:.0f} points to {kept['precision']:.0%} and costs "
        f"{100 * lost:.0f} points of recall, now {kept['recall']:.0%}; its mAP is {first:.2f} if "
        f"boxes must overlap by {OVERLAPS[0]:g} and {last:.2f} if by {OVERLAPS[-1]:g}, so a mAP "
        f"{matters}."
    )


def run(config: DetectionMetricsConfig) -> lesson.Result:
    """Judges the classifier and the detector, prints, draws, and writes the folder."""
    folder, digits = lesson.begin_on_digits("detection_metrics", config, __doc__)
    known = data.Split(digits.train.images[:MOST], digits.train.labels[:MOST])
    asked = data.Split(digits.test.images[:MOST], digits.test.labels[:MOST])
    means = class_means(known, digits.num_classes)
    cuts = np.stack([cut(image, box_of(image > INK)) for image in asked.images[..., 0]])
    matrix = ConfusionMatrix.from_batch(
        classify(cuts, means)[0], asked.labels, num_classes=digits.num_classes
    )
    each = {
        name: np.asarray(getattr(matrix, name.lower())(average=None)).tolist()
        for name in ("precision", "recall", "F1")
    }
    print(f"\n{len(cuts)} single test digits, the class of the nearest mean of {MOST}:\n")
    rows = [
        (label, *(f"{v:.3f}" for v in row))
        for label, row in enumerate(zip(*each.values(), strict=True))
    ]
    print(text_table(("digit", *each), rows))

    scenes = make_scenes(asked, config)
    found = [detect(scene.image, means) for scene in scenes]
    whole = measure(scenes, found, (config.overlap,), digits.num_classes)
    by_overlap = measure(scenes, found, OVERLAPS, digits.num_classes)
    detections = counts_from(config.score, whole)
    count = sum(len(scene.classes) for scene in scenes)
    print(
        f"\n{len(scenes)} scenes, {count} digits, {len(whole.scores)} blots. A blot of score "
        f"{config.score:g} or more counts; it is right\nif its class is, and its box overlaps a "
        f"true one by {config.overlap:g} (intersection over union):\n"
    )
    every = counts_from(0.0, whole)
    rows = [
        (name, *(f"{value:.3f}" for value in counts.values()))
        for name, counts in {f"{config.score:g}": detections, "any": every}.items()
    ]
    print(text_table(("score", *detections), rows))
    maps = np.nanmean(by_overlap.per_class(), axis=1).tolist()
    print("\nMean average precision over the classes, by the overlap that is asked for:\n")
    header = ("IoU ≥", *(f"{overlap:g}" for overlap in OVERLAPS), "mean")
    print(text_table(header, [("mAP", *(f"{v:.3f}" for v in (*maps, np.mean(maps))))]))
    summary = {
        "data": lesson.data_of(digits),
        "classification": {"accuracy": float(matrix.accuracy()), **each},
        "detections": {"score": config.score, "overlap": config.overlap, **detections},
        "all_detections": every,
        "overlaps": OVERLAPS,
        "map_by_overlap": maps,
    }
    summary["shown"] = shown(summary)
    figures = {
        "confusion": plot.confusion_matrix(matrix.compute(), title="Single digits"),
        "overlaps": draw_overlaps(),
        "scenes": draw_scenes(scenes, found, config),
        "precision_recall": draw_curves(whole, config),
        "average_precision": draw_average_precision(by_overlap),
    }
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("lessons.detection_metrics", DetectionMetricsConfig, run, __doc__)
