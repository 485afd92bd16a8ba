"""Turns a training program's flags into a run of the library, and its end into an exit status."""

import dataclasses
from typing import Any

from experiments.common.session import Session
from jaxdl.run import divergence
from jaxdl.run.fit import Fitted, fit
from jaxdl.run.replay import replay
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import RunOptions, Task

STATUS_BASE = 128  # a shell's exit status for a process that signal s ended is 128 + s


def run_options(session: Session, **more: Any) -> RunOptions:
    """Options of a run: flags of the same names, the session's folder and devices, ``more``."""
    names = {field.name for field in dataclasses.fields(RunOptions)}
    flags = {n: v for n, v in dataclasses.asdict(session.config).items() if n in names}
    own = {
        "devices": session.devices.local,
        "folder": session.workdir.path,
        "identity": session.workdir.identity,
        "reporter": session.console,
    }
    return RunOptions(**flags | own | more)


def exit_status(fitted: Fitted) -> int | None:
    """The exit status of a run stopped by a signal; None if the run is complete."""
    return None if fitted.stopped_by is None else STATUS_BASE + fitted.stopped_by


def is_replayed(config: Any, options: RunOptions) -> bool:
    """Whether ``--debug_step`` asks for steps of this run: the one that diverged, if one has."""
    return config.debug_step is not None and divergence.concerns(options.folder, options.name)


def fit_or_replay(
    task: Task, schedule: Schedule, options: RunOptions, debug_step: int | None
) -> Fitted | None:
    """Trains; or, with ``debug_step``, repeats steps, writes nothing and returns None."""
    if debug_step is None:
        return fit(task, schedule, options)
    replay(task, schedule, options, debug_step)
    return None
