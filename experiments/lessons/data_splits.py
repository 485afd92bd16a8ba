"""Splitting data: hold-out, three parts, k folds, and why to stratify.

What:     the course's split of ten rows, draw for draw; training, validation and test parts; five
          folds; the class counts of a plain and of a stratified split of the embedded digits.
Source:   course document 004, level 11; course document 001 (cross-validation).
Command:  python -m experiments.lessons.data_splits     seconds
Expected: seed 666 puts rows 4 and 10 into the course's test part and leaves the data unchanged.
          The plain split gives some digits nearly twice as many test images as others; the
          stratified one gives every digit the same number.

The training part fits the weights, the validation part chooses between settings, and the test part
is used once, at the end. With k folds every sample is validated on once, which matters if there are
few of them.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import data, plot
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"
COURSE_SEED = 666


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSplitsConfig(Config):
    """The shares of the parts."""

    train: float = option(0.9, "share of the digits to train on", above=0, high=0.99)
    rows: int = option(20, "rows in the three-way and k-fold examples", low=5, high=1000)
    folds: int = option(5, "number k of folds", low=2, high=20)


def course_example() -> dict[str, list]:
    """The course's ten rows split at 0.8, and the rows again afterwards."""
    rows = [[i] for i in range(1, 11)]
    train, test = data.course_train_test_split(rows, 0.8, seed=COURSE_SEED)
    return {"train": train, "test": test, "original_afterwards": rows}


def split_key(config: DataSplitsConfig) -> jax.Array:
    """The key of every split here: they are independent examples, not parts of one experiment."""
    return stream(root_key(config.seed), Stream.SPLIT)


def three_parts(config: DataSplitsConfig) -> dict[str, list[int]]:
    """60/20/20: the rows of each part."""
    parts = data.three_way_split(config.rows, (0.6, 0.2, 0.2), key=split_key(config))
    names = ("training", "validation", "test")
    return {name: sorted(part.tolist()) for name, part in zip(names, parts, strict=True)}


def validation_folds(config: DataSplitsConfig) -> list[list[int]]:
    """The validation rows of each fold."""
    folds = data.k_fold(config.rows, config.folds, key=split_key(config))
    return [validation.tolist() for _, validation in folds]


def class_counts(config: DataSplitsConfig) -> dict[str, list[int]]:
    """Test images of each digit, in a plain and in a stratified split."""
    labels = data.load("mnist", source="embedded").labels
    key = split_key(config)
    _, plain = data.train_test_split(len(labels), config.train, key=key)
    _, even = data.stratified_train_test_split(labels, config.train, key=key)
    return {
        name: np.bincount(labels[test], minlength=10).tolist()
        for name, test in (("plain", plain), ("stratified", even))
    }


def draw(
    config: DataSplitsConfig, folds: list[list[int]], counts: dict[str, list[int]]
) -> dict[str, Any]:
    """The folds as a map, and the test images of each digit."""
    held_out = np.zeros((config.folds, config.rows))
    for fold, rows in enumerate(folds):
        held_out[fold, rows] = 1
    title = "Dark: validation; light: training"
    figure, (ax,) = plot.figure_with_panels(1, panel_height=2.6, title=title)
    ax.pcolormesh(held_out, cmap="Blues", vmin=-0.3, vmax=1.3, edgecolors="white", linewidth=1)
    ax.set(xlabel="Row", ylabel="Fold")
    ax.set_yticks(np.arange(config.folds) + 0.5, range(1, config.folds + 1))
    every = max(1, config.rows // 20)
    ax.set_xticks(np.arange(0, config.rows, every) + 0.5, range(0, config.rows, every))
    ax.invert_yaxis()
    ax.grid(visible=False)
    classes, panels = plot.figure_with_panels(len(counts), share_x=False)
    highest = max(map(max, counts.values()))
    for ax, (name, each) in zip(panels, counts.items(), strict=True):
        bars = {str(digit): count for digit, count in enumerate(each)}
        plot.bars(bars, ylabel="Test images", title=f"{name.capitalize()} split", ax=ax)
        ax.set_ylim(0, 1.15 * highest)
    panels[-1].set_xlabel("Digit")
    return {"folds": figure, "class_counts": classes}


def sentence(course: dict[str, list], counts: dict[str, list[int]]) -> str:
    """What the lesson has shown."""
    untouched = course["original_afterwards"] == [[i] for i in range(1, 11)]
    spread = {
        name: " to ".join(map(str, sorted({min(each), max(each)}))) for name, each in counts.items()
    }
    return (
        f"The course's split {'leaves' if untouched else 'changes'} its original. The plain split "
        f"gives a digit {spread['plain']} test images; the stratified one gives it "
        f"{spread['stratified']}."
    )


def run(config: DataSplitsConfig) -> lesson.Result:
    """Splits, prints the tables, draws, and writes the folder."""
    # Split before opening the folder, so that an impossible split leaves nothing behind.
    course, parts, folds = course_example(), three_parts(config), validation_folds(config)
    counts = class_counts(config)
    folder = lesson.begin("data_splits", config, __doc__)
    print(f"The course's split of ten rows at 0.8, seed {COURSE_SEED}:\n")
    rows = [(name.replace("_", " "), values) for name, values in course.items()]
    print(text_table(("part", "rows"), rows))

    print(f"\n{config.rows} rows at 60/20/20:\n")
    rows = [(name, len(part), " ".join(map(str, part))) for name, part in parts.items()]
    print(text_table(("part", "number", "rows"), rows))

    print(f"\n{config.folds} folds:\n")
    rows = [
        (i, config.rows - len(fold), len(fold), " ".join(map(str, fold)))
        for i, fold in enumerate(folds, start=1)
    ]
    print(text_table(("fold", "training", "validation", "validation rows"), rows))

    print(f"\nTest images of each digit, {config.train:g} of the embedded digits in training:\n")
    rows = [
        (name, *each, f"{min(each)} to {max(each)}", sum(each)) for name, each in counts.items()
    ]
    print(text_table(("split", *map(str, range(10)), "range", "all"), rows))
    summary = {"course": course, "parts": parts, "folds": folds, "class_counts": counts}
    summary["shown"] = sentence(course, counts)
    return lesson.finish(folder, summary, draw(config, folds, counts))


if __name__ == "__main__":
    command_line.main("lessons.data_splits", DataSplitsConfig, run, __doc__)
