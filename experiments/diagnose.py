"""Diagnoses a run: what is wrong with it, how that shows, and what to do.

What:     reads what a run left in its folder (log, facts of the data, gradients, answers) and names
          causes as the course's guide does: is the training loss high, and is it the model or the
          optimisation; is the test loss high, and is it overfitting or a mismatch; or is it a fault
          of the data or the set-up.
Source:   course document 001; SOURCE is the folder of a run of experiments.classifier, complete,
          stopped or diverged.
Command:  python -m experiments.diagnose runs/classifier
Expected: experiments.practice.planted_faults measures how often it is right.

Every run of experiments.classifier ends with its diagnosis. In a notebook:
`jaxdl.diagnosis.diagnose_classifier(jaxdl.diagnosis.read_record("runs/classifier"))`.
"""

import dataclasses
from pathlib import Path
from typing import Any

from experiments.common import command_line, diagnosing
from experiments.common.config import Flags, option

THEME = "Practice"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiagnoseConfig(Flags):
    """Which run."""

    source: str = option(None, "the folder of a run", positional=True)


def run(config: DiagnoseConfig) -> dict[str, Any]:
    """Diagnoses the run, writes ``diagnosis.json`` into its folder and returns its content.

    Raises:
        UserError: anything the user can fix.
    """
    folder = Path(config.source)
    found = diagnosing.write_diagnosis(folder, diagnosing.diagnose_folder(folder))
    print(diagnosing.told(found))
    print(f"\nWritten to {folder / diagnosing.DIAGNOSIS}")
    return found


if __name__ == "__main__":
    command_line.main("diagnose", DiagnoseConfig, run, __doc__)
