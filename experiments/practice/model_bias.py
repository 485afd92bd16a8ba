"""Model bias: is the network too small? Width, depth, more features, an ensemble.

What:     a small MLP on MNIST beside a wider and a deeper one.
Source:   course document 001.
Command:  python -m experiments.practice.model_bias
Expected: a bigger model has the lower training loss.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.parts import make_parts
from experiments.common.practice import Practice, PracticeConfig, Result, run_practice
from experiments.common.study import Run
from jaxdl import data, optim
from jaxdl.models import MLP

THEME = "Practice"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelBiasConfig(PracticeConfig):
    """The flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"seeds": 3, "epochs": 5, "max_steps": 300},
        "smoke": {"seeds": 2, "max_steps": 4, "width": 4, "log_every": 1},
    }

    width: int = option(16, "width of the small network's hidden layer", low=1, high=1000)


def make_runs(config: ModelBiasConfig, dataset: data.Dataset) -> Sequence[Run]:
    """Networks of several sizes."""
    parts, adam = (
        make_parts(dataset, config.validation, config.seed),
        optim.adam(config.learning_rate),
    )
    sizes = {"small": (config.width,), "wide": (8 * config.width,), "deep": (config.width,) * 4}
    return [
        Run(name, MLP(hidden), adam, train=parts.train, evaluate_on=parts.evaluated)
        for name, hidden in sizes.items()
    ]


PRACTICE = Practice("model_bias", make_runs)


def run(config: ModelBiasConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    return run_practice(PRACTICE, config)


if __name__ == "__main__":
    command_line.main("practice.model_bias", ModelBiasConfig, run, __doc__)
