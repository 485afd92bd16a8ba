"""The guide: from the symptom of a training to its cause and its remedies, as a flow chart.

What:     draws the chart, and names the program that shows each box.
Source:   course document 001.
Command:  python -m experiments.practice.guide     seconds
Expected: guide.png. experiments.diagnose walks through it with a run of yours.
"""

import dataclasses
from typing import Any, NamedTuple

from experiments.common import command_line, lesson
from experiments.common.config import Config
from experiments.common.table import text_table
from jaxdl.plot.style import axes_or_new, figure_of, styled

THEME = "Practice"


class Box(NamedTuple):
    """A box of the chart; ``x`` and ``y`` are its centre, in boxes from the top left."""

    x: float
    y: float
    kind: str
    title: str
    text: str = ""
    program: str = ""


QUESTION, CAUSE, END = "question", "cause", "end"
COLORS = {QUESTION: "#E8F0FA", CAUSE: "#FDF0E1", END: "#E6F4EA"}
BOXES = {
    "data": Box(
        1,
        0,
        QUESTION,
        "Data and set-up sound?",
        "labels, classes, repeated images,\nscaling, loss and output",
        "diagnose",
    ),
    "train": Box(1, 1, QUESTION, "Loss on training images?"),
    "larger": Box(0, 2, QUESTION, "A larger network's\ntraining loss?", "", "diagnose --probe"),
    "test": Box(2, 2, QUESTION, "Loss on test images?"),
    "held": Box(2, 3, QUESTION, "Loss on held-out images\nof the training part?"),
    "fault": Box(
        0,
        0,
        CAUSE,
        "A fault to mend first",
        "shuffled or wrong labels, leaks,\nimbalance, unscaled inputs",
        "practice.imbalance",
    ),
    "bias": Box(
        -0.5,
        4,
        CAUSE,
        "Model too small",
        "wider, deeper, more features,\nensemble",
        "practice.model_bias",
    ),
    "optimisation": Box(
        0.5,
        4,
        CAUSE,
        "Optimisation",
        "first weights, BatchNorm, residual,\nrate and schedule",
        "practice.optimisation",
    ),
    "overfitting": Box(
        1.5,
        4,
        CAUSE,
        "Overfitting",
        "more data, augmentation, L1, L2,\ndropout, early stopping",
        "practice.overfitting",
    ),
    "mismatch": Box(
        2.5,
        4,
        CAUSE,
        "Mismatch",
        "augmentation, few target labels,\ndomain-adversarial training",
        "practice.mismatch",
    ),
    "healthy": Box(3, 2, END, "Healthy", "choose by validation, test once", "cross_validation"),
}
ARROWS = [
    ("data", "fault", "no"),
    ("data", "train", "yes"),
    ("train", "larger", "high"),
    ("train", "test", "low"),
    ("larger", "bias", "lower"),
    ("larger", "optimisation", "not lower"),
    ("test", "healthy", "low"),
    ("test", "held", "high"),
    ("held", "overfitting", "high, too"),
    ("held", "mismatch", "low"),
]
WIDTH, HEIGHT = 0.88, 0.62  # of a box
APART = 1.16  # centres of neighbours in a row
LINE = 0.125  # height of a line of text
SIZE = 11, 7  # inches


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuideConfig(Config):
    """Nothing to choose."""


@styled
def draw() -> Any:
    """The chart as a figure."""
    from matplotlib.patches import FancyBboxPatch

    ax = axes_or_new(None, SIZE)
    for box in BOXES.values():
        corner = (box.x * APART - WIDTH / 2, -box.y - HEIGHT / 2)
        style = "round,pad=0.02,rounding_size=0.06"
        ax.add_patch(
            FancyBboxPatch(
                corner,
                WIDTH,
                HEIGHT,
                boxstyle=style,
                facecolor=COLORS[box.kind],
                edgecolor="#5F6B7A",
            )
        )
        _write(ax, box)
    for start, end, answer in ARROWS:
        _arrow(ax, BOXES[start], BOXES[end], answer)
    ax.set(xlim=(-0.5 * APART - 0.5, 3 * APART + 0.5), ylim=(-4.4, 0.4))
    ax.axis("off")
    return figure_of(ax)


def _write(ax: Any, box: Box) -> None:
    """Title, text and program, one below the other around the box's centre."""
    program = box.program and f"experiments.{box.program}"
    entries = [
        (box.title, {"weight": "bold", "size": 9}),
        (box.text, {"size": 7.5}),
        (program, {"size": 6.5, "family": "monospace", "color": "#1F4E8C"}),
    ]
    entries = [(text, look) for text, look in entries if text]
    lines = sum(text.count("\n") + 1 for text, _ in entries)
    y = -box.y + LINE * lines / 2
    for text, look in entries:
        height = LINE * (text.count("\n") + 1)
        ax.text(box.x * APART, y - height / 2, text, ha="center", va="center", **look)
        y -= height


def _arrow(ax: Any, start: Box, end: Box, answer: str) -> None:
    """An arrow from one box's edge to another's, with the answer beside it."""
    level = start.y == end.y
    side = 1 if end.x > start.x else -1
    half = (side * WIDTH / 2, 0) if level else (0, -HEIGHT / 2)
    begin = (start.x * APART + half[0], -start.y + half[1])
    tip = (end.x * APART - half[0], -end.y - half[1])
    ax.annotate(
        "",
        tip,
        begin,
        arrowprops={"arrowstyle": "-|>", "color": "#5F6B7A", "shrinkA": 3, "shrinkB": 3},
    )
    middle = ((begin[0] + tip[0]) / 2, (begin[1] + tip[1]) / 2)
    ax.text(
        *middle,
        answer,
        ha="center",
        va="center",
        size=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def run(config: GuideConfig) -> lesson.Result:
    """Draws the chart and prints what shows each box."""
    folder = lesson.begin("practice.guide", config)
    shown = {box.title.replace("\n", " "): box.program for box in BOXES.values() if box.program}
    print(text_table(("box", "python -m experiments."), list(shown.items())))
    summary = {"program": "practice.guide", "boxes": shown}
    return lesson.finish(folder, summary, {"guide": draw()})


if __name__ == "__main__":
    command_line.main("practice.guide", GuideConfig, run, __doc__)
