"""What ``fit`` and ``replay`` share: compiled steps, and the run's folder and checkpoints."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from jaxdl.distributed import parallel
from jaxdl.distributed.virtual_shards import with_virtual_shards
from jaxdl.errors import CheckpointError
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.lock import run_lock
from jaxdl.run.loop import LONGEST_CHUNK, Progress, RunSteps
from jaxdl.run.schedule import Schedule
from jaxdl.run.step_metrics import measured
from jaxdl.run.task import RunOptions, Task


def compile_task(task: Task, options: RunOptions) -> RunSteps:
    """Compiles the task's step into a loop on the chosen devices."""
    step = measured(task.step)
    if options.virtual_shards:
        step = with_virtual_shards(step, options.virtual_shards)
    return parallel.compile_steps(step, options.local_devices, LONGEST_CHUNK, task.wrap)


def log_path(options: RunOptions) -> Path | None:
    """The path of a run's log, None without a folder."""
    return None if options.folder is None else Path(options.folder) / "metrics.jsonl"


def checkpoint_folder(options: RunOptions) -> Path:
    """The folder of a run's checkpoints; the run must have a folder."""
    return Path(options.folder) / "checkpoints" / (options.name or "")


@contextlib.contextmanager
def open_store(options: RunOptions, schedule: Schedule) -> Iterator[CheckpointStore | None]:
    """Opens the run's checkpoints; the writing process also locks the folder."""
    if options.folder is None:
        yield None
        return
    folder, is_main = Path(options.folder), jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        if is_main:
            stack.enter_context(run_lock(folder))
        store = CheckpointStore(
            checkpoint_folder(options),
            options.keep_every * schedule.steps_per_epoch,
            identity=options.identity,
            write=is_main,
            sync_first=(log_path(options),),
        )
        yield stack.enter_context(store)


def progress_of(meta: dict[str, Any], store: CheckpointStore, step: int) -> Progress:
    """Reads the :class:`Progress` from a checkpoint's ``meta``, or raises a CheckpointError."""
    if set(meta) != set(Progress._fields):
        raise CheckpointError(
            f"the checkpoint of step {step} in {store.folder} was written by another version "
            "of jaxdl; choose another folder"
        )
    return Progress(**meta)
