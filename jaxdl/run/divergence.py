"""Detects and describes non-finite metrics and states.

The loop checks metrics as it reads them, a chunk of steps at a time, and the state before each
save, so no step waits for the device. Steps are reproducible: ``run.replay`` can repeat the
reported one and inspect every operation.
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
    """What a divergence report needs to know about a task's steps.

    Attributes:
        batch: ``batch(inputs, position)`` returns the indices of the examples used at a position of
            the epoch, (B,) or (members, B).
        members: names along the leading axis of metrics and state leaves when several networks
            train together; empty for one network.
        select: ``select(state, inputs, i)`` returns the i-th member's state and inputs.
    """

    batch: Callable[[PyTree, int], Any] | None = None
    members: Sequence[str] = ()
    select: Callable[[PyTree, PyTree, int], tuple[PyTree, PyTree]] | None = None


class BadMetric(NamedTuple):
    """A non-finite metric value; ``member`` is None for a single network."""

    step: int
    name: str
    value: float
    member: int | None


class NonFiniteError(TrainingError):
    """Raised inside the loop; ``fit`` turns it into a :class:`DivergenceError` with more context.

    ``metric`` is None if only the state is non-finite. ``state`` is the state after ``step`` or
    after its chunk of steps, ``inputs`` are that epoch's.
    """

    def __init__(
        self, step: int, metric: BadMetric | None, state: PyTree, inputs: PyTree = None
    ) -> None:
        super().__init__(f"not finite at step {step}")
        self.step, self.metric, self.state, self.inputs = step, metric, state, inputs


def first_bad_metric(
    metrics: Mapping[str, np.ndarray], first_step: int, done: np.ndarray | bool = True
) -> BadMetric | None:
    """Finds the first NaN or infinite value, or returns None.

    Args:
        metrics: arrays (steps,) or (steps, members).
        first_step: the step number of the first row.
        done: (steps,) or (steps, members), False where a value does not count because a network
            has stopped.

    Example:
        >>> first_bad_metric({"loss": np.array([0.5, np.inf, np.nan])}, first_step=11)
        BadMetric(step=12, name='loss', value=inf, member=None)
    """
    found = []
    for order, (name, values) in enumerate(metrics.items()):
        ran = np.reshape(done, np.shape(done) + (1,) * (values.ndim - np.ndim(done)))
        bad = np.argwhere(~np.isfinite(values) & ran)
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
    """A message for the user, and the facts for ``divergence.json``.

    ``run`` is the run's name in its folder; ``saved`` is the newest checkpoint's step.
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
    """Whether the folder's ``divergence.json`` is about this run; True if there is no such file."""
    path = Path(folder) / REPORT
    if not path.exists():
        return True
    try:
        return json.loads(path.read_text())["run"] == run
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise WorkdirError(f"{path} cannot be read ({error}); remove it") from error


def batch_of(inspection: Inspection, inputs: PyTree, position: int, member: int | None) -> Any:
    """The indices of a step's examples as a list; with several members, those of the given one."""
    if inspection.batch is None:
        return None
    indices = np.asarray(inspection.batch(inputs, position))
    return (indices if member is None or indices.ndim == 1 else indices[member]).tolist()
