"""Perceptron: what one neuron can learn, and why XOR needs two layers.

What:     M-P neurons for OR and AND, the perceptron learning rule on OR, AND and XOR, and XOR
          from two layers of neurons.
Source:   course document 004, level 4.
Command:  python -m experiments.lessons.perceptron     seconds
Expected: the rule learns OR and AND in 4 and 6 epochs; on XOR it cycles.

No single neuron computes XOR. It would have to be silent for (0, 0) and (1, 1) and fire for the
other two inputs:

    b ≤ 0,   w₁ + w₂ + b ≤ 0,   w₁ + b > 0,   w₂ + b > 0.

The first two add up to w₁ + w₂ + 2b ≤ 0, the last two to w₁ + w₂ + 2b > 0: a contradiction.
"""

import dataclasses
from typing import Any

import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import Config, option
from experiments.common.table import text_table
from jaxdl import plot
from jaxdl.exercises import perceptron
from jaxdl.exercises.perceptron import AND, OR, XOR_LAYERS, PerceptronFit, fit_perceptron

THEME = "Building blocks"

INPUTS = np.array(perceptron.TRUTH_TABLE_INPUTS)
TARGETS = {
    "OR": np.array([0, 1, 1, 1]),
    "AND": np.array([0, 0, 0, 1]),
    "XOR": np.array([0, 1, 1, 0]),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerceptronConfig(Config):
    """Settings of the learning rule."""

    max_epochs: int = option(15, "passes after which the rule gives up", low=1, high=200)
    learning_rate: float = option(1.0, "how far each mistake moves the weights", above=0)


def learn(targets: np.ndarray, config: PerceptronConfig) -> list[PerceptronFit]:
    """The neuron after one epoch, after two, …, until it makes no mistakes or the rule gives up."""
    fits = []
    for epochs in range(1, config.max_epochs + 1):
        fits.append(fit_perceptron(INPUTS, targets, config.learning_rate, epochs))
        if fits[-1].converged:
            break
    return fits


def first_repetition(fits: list[PerceptronFit]) -> tuple[int, int] | None:
    """The first two epochs (from 1) that end with equal weights, None if there are none.

    The rule is deterministic, so from there on it repeats itself.
    """
    seen: dict[tuple[float, ...], int] = {}
    for epoch, fit in enumerate(fits, start=1):
        state = (*np.asarray(fit.weights).tolist(), float(fit.bias))
        if state in seen:
            return seen[state], epoch
        seen[state] = epoch
    return None


def truth_table() -> dict[str, list[int]]:
    """Outputs of the course's neurons for the four inputs."""
    answers = {
        "OR": perceptron.neuron(INPUTS, *OR),
        "AND": perceptron.neuron(INPUTS, *AND),
        "XOR, two layers": perceptron.layered_neurons(INPUTS, XOR_LAYERS)[:, 0],
    }
    return {name: np.asarray(values).tolist() for name, values in answers.items()}


def draw(last: dict[str, PerceptronFit]) -> Any:
    """The course's and the learned lines, the two lines of XOR's hidden layer, the mistakes."""
    figure, panels = plot.figure_with_panels(
        *(2, 2), share_x=False, panel_height=3.4, title="A neuron fires beyond its line, not on it"
    )
    course = {"OR": OR, "AND": AND}
    for ax, name in zip(panels[:2], course, strict=True):
        lines = {"course": course[name], "learned": (last[name].weights, last[name].bias)}
        plot.decision_lines(INPUTS, TARGETS[name], lines, title=name, ax=ax)
    plot.decision_lines(
        INPUTS, TARGETS["XOR"], {"OR": OR, "AND": AND}, title="XOR: OR and not AND", ax=panels[2]
    )
    longest = max(len(fit.mistakes) for fit in last.values())
    mistakes = {
        name: fit.mistakes + [np.nan] * (longest - len(fit.mistakes)) for name, fit in last.items()
    }
    plot.curves(
        np.arange(1, longest + 1),
        mistakes,
        xlabel="Epoch",
        ylabel="Mistakes on the 4 inputs",
        title="The learning rule",
        ax=panels[3],
    )
    panels[3].set_yticks(range(len(INPUTS) + 1))
    return figure


def shown(table: dict[str, list[int]], last: dict[str, PerceptronFit]) -> str:
    """What the lesson has shown, from its numbers."""
    learned = [
        f"{name} in {len(fit.mistakes)} epochs" for name, fit in last.items() if fit.converged
    ]
    failed = [name for name, fit in last.items() if not fit.converged]
    right = table["XOR, two layers"] == TARGETS["XOR"].tolist()
    return (
        f"One neuron has learned {' and '.join(learned) or 'nothing'}, and not "
        f"{' or '.join(failed) or 'one of them less'}: no line has (0, 1) and (1, 0) on one side "
        "and (0, 0) and (1, 1) on the other. Two layers, OR and not AND, are "
        f"{'right' if right else 'wrong'} on all four inputs of XOR."
    )


def run(config: PerceptronConfig) -> lesson.Result:
    """Prints the truth tables, learns, draws, and writes the folder."""
    folder = lesson.begin("perceptron", config, __doc__)
    table = truth_table()
    print("Neurons with the course's weights:\n")
    print(
        text_table(
            ("x1", "x2", *table), list(zip(*INPUTS.T.tolist(), *table.values(), strict=True))
        )
    )

    fits = {name: learn(targets, config) for name, targets in TARGETS.items()}
    last = {name: history[-1] for name, history in fits.items()}
    print("\nThe perceptron learning rule, from zero weights:\n")
    rows = [
        (
            name,
            "yes" if fit.converged else "no",
            len(fit.mistakes),
            " ".join(map(str, fit.mistakes)),
        )
        for name, fit in last.items()
    ]
    print(text_table(("function", "learned", "epochs", "mistakes in each epoch"), rows))

    cycle = first_repetition(fits["XOR"])
    if cycle:
        print(
            f"\nXOR: after epoch {cycle[1]} the weights are those after epoch {cycle[0]}, so the "
            "rule repeats itself."
        )
    summary = {
        "truth_table": table,
        "learned": {
            name: {
                "weights": np.asarray(fit.weights).tolist(),
                "bias": float(fit.bias),
                "mistakes": fit.mistakes,
                "converged": fit.converged,
            }
            for name, fit in last.items()
        },
        "xor_repeats_epochs": cycle,
        "shown": shown(table, last),
    }
    return lesson.finish(folder, summary, {"perceptron": draw(last)})


if __name__ == "__main__":
    command_line.main("lessons.perceptron", PerceptronConfig, run, __doc__)
