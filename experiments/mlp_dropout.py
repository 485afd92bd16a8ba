"""Dropout in an MLP: does it help after one epoch?

What:     the course's dropout network (six layers 1000 wide, p = 0.1 before the ReLU of the last
          two) beside the same network without dropout and the 700-wide baseline.
Source:   course document 004, level 13.
Command:  python -m experiments.mlp_dropout                  five seeds, some minutes on two cores
          python -m experiments.mlp_dropout --preset quick   a minute or two
Expected: the course reports 91.23% with dropout against 88.01% for its baseline, from one run
          each, but changes the width together with dropout. The run in between separates the two
          effects.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.study import BASELINE, Course, Result, Run, StudyConfig, run_study
from jaxdl import data, optim
from jaxdl.models import MLP

THEME = "Regularisation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPDropoutConfig(StudyConfig):
    """The course's settings; the flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"seeds": 3, "epochs": 5, "max_steps": 200},
        "smoke": {"seeds": 2, "max_steps": 4, "width": 16, "wide": 24, "log_every": 1},
    }

    dropout: float = option(0.1, "share of activations set to zero", low=0, high=0.99)
    width: int = option(700, "width of the baseline's hidden layers", low=1, high=100_000)
    wide: int = option(1000, "width of the hidden layers with dropout", low=1, high=100_000)


def make_runs(config: MLPDropoutConfig, dataset: data.Dataset) -> Sequence[Run]:
    """The baseline, the wider network, and the wider network with dropout."""
    del dataset
    adam = optim.adam(config.learning_rate)
    wide = (config.wide,) * 6
    return [
        Run(BASELINE, MLP(hidden=(config.width,) * 6), adam, Course(0.4081, 0.8801)),
        Run("wide", MLP(hidden=wide), adam),
        Run("dropout", MLP(hidden=wide, dropout_rate=config.dropout), adam, Course(0.3748, 0.9123)),
    ]


def run(config: MLPDropoutConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    return run_study("mlp_dropout", config, make_runs)


if __name__ == "__main__":
    command_line.main("mlp_dropout", MLPDropoutConfig, run, __doc__)
