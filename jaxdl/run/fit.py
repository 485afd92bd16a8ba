"""One run from start, or from its newest checkpoint, to the end of its schedule."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.distributed import parallel
from jaxdl.distributed.agreement import gather
from jaxdl.distributed.virtual_shards import with_virtual_shards
from jaxdl.errors import CheckpointError, ConfigError, TrainingError, WorkdirError
from jaxdl.files import to_json, write_atomically
from jaxdl.run import divergence
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.divergence import Inspection, NonFiniteError
from jaxdl.run.lock import run_lock
from jaxdl.run.log import RunLog
from jaxdl.run.loop import Hook, Judge, Outcome, Progress, Reporter, Schedule, Watch, train
from jaxdl.run.progress import Silent
from jaxdl.run.replay import replay
from jaxdl.run.save_policy import Keeper
from jaxdl.run.signals import STATUS_BASE, StopSignals, signal_name

PyTree = Any

LONGEST_CHUNK = 100
NONE_THERE, NONE_SOUND = -1, -2  # how processes tell each other of their newest checkpoint


class Fitted(NamedTuple):
    """What a run leaves in memory.

    Attributes:
        state: the final state, on one device.
        log: every logged step and epoch.
        progress: steps done and training seconds over all sessions.
        compile_seconds: time this session spent compiling the steps.
        resumed_from: the step this session continued from, None for a fresh start.
        exit_status: None if the schedule is done. A session that ended before has the status that
            its program ends with: 128 plus the signal that stopped it (130 for Ctrl-C, 143 for
            SIGTERM), or 0 after steps were repeated for ``debug_step``.
    """

    state: PyTree
    log: RunLog
    progress: Progress
    compile_seconds: float
    resumed_from: int | None
    exit_status: int | None = None


def fit(
    step: parallel.StepFunction,
    state: PyTree,
    inputs_for_epoch: Callable[[int], PyTree],
    schedule: Schedule,
    *,
    devices: Sequence[jax.Device] | None = None,
    folder: str | os.PathLike | None = None,
    hooks: Sequence[Hook] = (),
    reporter: Reporter | None = None,
    keep_every_epochs: int = 0,
    save_every_steps: int | None = None,
    save_every_seconds: float | None = None,
    log_every: int = 1,
    judge: Judge | None = None,
    watch: Watch | None = None,
    name: str | None = None,
    identity: Mapping[str, Any] | None = None,
    wrap: Callable[[parallel.Loop], parallel.Loop] | None = None,
    virtual_shards: int | None = None,
    inspection: Inspection = Inspection(),  # noqa: B008 - immutable
    debug_step: int | None = None,
) -> Fitted:
    """Trains a state, data-parallel over the devices, with log and checkpoints in a folder.

    SIGTERM or Ctrl-C ends it after the chunk of steps under way, with a checkpoint; what was
    reached is returned. When and how often it saves, and how often it is stopped, killed and
    started again, changes no bit of what comes out.

    Args:
        step: see ``parallel.compile_steps``.
        state: the initial state, on one device; it is left as it is.
        inputs_for_epoch: the steps' inputs for an epoch (from 1), on one device or on the host.
            What is the same array each time is copied to the devices once.
        schedule: the length of the run.
        devices: this process's devices; None for the first one.
        folder: where ``metrics.jsonl`` and ``checkpoints/`` are; an earlier run there is
            continued. None keeps everything in memory.
        hooks: called at boundaries, with the state on one device.
        reporter: shows progress.
        keep_every_epochs: keep each checkpoint at a multiple of this, beside the newest.
        save_every_steps: save at multiples of this, beside each epoch's end.
        save_every_seconds: also save when so much time has passed since the last one.
        log_every: steps between logged steps.
        judge: judges each epoch, see ``loop.Judge``.
        watch: gives the warnings that an epoch's record deserves.
        name: tells this run from others in the same folder: its records carry it as ``run``,
            its checkpoints are in ``checkpoints/NAME``.
        identity: plain values that a checkpoint must have been saved with to be continued from.
        wrap: changes the loop of steps before it is compiled, see ``parallel.compile_steps``.
        virtual_shards: cut each batch into so many, for the same bits on 1, 2, 4 … as many devices,
            see :mod:`jaxdl.distributed.virtual_shards`.
        inspection: what the report of a divergence has to know about a step.
        debug_step: train nothing; repeat the steps from the newest checkpoint before this one up
            to it, and say what is not finite first. Where ``divergence.json`` is about another
            run in the folder, this one is only read.

    Returns:
        The state, log and progress at the end of the schedule, or where it was stopped.

    Raises:
        TrainingError: a metric, a gradient or the state is no longer finite. The last good
            checkpoint is kept, and ``divergence.json`` in the folder says what happened.
        CheckpointError: no checkpoint there is sound, they are those of another network or
            configuration, or saving failed.
        WorkdirError: another process has a run in the folder, or the processes see different ones.

    Example:
        >>> import jax.numpy as jnp
        >>> def step(state, inputs, position, shard):
        ...     return state * inputs, {"value": state}
        >>> half = jnp.float32(0.5)
        >>> fitted = fit(step, jnp.float32(8), lambda epoch: half, Schedule(2, 2, None, 1))
        >>> float(fitted.state), fitted.log.series("value")[1]
        (0.5, [8.0, 4.0, 2.0, 1.0])
    """
    devices = list(devices or jax.local_devices()[:1])
    reporter = reporter or Silent()
    sharded = with_virtual_shards(step, virtual_shards) if virtual_shards else step
    run_steps = parallel.compile_steps(sharded, devices, LONGEST_CHUNK, wrap)
    store = None
    with contextlib.ExitStack() as stack:
        if folder is not None:
            store = _open_store(stack, Path(folder), name, keep_every_epochs, schedule, identity)
        if debug_step is not None:
            return _look_into(
                *(debug_step, step, state, inputs_for_epoch, schedule),
                run_steps=run_steps,
                devices=devices,
                store=store,
                folder=folder,
                name=name,
                inspection=inspection,
                reporter=reporter,
            )
        state, progress = _restore(store, state, reporter)
        log = RunLog(_log_path(folder), progress.step, name, write=jax.process_index() == 0)
        signals = stack.enter_context(StopSignals())
        saved = progress.step or None
        keeper = Keeper(store, signals, save_every_steps, save_every_seconds, saved)
        try:
            outcome = train(
                run_steps,
                parallel.replicate(jax.tree.map(jnp.copy, state), devices),
                lambda epoch: parallel.replicate(inputs_for_epoch(epoch), devices),
                schedule,
                chunk=LONGEST_CHUNK,
                log=log,
                reporter=reporter,
                keeper=keeper,
                hooks=[_on_one_device(hook) for hook in hooks],
                log_every=log_every,
                start=progress,
                judge=judge,
                watch=watch,
            )
        except NonFiniteError as error:
            raise _diverged(error, inspection, schedule, folder, name, keeper.saved) from None
        keeper.wants_pause()  # a signal may have come after the last step
    if keeper.stop:
        reporter.message(_stopped(keeper.stop, outcome, folder))
    return Fitted(
        parallel.unreplicate(outcome.state),
        log,
        outcome.progress,
        outcome.compile_seconds,
        progress.step or None,
        STATUS_BASE + keeper.stop if keeper.stop else None,
    )


def _look_into(
    debug_step: int,
    step: parallel.StepFunction,
    state: PyTree,
    inputs_for_epoch: Callable[[int], PyTree],
    schedule: Schedule,
    *,
    run_steps: Any,
    devices: Sequence[jax.Device],
    store: CheckpointStore | None,
    folder: str | os.PathLike | None,
    name: str | None,
    inspection: Inspection,
    reporter: Reporter,
) -> Fitted:
    """Repeats the steps up to one, or only reads a run that no divergence was seen in."""
    if debug_step > schedule.total_steps:
        ends = f"the run ends at step {schedule.total_steps}"
        raise ConfigError(f"debug_step {debug_step}: {ends}")
    asked = folder is None or divergence.concerns(folder, name)
    before = debug_step if asked else schedule.total_steps + 1
    state, progress = _start_before(store, state, before)
    log = RunLog(_log_path(folder), progress.step, name, write=False)
    if asked:
        replay(
            *(state, progress.step, debug_step, inputs_for_epoch, schedule),
            run_steps=run_steps,
            step=step,
            devices=devices,
            inspection=inspection,
            tell=reporter.message,
        )
    return Fitted(state, log, progress, 0.0, progress.step or None, 0 if asked else None)


def _log_path(folder: str | os.PathLike | None) -> Path | None:
    return None if folder is None else Path(folder) / "metrics.jsonl"


def _open_store(
    stack: contextlib.ExitStack,
    folder: Path,
    name: str | None,
    keep_every_epochs: int,
    schedule: Schedule,
    identity: Mapping[str, Any] | None,
) -> CheckpointStore:
    """The run's checkpoints; the process that writes them has the folder to itself."""
    is_main = jax.process_index() == 0
    if is_main:
        stack.enter_context(run_lock(folder))
    store = CheckpointStore(
        folder / "checkpoints" / (name or ""),
        keep_every_epochs * schedule.steps_per_epoch,
        identity=identity,
        write=is_main,
        sync_first=(_log_path(folder),),
    )
    return stack.enter_context(store)


