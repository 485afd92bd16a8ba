"""``fit``: runs a task from its start or newest checkpoint to the end of its schedule."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxdl.distributed import parallel
from jaxdl.distributed.agreement import gather
from jaxdl.errors import CheckpointError, DivergenceError, WorkdirError
from jaxdl.files import to_json, write_atomically
from jaxdl.run import divergence
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.divergence import NonFiniteError
from jaxdl.run.feed import Feed, open_feed
from jaxdl.run.log import RunLog
from jaxdl.run.loop import Progress, Training
from jaxdl.run.opening import checkpoint_folder, compile_task, log_path, open_store, progress_of
from jaxdl.run.progress import UntilStopped, default_reporter
from jaxdl.run.saving import SavePolicy
from jaxdl.run.schedule import Schedule
from jaxdl.run.signals import StopSignals, signal_name
from jaxdl.run.task import Best, RunOptions, Task
from jaxdl.training.reprs import short_repr

PyTree = Any

NONE_THERE, NONE_SOUND = -1, -2  # sent between processes in place of a checkpoint's step


class Fitted(NamedTuple):
    """The result of a run.

    Attributes:
        state: the final state, on one device.
        progress: steps done and training seconds, over all sessions.
        compile_seconds: time this session spent compiling.
        best: the best score of ``options.monitor``, and the step of the checkpoint that has it.
        resumed_from: the step this session continued from, None for a fresh start.
        stopped_by: the number of the signal that stopped the run, None if it finished.
    """

    state: PyTree
    log: RunLog
    progress: Progress
    compile_seconds: float
    resumed_from: int | None
    stopped_by: int | None = None
    best: Best | None = None

    __repr__ = short_repr


def fit(task: Task, schedule: Schedule, options: RunOptions = RunOptions()) -> Fitted:  # noqa: B008
    """Trains a task, data-parallel over the devices, with log and checkpoints in a folder.

    On SIGTERM or Ctrl-C it finishes the current chunk of steps, saves a checkpoint and returns.
    Checkpoint frequency, preemptions and restarts do not change a single bit of the results.

    Returns:
        The state, log and progress, at the end of the schedule or where a signal stopped the run.

    Raises:
        DivergenceError: a metric, gradient or state is no longer finite. The last finite
            checkpoint is kept, and ``divergence.json`` in the folder describes the failure.
        CheckpointError: no checkpoint is intact, they belong to another network or configuration,
            or saving failed.
        WorkdirError: another process is using the folder, or the processes see different folders.

    Example:
        >>> import jax.numpy as jnp
        >>> def step(state, inputs, position, shard):
        ...     return state * inputs, {"value": state}
        >>> halve = Task(step, jnp.float32(8), lambda epoch: jnp.float32(0.5))
        >>> fitted = fit(halve, Schedule(2, 2, None, 1))
        >>> float(fitted.state), fitted.log.series("value")[1]
        (0.5, [8.0, 4.0, 2.0, 1.0])
    """
    with contextlib.closing(default_reporter()) as reporter:
        return _fit(
            task, schedule, dataclasses.replace(options, reporter=options.reporter or reporter)
        )


def best_state(fitted: Fitted, options: RunOptions) -> tuple[PyTree, int]:
    """The state with the best score of ``options.monitor``, and its step.

    It is read from its checkpoint. The final state stands in for it if no score was kept, the run
    has no folder, or that checkpoint is damaged; then ``options.reporter`` says so.
    """
    last = fitted.state, fitted.progress.step
    if fitted.best is None or options.folder is None or fitted.best.step == fitted.progress.step:
        return last
    store = CheckpointStore(checkpoint_folder(options), identity=options.identity, write=False)
    step = fitted.best.step
    try:
        if store.find_sound(before=step + 1) == step:
            return store.restore(fitted.state, before=step + 1)[0], step
        problem = f"the checkpoint of step {step} is damaged or missing"
    except CheckpointError as error:
        problem = str(error)
    if options.reporter:
        options.reporter.message(
            f"Warning: the best state is lost, the final one is used: {problem}."
        )
    return last


def _fit(task: Task, schedule: Schedule, options: RunOptions) -> Fitted:
    devices = options.local_devices
    run_steps = compile_task(task, options)
    with open_store(options, schedule) as store:
        state, start = _restore(store, task.state, options)
        if 0 < start.step < schedule.total_steps and not start.stopped:
            options.reporter.message(
                f"Continuing after step {start.step} of {schedule.total_steps}"
            )
        log = RunLog(log_path(options), start.step, options.name, write=jax.process_index() == 0)
        with StopSignals() as signals:
            options = dataclasses.replace(options, reporter=UntilStopped(options.reporter, signals))
            saved = start.step or None
            policy = SavePolicy(
                store, signals, options.save_every_steps, options.save_every_seconds, saved
            )

            def feed_for_epoch(epoch: int) -> Feed:
                return open_feed(task.inputs_for_epoch(epoch), schedule.steps_per_epoch, devices)

            training = Training(task, schedule, options, run_steps, feed_for_epoch, log, start)
            training.state = parallel.replicate(parallel.copied(state), devices)
            try:
                training.run(policy)
            except NonFiniteError as error:
                raise _diverged(error, task, schedule, options, policy.saved) from None
            policy.wants_pause()  # a signal may have arrived after the last step
    if policy.stop:
        options.reporter.message(_stopped(policy.stop, training.step, options))
    return Fitted(
        parallel.unreplicate(training.state),
        log,
        training.progress,
        training.compile_seconds,
        start.step or None,
        policy.stop or None,
        training.best,
    )


def _restore(
    store: CheckpointStore | None, state: PyTree, options: RunOptions
) -> tuple[PyTree, Progress]:
    if store is None or (step := _common_step(store)) is None:
        return state, Progress()
    state, meta = store.restore(state)
    for notice in store.notices:
        options.reporter.message(notice)
    return state, progress_of(meta, store, step)


def _common_step(store: CheckpointStore) -> int | None:
    """The step of the newest undamaged checkpoint, on which all processes must agree."""
    step, problem = NONE_THERE, None
    for turn in (True, False):  # the writing process tidies up before the others look
        if store.write is turn:
            try:
                found = store.find_sound()
                step = NONE_THERE if found is None else found
            except CheckpointError as error:
                step, problem = NONE_SOUND, error
        steps = gather([step])[:, 0].tolist()
    if problem:
        raise problem
    if NONE_SOUND in steps:
        raise CheckpointError(f"process {steps.index(NONE_SOUND)} found no sound checkpoint")
    if len(set(steps)) > 1:
        raise WorkdirError(
            f"the processes see different checkpoints in {store.folder} (steps {steps}, "
            f"{NONE_THERE} for none): give them a shared folder"
        )
    return None if step == NONE_THERE else step


def _diverged(
    error: NonFiniteError, task: Task, schedule: Schedule, options: RunOptions, saved: int | None
) -> DivergenceError:
    message, facts = divergence.describe(error, task.inspection, options.name, saved)
    position = schedule.position_of(error.step)
    member = error.metric.member if error.metric else None
    facts["epoch"] = schedule.epoch_of(error.step)
    if error.inputs is not None:
        facts["batch"] = divergence.batch_of(task.inspection, error.inputs, position, member)
    if options.folder is not None and jax.process_index() == 0:
        write_atomically(Path(options.folder) / divergence.REPORT, to_json(facts) + "\n")
    return DivergenceError(message, error.step)


def _stopped(number: int, step: int, options: RunOptions) -> str:
    text = f"Stopped by {signal_name(number)} after step {step}"
    return text + ("." if options.folder is None else ": saved; start it again to continue")
