"""When training leaves the finite numbers: find it, stop, and say where it began.

The metrics of every step are looked at when they are read anyway, a chunk at a time, and the
whole state before it is saved: nothing waits for the device at each step. What is found names a
step, and since training is exact, ``training.replay`` can do that step again under a microscope.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdl.errors import TrainingError, WorkdirError
from jaxdl.training.leaves import first_bad_leaf

PyTree = Any
REPORT = "divergence.json"


class Inspection(NamedTuple):
    """What a report of a divergence has to know about a step.

    Attributes:
        batch: ``batch(inputs, position)``, the indices of the examples that the step at a
            position of the epoch uses: (B,), or (members, B).
        members: names along the leading axis of the metrics and of the state's leaves, where
            several networks train at once; empty for a single one.
        select: ``select(state, inputs, i)``, the i-th member's state and inputs.
    """

    batch: Callable[[PyTree, int], Any] | None = None
    members: Sequence[str] = ()
    select: Callable[[PyTree, PyTree, int], tuple[PyTree, PyTree]] | None = None


class BadMetric(NamedTuple):
    """A metric that is not finite: its step, name, value, and member (None for a single one)."""

    step: int
    name: str
    value: float
    member: int | None


class NonFiniteError(TrainingError):
    """Raised inside the loop; ``fit`` adds what it knows and raises a :class:`DivergenceError`.

    Attributes:
        step: the step at which it was seen.
        metric: the metric in which it was seen, None if in the state.
        state: the state after the chunk of steps, or after that step.
        inputs: the inputs of the step's epoch.
    """

    def __init__(
        self, step: int, metric: BadMetric | None, state: PyTree, inputs: PyTree = None
    ) -> None:
        super().__init__(f"not finite at step {step}")
        self.step, self.metric, self.state, self.inputs = step, metric, state, inputs


def first_bad_metric(
    metrics: Mapping[str, np.ndarray], first_step: int, done: np.ndarray | bool = True
) -> BadMetric | None:
    """The first value that is NaN or infinite.

    Args:
        metrics: arrays (steps,) or (steps, members).
        first_step: the number of their first step.
        done: (steps,) or (steps, members), which values count; a network that has been stopped
            does no steps.

    Returns:
        What and where; None if all is finite.

    Example:
        >>> first_bad_metric({"loss": np.array([0.5, np.inf, np.nan])}, first_step=11)
        BadMetric(step=12, name='loss', value=inf, member=None)
    """
    found = []
    for order, (name, values) in enumerate(metrics.items()):
        bad = np.argwhere(~np.isfinite(values) & done)
        if len(bad):
            place = tuple(bad[0])
            member = int(place[1]) if len(place) > 1 else None
            found.append(
                (
                    place[0],
                    order,
                    BadMetric(first_step + int(place[0]), name, values[place], member),
                )
            )
    if not found:
        return None
    worst = min(found, key=lambda entry: entry[:2])[2]
    return worst._replace(value=float(worst.value))


def describe(
    error: NonFiniteError, inspection: Inspection, run: str | None, saved: int | None
) -> tuple[str, dict[str, Any]]:
    """A message for the person, and the facts for ``divergence.json``.

    Args:
        error: what the loop saw.
        inspection: what is known about the steps.
        run: the run's name in its folder.
        saved: the step of the newest checkpoint, None if there is none.
    """
    leaf = first_bad_leaf(error.state)
    member = error.metric.member if error.metric else None
    if member is None and leaf and inspection.members:
        member = leaf[1][0]
    facts = {
        "run": run,
        "step": error.step,
        "metric": error.metric.name if error.metric else None,
        "value": str(error.metric.value) if error.metric else None,
        "leaf": leaf[0] if leaf else None,
        "member": inspection.members[member] if inspection.members else None,
        "newest_checkpoint": saved,
    }
    return _message(facts), facts


def _message(facts: Mapping[str, Any]) -> str:
    where = "".join(f" of {facts[name]}" for name in ("member", "run") if facts[name])
    leaf = facts["leaf"]
    if facts["metric"]:
        what = f"{facts['metric']}{where} is {facts['value']} at step {facts['step']}"
        what += f"; the first leaf of the state that is not finite is {leaf}" if leaf else ""
    else:
        what = f"{leaf}{where} is not finite after step {facts['step']}"
    kept = "no checkpoint was saved"
    if facts["newest_checkpoint"] is not None:
        kept = f"the checkpoint of step {facts['newest_checkpoint']}, which is finite, is kept"
    return (
        f"the run has diverged: {what}; {kept}. A smaller learning rate may help; a replay of "
        f"step {facts['step']} shows where it begins"
    )


def concerns(folder: str | os.PathLike, run: str | None) -> bool:
    """Whether the folder's ``divergence.json`` is about a run; True where there is none.

    Raises:
        WorkdirError: the file is damaged.
    """
    path = Path(folder) / REPORT
    if not path.exists():
        return True
    try:
        return json.loads(path.read_text())["run"] == run
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise WorkdirError(f"{path} cannot be read ({error}); remove it") from error


def batch_of(inspection: Inspection, inputs: PyTree, position: int, member: int | None) -> Any:
    """The indices of a step's examples as a list, the member's own where there are several."""
    if inspection.batch is None:
        return None
    indices = np.asarray(inspection.batch(inputs, position))
    return (indices if member is None or indices.ndim == 1 else indices[member]).tolist()
