"""Repeats a run's steps to find the first non-finite value and the operation that produced it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError
from jaxdl.run.divergence import BadMetric, Inspection, first_bad_metric
from jaxdl.run.feed import open_feed
from jaxdl.run.loop import Progress, start_evaluator
from jaxdl.run.microscope import first_not_finite
from jaxdl.run.opening import compile_task, open_store, progress_of
from jaxdl.run.schedule import Point, Schedule
from jaxdl.run.task import RunOptions, Task
from jaxdl.training.leaves import first_bad_leaf

PyTree = Any


def replay(
    task: Task,
    schedule: Schedule,
    options: RunOptions,
    step: int,
) -> int | None:
    """Repeats steps from the newest earlier checkpoint up to the given step.

    Nothing is trained or written. The whole state is checked after each step. The first step that
    produces a non-finite value is repeated operation by operation, to find the one whose result is
    NaN or infinite. The findings go to ``options.reporter``, or are printed without one. Pass the
    run's own options, so that compilation gives the same numbers.

    Returns:
        The first step after which something is not finite, or None.

    Raises:
        ConfigError: the run has no such step.
        CheckpointError: every checkpoint before the step is damaged.
    """
    if not 1 <= step <= schedule.total_steps:
        raise ConfigError(
            f"step {step}: the run starts at step 1 and ends at step {schedule.total_steps}"
        )
    run_steps, devices = compile_task(task, options), options.local_devices
    state, progress = _start_before(task, schedule, options, step)
    start, evaluator = progress.step, task.evaluator
    start_evaluator(task, progress)
    after = parallel.replicate(parallel.copied(state), devices)
    tell = options.reporter.message if options.reporter else print
    inspection = task.inspection
    for number in range(start + 1, step + 1):
        if number == start + 1 or schedule.position_of(number) == 0:
            epoch_inputs = task.inputs_for_epoch(schedule.epoch_of(number))
            feed = open_feed(epoch_inputs, schedule.steps_per_epoch, devices)
        position = schedule.position_of(number)
        inputs, _ = feed.at(position)
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
            tell(f"In that step {'; '.join(lines) or 'every intermediate result is finite'}.")
            return number
        if evaluator and (point := Point(schedule.epoch_of(number), number, schedule)).ends_epoch:
            after, _, _ = evaluator(point, after)
    tell(f"Repeated steps {start + 1} to {step}: every metric and every leaf is finite.")
    return None


def _start_before(
    task: Task, schedule: Schedule, options: RunOptions, step: int
) -> tuple[PyTree, Progress]:
    with open_store(options, schedule) as store:
        found = store.find_sound(before=step) if store else None
        if store is None or found is None:
            return task.state, Progress()
        state, meta = store.restore(task.state, before=step)
        return state, progress_of(meta, store, found)


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
    seen += [f"the state's first non-finite leaf is {leaf[0]}, at {list(leaf[1])}"] if leaf else []
    return f"Repeated the steps from {start}: step {number}{where} is the first: {', '.join(seen)}."


def _look_into(
    step: parallel.StepFunction, state: PyTree, inputs: PyTree, position: int
) -> list[str]:
    def on_one_device(state: PyTree, inputs: PyTree, position: jax.Array) -> PyTree:
        return step(state, inputs, position, parallel.Shard())

    return first_not_finite(on_one_device, state, inputs, jnp.int32(position))
