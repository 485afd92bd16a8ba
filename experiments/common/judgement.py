"""What a classifier's probabilities for labelled images show: figures by class, pictures."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.common.table import text_table
from jaxdl import data, plot
from jaxdl.metrics import ConfusionMatrix
from jaxdl.run.log import RunLog

MOST_WRONG = 40  # images in the picture of wrong answers
MOST_CLASSES = 30  # in the printed table
PART_NAMES = {"train": "training", "val": "validation", "test": "test"}


def judge(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Figures of a classifier on labelled images, as plain values for ``summary.json``.

    Args:
        probabilities: (N, C).
        labels: integers (N,).

    Returns:
        ``accuracy``, ``cross_entropy`` in nats, ``confusion`` (C, C) with a row for each true
        class; ``classes``, for each its ``images``, ``precision``, ``recall`` and ``f1`` (0 where
        nothing was to be divided); and the means over the classes, ``macro_precision``,
        ``macro_f1`` and ``balanced_accuracy``, the mean recall of the classes that occur.

    Example:
        >>> found = judge(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), np.array([0, 1, 1]))
        >>> found["confusion"], found["classes"][0]["precision"]
        ([[1, 0], [1, 1]], 0.5)
    """
    num_classes = probabilities.shape[1]
    predicted = probabilities.argmax(-1).astype(np.int32)
    matrix = ConfusionMatrix.from_batch(predicted, labels, num_classes=num_classes)
    counts = np.rint(np.asarray(matrix.counts)).astype(int)
    by_class = {
        name: np.asarray(getattr(matrix, name)(None), float)
        for name in ("precision", "recall", "f1")
    }
    images = counts.sum(axis=1)
    likely = np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(np.float32).tiny)
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(by_class["recall"][images > 0].mean()),
        "macro_precision": float(by_class["precision"].mean()),
        "macro_f1": float(by_class["f1"].mean()),
        "cross_entropy": float(-np.log(likely.astype(np.float64)).mean()),
        "classes": [
            {"images": int(images[c]), **{n: round(float(v[c]), 6) for n, v in by_class.items()}}
            for c in range(num_classes)
        ],
        "confusion": counts.tolist(),
    }


def class_table(found: Mapping[str, Any]) -> str:
    """Precision, recall and F1 of each class, and their means."""
    rows = [
        (str(c), f"{one['images']:,}", *(f"{one[n]:.2%}" for n in ("precision", "recall", "f1")))
        for c, one in enumerate(found["classes"][:MOST_CLASSES])
    ]
    if len(found["classes"]) > MOST_CLASSES:
        rows.append(("…", "", "", "", ""))
    total = sum(one["images"] for one in found["classes"])
    means = (found[n] for n in ("macro_precision", "balanced_accuracy", "macro_f1"))
    rows.append(("mean", f"{total:,}", *(f"{value:.2%}" for value in means)))
    return text_table(("class", "images", "precision", "recall", "F1"), rows)


def draw_wrong(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, title: str
) -> Any | None:
    """The wrongly classified images, surest first: true class → answer, their probabilities.

    None if there are none, or the images are neither grey nor in colour.
    """
    predicted = probabilities.argmax(-1)
    wrong = np.flatnonzero(predicted != labels)
    if not wrong.size or images.shape[-1] not in (1, 3):
        return None
    sure = probabilities[wrong, predicted[wrong]]
    shown = wrong[np.argsort(-sure, kind="stable")][:MOST_WRONG]
    names = [
        f"{labels[i]}→{predicted[i]}\n"
        f"{100 * probabilities[i, labels[i]]:.0f}→{100 * probabilities[i, predicted[i]]:.0f}%"
        for i in shown
    ]
    few = f", the {len(shown)} surest" if len(shown) < len(wrong) else ""
    text = f"{title}: {len(wrong):,} of {len(labels):,} wrong{few} (true→answer, probabilities)"
    return plot.image_grid(images[shown], labels=names, title=text, columns=10)


def judgement_figures(
    part: data.Split, probabilities: np.ndarray, found: Mapping[str, Any], title: str
) -> dict[str, Any]:
    """Figures by file name: the confusion matrix, and the wrong answers if there are any."""
    matrix = plot.confusion_matrix(
        found["confusion"], title=f"{title}: {found['accuracy']:.2%} right"
    )
    wrong = draw_wrong(part.images, part.labels, probabilities, title)
    return {"confusion_matrix": matrix} | ({} if wrong is None else {"wrong": wrong})


def learning_curves(log: RunLog, parts: Mapping[str, Any]) -> Any | None:
    """Loss and accuracy of each part after each epoch, mean and range over the seeds."""
    epochs = [record for record in log.records if record["kind"] == "epoch"]
    if not epochs:
        return None
    figure, panels = plot.figure_with_panels(2)
    labels = {"loss": "Loss, mean and range over seeds", "accuracy": "Accuracy (%)"}
    for ax, (metric, ylabel) in zip(panels, labels.items(), strict=True):
        scale = 100 if metric == "accuracy" else 1
        values = {
            PART_NAMES.get(part, part): scale
            * np.array([record[f"{part}_{metric}"] for record in epochs], float).T
            for part in parts
        }
        numbers = [record["epoch"] for record in epochs]
        positive = metric == "loss" and all((v > 0).all() for v in values.values())
        xlabel = "Epoch" if metric == "accuracy" else ""
        plot.line_band(numbers, values, xlabel=xlabel, ylabel=ylabel, log_y=positive, ax=ax)
    return figure
