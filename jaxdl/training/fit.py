"""One run from start, or from its newest checkpoint, to the end of its schedule."""

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.errors import CheckpointError
from jaxdl.training import parallel
from jaxdl.training.checkpoint import CheckpointStore
from jaxdl.training.loop import Hook, Judge, Progress, Reporter, Schedule, train
from jaxdl.training.run_log import RunLog

PyTree = Any

LONGEST_CHUNK = 100


class Fitted(NamedTuple):
    """What a run leaves in memory.

    Attributes:
        state: the final state, on one device.
        log: every logged step and epoch.
        progress: steps done and training seconds over all sessions.
        compile_seconds: time this session spent compiling the steps.
        resumed_from: the step this session continued from, None for a fresh start.
    """

    state: PyTree
    log: RunLog
    progress: Progress
    compile_seconds: float
    resumed_from: int | None


class Silent:
    """A reporter that shows nothing."""

    def update(self, point: Any, record: Any) -> None:
        """Shows nothing."""

    def message(self, text: str) -> None:
        """Shows nothing."""


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
    log_every: int = 1,
    judge: Judge | None = None,
    name: str | None = None,
    wrap: Callable[[parallel.Loop], parallel.Loop] | None = None,
) -> Fitted:
    """Trains a state, data-parallel over the devices, with log and checkpoints in a folder.

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
        log_every: steps between logged steps.
        judge: judges each epoch, see ``loop.Judge``.
        name: tells this run from others in the same folder: its records carry it as ``run``,
            its checkpoints are in ``checkpoints/NAME``.
        wrap: changes the loop of steps before it is compiled, see ``parallel.compile_steps``.

    Returns:
        The final state, log and progress.

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
    keep_every = keep_every_epochs * schedule.steps_per_epoch
    with _open_store(folder, name, keep_every) as store:
        state, progress = _restore(store, state)
        path = None if folder is None else Path(folder) / "metrics.jsonl"
        log = RunLog(path, progress.step, name, write=jax.process_index() == 0)
        outcome = train(
            parallel.compile_steps(step, devices, LONGEST_CHUNK, wrap),
            parallel.replicate(jax.tree.map(jnp.copy, state), devices),
            lambda epoch: parallel.replicate(inputs_for_epoch(epoch), devices),
            schedule,
            chunk=LONGEST_CHUNK,
            log=log,
            reporter=reporter or Silent(),
            hooks=[_on_one_device(hook) for hook in hooks],
            save=None if store is None else functools.partial(_save, store),
            save_every_steps=save_every_steps,
            log_every=log_every,
            start=progress,
            judge=judge,
        )
    final = parallel.unreplicate(outcome.state)
    return Fitted(final, log, outcome.progress, outcome.compile_seconds, progress.step or None)


def _open_store(
    folder: str | os.PathLike | None, name: str | None, keep_every: int
) -> contextlib.AbstractContextManager[CheckpointStore | None]:
    if folder is None:
        return contextlib.nullcontext()
    return CheckpointStore(Path(folder) / "checkpoints" / (name or ""), keep_every)


def _restore(store: CheckpointStore | None, state: PyTree) -> tuple[PyTree, Progress]:
    if store is None or store.latest_step is None:
        return state, Progress()
    state, meta = store.restore(state)
    if set(meta) != set(Progress._fields):
        raise CheckpointError(
            f"the checkpoint of step {store.latest_step} in {store.folder} is of another version "
            "of jaxdl; choose another --workdir"
        )
    return state, Progress(**meta)


def _save(store: CheckpointStore, progress: Progress, state: PyTree) -> None:
    # A copy in host memory: the next step is given the device's buffers to overwrite.
    host = jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0)), state)
    store.save(progress.step, host, progress._asdict())


def _on_one_device(hook: Hook) -> Hook:
    return hook._replace(call=lambda point, state: hook.call(point, parallel.unreplicate(state)))
