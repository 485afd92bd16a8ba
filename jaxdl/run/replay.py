"""Steps under a microscope: repeat a run's steps and say what is the first not to be finite."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError
from jaxdl.run.divergence import BadMetric, Inspection, first_bad_metric
from jaxdl.run.microscope import first_not_finite
from jaxdl.run.opening import compile_task, open_store, progress_of
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import RunOptions, Task
from jaxdl.training.leaves import first_bad_leaf

PyTree = Any


def replay(
    task: Task,
    schedule: Schedule,
    options: RunOptions,
    step: int,
) -> int | None:
    """Repeats a run's steps from its newest checkpoint before a step up to that step.

    Nothing is trained or written. After each step the whole state is looked at. The first step
    that leaves the finite numbers is done once more with every intermediate result looked at, to
    find the operation whose result is NaN or infinite. What was found is printed, or goes to
    ``options.reporter``.

    Args:
        task: what was trained.
        schedule: how long.
        options: the run's own, so that the steps are compiled to the same numbers.
        step: the last step to repeat.

    Returns:
        The first step after which something is not finite; None if all is.

    Raises:
        ConfigError: the run has no such step.
        CheckpointError: no checkpoint before the step is sound.
    """
    if step > schedule.total_steps:
        raise ConfigError(f"step {step}: the run ends at step {schedule.total_steps}")
    run_steps, devices = compile_task(task, options), options.local_devices
    state, start = _start_before(task, schedule, options, step)
    after = parallel.replicate(jax.tree.map(jnp.copy, state), devices)
    tell = options.reporter.message if options.reporter else print
    inspection = task.inspection
    for number in range(start + 1, step + 1):
        inputs = parallel.replicate(task.inputs_for_epoch(schedule.epoch_of(number)), devices)
        position = schedule.position_of(number)
        before = jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0)), after)
        after, history = run_steps(after, inputs, position, 1)
        seen = jax.tree.map(lambda leaf: np.asarray(leaf)[:1], history)
        metric = first_bad_metric(seen.values, number, seen.done)
        leaf = first_bad_leaf(parallel.unreplicate(after))
        if metric or leaf:
            member = _member(metric, leaf, inspection)
            tell(_found(number, start, metric, leaf, _name(inspection, member)))
            alone = (jax.tree.map(jnp.asarray, before), parallel.unreplicate(inputs))
            if inspection.select and member is not None:
                alone = inspection.select(*alone, member)
            lines = _look_into(task.step, *alone, position)
            tell(f"In that step {'; '.join(lines) or 'every single result is finite'}.")
            return number
    tell(f"Steps {start + 1} to {step}, repeated: every metric and every leaf is finite.")
    return None


def _start_before(
    task: Task, schedule: Schedule, options: RunOptions, step: int
) -> tuple[PyTree, int]:
    """The state of the newest checkpoint before a step and its step, or the initial state."""
    with open_store(options, schedule) as store:
        found = store.find_sound(before=step) if store else None
        if store is None or found is None:
            return task.state, 0
        state, meta = store.restore(task.state, before=step)
        return state, progress_of(meta, store, found).step


def _member(
    metric: BadMetric | None, leaf: tuple[str, tuple[int, ...]] | None, inspection: Inspection
) -> int | None:
    if metric:
        return metric.member
    return leaf[1][0] if leaf and inspection.members else None


def _name(inspection: Inspection, member: int | None) -> str:
    return f" of {inspection.members[member]}" if inspection.members and member is not None else ""


def _found(
    number: int,
    start: int,
    metric: BadMetric | None,
    leaf: tuple[str, tuple[int, ...]] | None,
    where: str,
) -> str:
    seen = [f"{metric.name} is {metric.value}"] if metric else []
    seen += [f"the state's first leaf not finite is {leaf[0]}, at {list(leaf[1])}"] if leaf else []
    return f"Steps from {start} on, repeated: step {number}{where} is the first: {', '.join(seen)}."


def _look_into(
    step: parallel.StepFunction, state: PyTree, inputs: PyTree, position: int
) -> list[str]:
    def on_one_device(state: PyTree, inputs: PyTree, position: jax.Array) -> PyTree:
        return step(state, inputs, position, parallel.Shard())

    return first_not_finite(on_one_device, state, inputs, jnp.int32(position))
