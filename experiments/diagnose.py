"""Diagnoses a run: what is wrong with it, how that shows, and what to do.

What:     reads what a run left in its folder (log, facts of the data, gradients, answers) and names
          causes as the course's guide does: is the training loss high, and is it the model or the
          optimisation; is the test loss high, and is it overfitting or a mismatch; or is it a fault
          of the data or the set-up.
Source:   course document 001; SOURCE is the folder of a run of experiments.classifier or of
          experiments.dcgan, complete, stopped or diverged.
Command:  python -m experiments.diagnose runs/classifier
          python -m experiments.diagnose runs/classifier --probe --budget 120
Expected: experiments.practice.planted_faults measures how often it is right.

Where the log cannot decide between the model, the optimisation and the step size, --probe trains
siblings of the run (smaller, larger, two other rates) and scikit-learn's linear model and support
vector machine, and lets them decide.

Every run of experiments.classifier ends with its diagnosis. In a notebook:
`jaxdl.diagnosis.diagnose_classifier(jaxdl.diagnosis.read_record("runs/classifier"))`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from experiments.common import command_line, diagnosing, probing
from experiments.common.config import Flags, option
from jaxdl.distributed.compilation import enable_cache

THEME = "Practice"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiagnoseConfig(Flags):
    """Which run."""

    source: str = option(None, "the folder of a run", positional=True)
    probe: bool = option(False, "train siblings of a classifier's run to decide")
    budget: float = option(60.0, "seconds for --probe, about", above=0, high=1e6)


def run(config: DiagnoseConfig) -> dict[str, Any]:
    """Diagnoses the run, writes ``diagnosis.json`` into its folder and returns its content.

    Raises:
        UserError: anything the user can fix.
    """
    folder = Path(config.source)
    diagnosis = diagnosing.diagnose_folder(folder)
    if config.probe:
        enable_cache()
        siblings, decision = probing.probe(folder, config.budget)
        print(f"{probing.told(siblings)}\n")
        diagnosis = diagnosing.decided(diagnosis, decision)
    found = diagnosing.write_diagnosis(folder, diagnosis)
    print(diagnosing.told(found))
    print(f"\nWritten to {folder / diagnosing.DIAGNOSIS}")
    return found


if __name__ == "__main__":
    command_line.main("diagnose", DiagnoseConfig, run, __doc__)
