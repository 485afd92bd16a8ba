"""L2 and L1 regularisation of an MLP: does it help after one epoch?

What:     a six-layer MLP on MNIST: plain, with L2, and with L1, each from several seeds.
Source:   course document 004, level 9 (weight decay 0.002 in Adam: coupled L2, not AdamW).
Command:  python -m experiments.mlp_l2                  five seeds, about three minutes on two cores
          python -m experiments.mlp_l2 --preset quick   under a minute
Expected: the course reports 88.01% and 90.95% test accuracy from one run each. Single runs of this
          setup vary by more than that difference, so the table shows what several seeds say.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import optax

from experiments.common import command_line
from experiments.common.config import option
from experiments.common.study import BASELINE, Course, Result, Run, StudyConfig, run_study
from jaxdl import data, optim
from jaxdl.models import MLP

THEME = "Regularisation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPL2Config(StudyConfig):
    """The course's settings; the flags' help gives reasons and units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"seeds": 3, "epochs": 5, "max_steps": 300},
        "smoke": {"seeds": 2, "max_steps": 4, "width": 16, "log_every": 1},
    }

    weight_decay: float = option(0.002, "L2's coefficient λ: λ·w is added to the gradient", low=0)
    l1: float = option(1e-5, "L1's coefficient λ: λ·sign(w) is added to the gradient", low=0)
    width: int = option(700, "width of each of the six hidden layers", low=1, high=100_000)


def make_runs(config: MLPL2Config, dataset: data.Dataset) -> Sequence[Run]:
    """The three runs; they differ in what is added to the gradient."""
    del dataset
    model, rate = MLP(hidden=(config.width,) * 6), config.learning_rate
    sparse = optax.chain(optim.add_l1(config.l1), optim.adam(rate))
    return [
        Run(BASELINE, model, optim.adam(rate), Course(0.4081, 0.8801)),
        Run(
            "l2", model, optim.adam(rate, weight_decay=config.weight_decay), Course(0.3878, 0.9095)
        ),
        Run("l1", model, sparse),
    ]


def run(config: MLPL2Config) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run."""
    return run_study("mlp_l2", config, make_runs)


if __name__ == "__main__":
    command_line.main("mlp_l2", MLPL2Config, run, __doc__)