def _restore(
    store: CheckpointStore | None, state: PyTree, reporter: Reporter
) -> tuple[PyTree, Progress]:
    if store is None or (step := _common_step(store)) is None:
        return state, Progress()
    state, meta = store.restore(state)
    for notice in store.notices:
        reporter.message(notice)
    return state, _progress(meta, store, step)


def _start_before(
    store: CheckpointStore | None, state: PyTree, step: int
) -> tuple[PyTree, Progress]:
    """The newest checkpoint before a step, or the initial state."""
    found = store.find_sound(before=step) if store else None
    if store is None or found is None:
        return state, Progress()
    state, meta = store.restore(state, before=step)
    return state, _progress(meta, store, found)


def _progress(meta: dict[str, Any], store: CheckpointStore, step: int) -> Progress:
    if set(meta) != set(Progress._fields):
        raise CheckpointError(
            f"the checkpoint of step {step} in {store.folder} is of another version of jaxdl; "
            "choose another folder"
        )
    return Progress(**meta)


def _common_step(store: CheckpointStore) -> int | None:
    """The newest sound checkpoint's step, which all processes must see."""
    step, problem = NONE_THERE, None
    for turn in (True, False):  # the process that writes tidies up before the others look
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
            f"{NONE_THERE} for none): give all of them a folder that they share"
        )
    return None if step == NONE_THERE else step


def _diverged(
    error: NonFiniteError,
    inspection: Inspection,
    schedule: Schedule,
    folder: str | os.PathLike | None,
    name: str | None,
    saved: int | None,
) -> TrainingError:
    """The error for the user; what is needed to repeat the step goes into the folder."""
    message, facts = divergence.describe(error, inspection, name, saved)
    position = (error.step - 1) % schedule.steps_per_epoch
    member = error.metric.member if error.metric else None
    facts["epoch"] = schedule.epoch_of(error.step)
    if error.inputs is not None:
        facts["batch"] = divergence.batch_of(inspection, error.inputs, position, member)
    if folder is not None and jax.process_index() == 0:
        write_atomically(Path(folder) / divergence.REPORT, to_json(facts) + "\n")
    return TrainingError(message)


def _stopped(number: int, outcome: Outcome, folder: str | os.PathLike | None) -> str:
    text = f"Stopped by {signal_name(number)} after step {outcome.progress.step}"
    return text + ("." if folder is None else ": saved; the same command continues from there.")


def _on_one_device(hook: Hook) -> Hook:
    return hook._replace(call=lambda point, state: hook.call(point, parallel.unreplicate(state)))
