"""Steps under a microscope: repeat a run's steps and say what is the first not to be finite."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.distributed import parallel
from jaxdl.run.divergence import BadMetric, Inspection, first_bad_metric
from jaxdl.run.leaves import first_bad_leaf
from jaxdl.run.loop import RunSteps, Schedule
from jaxdl.run.microscope import first_not_finite

PyTree = Any


def replay(
    state: PyTree,
    start: int,
    end: int,
    inputs_for_epoch: Callable[[int], PyTree],
    schedule: Schedule,
    *,
    run_steps: RunSteps,
    step: parallel.StepFunction,
    devices: Sequence[jax.Device],
    inspection: Inspection,
    tell: Callable[[str], None],
) -> int | None:
    """Repeats steps one at a time, and looks at the whole state after each.

    The first step that leaves the finite numbers is done once more with every intermediate result
    looked at, to find the operation whose result is NaN or infinite.

    Args:
        state: the state after step ``start``, on one device.
        start: steps done.
        end: the last step to repeat.
        inputs_for_epoch: see ``fit``.
        schedule: the length of the run.
        run_steps: the run's own compiled steps, so that the numbers are the same to the last bit.
        step: the step, uncompiled.
        devices: this process's devices.
        inspection: what is known about the steps.
        tell: says a line.

    Returns:
        The first step after which something is not finite; None if all is.
    """
    after = parallel.replicate(jax.tree.map(jnp.copy, state), devices)
    for number in range(start + 1, end + 1):
        inputs = parallel.replicate(inputs_for_epoch(schedule.epoch_of(number)), devices)
        position = (number - 1) % schedule.steps_per_epoch
        before = jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0)), after)
        after, history = run_steps(after, inputs, position, 1)
        metric = first_bad_metric({n: np.asarray(h)[:1] for n, h in history.items()}, number)
        leaf = first_bad_leaf(parallel.unreplicate(after))
        if metric or leaf:
            members = bool(inspection.members)
            member = metric.member if metric else (leaf[1][0] if leaf and members else None)
            tell(_found(number, start, metric, leaf, inspection, member))
            alone = (jax.tree.map(jnp.asarray, before), parallel.unreplicate(inputs))
            if inspection.select and member is not None:
                alone = inspection.select(*alone, member)
            lines = _look_into(step, *alone, position)
            tell(f"In that step {'; '.join(lines) or 'every single result is finite'}.")
            return number
    tell(f"Steps {start + 1} to {end}, repeated: every metric and every leaf is finite.")
    return None


def _found(
    number: int,
    start: int,
    metric: BadMetric | None,
    leaf: tuple[str, tuple[int, ...]] | None,
    inspection: Inspection,
    member: int | None,
) -> str:
    where = f" of {inspection.members[member]}" if inspection.members and member is not None else ""
    seen = [f"{metric.name} is {metric.value}"] if metric else []
    seen += [f"the state's first leaf not finite is {leaf[0]}, at {list(leaf[1])}"] if leaf else []
    return f"Steps from {start} on, repeated: step {number}{where} is the first: {', '.join(seen)}."


def _look_into(
    step: parallel.StepFunction, state: PyTree, inputs: PyTree, position: int
) -> list[str]:
    def on_one_device(state: PyTree, inputs: PyTree, position: jax.Array) -> PyTree:
        return step(state, inputs, position, parallel.Shard())

    return first_not_finite(on_one_device, state, inputs, jnp.int32(position))
