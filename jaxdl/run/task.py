"""What a run trains, and how it is kept: the two objects beside its :class:`Schedule`."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax

from jaxdl.distributed.parallel import Loop, StepFunction
from jaxdl.run.divergence import Inspection
from jaxdl.run.log import Record
from jaxdl.run.schedule import Point

PyTree = Any


class Evaluator(Protocol):
    """Measures the state at each epoch's end, may change it, and may end the run.

    What it remembers goes into the checkpoint's JSON, so that a continued run decides as one that
    ran through.
    """

    def __call__(self, point: Point, state: PyTree) -> tuple[PyTree, Mapping[str, Any], str | None]:
        """Takes the replicated state; returns it, the epoch's extra metrics, and why to stop."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, as plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes that over."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        step: ``step(state, inputs, position, shard) -> (state, metrics)``, see
            ``parallel.compile_steps``. A metric is a scalar, or a :class:`jaxdl.metrics.Metric`
            whose fields add up.
        state: the initial state, on one device; a run leaves it as it is.
        inputs_for_epoch: the steps' inputs for an epoch (from 1), on one device or on the host.
            What is the same array each time is copied to the devices once.
        evaluator: measures each epoch.
        inspection: what the report of a divergence has to know about a step.
        wrap: changes the loop of steps before it is compiled, see ``parallel.compile_steps``.
    """

    step: StepFunction
    state: PyTree
    inputs_for_epoch: Callable[[int], PyTree]
    evaluator: Evaluator | None = None
    inspection: Inspection = Inspection()  # noqa: RUF009 - immutable
    wrap: Callable[[Loop], Loop] | None = None


class Hook(NamedTuple):
    """Something to do at boundaries.

    Attributes:
        call: ``call(point, state)``; a mapping it returns is added to the epoch's record.
        every_steps: call it at multiples of this; None for the end of each epoch.
    """

    call: Callable[[Point, PyTree], Mapping[str, Any] | None]
    every_steps: int | None = None

    def is_due(self, point: Point) -> bool:
        """Whether this is one of the hook's boundaries."""
        if self.every_steps is None:
            return point.ends_epoch
        return point.step % self.every_steps == 0


class Reporter(Protocol):
    """Shows progress to a person."""

    def update(self, point: Point, record: Record) -> None:
        """Called after each chunk with the last step's record."""

    def message(self, text: str) -> None:
        """A line of text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run happens and how it is kept and shown. None of it changes what comes out.

    Attributes:
        devices: this process's devices; None for the first one.
        virtual_shards: cut each batch into so many, for the same bits on 1, 2, 4 … as many devices,
            see :mod:`jaxdl.distributed.virtual_shards`. (It does change the last bits.)
        folder: where ``metrics.jsonl`` and ``checkpoints/`` are; an earlier run there is
            continued. None keeps everything in memory.
        name: tells this run from others in the same folder: its records carry it as ``run``, its
            checkpoints are in ``checkpoints/NAME``.
        identity: plain values that a checkpoint must have been saved with to be continued from.
        save_every_steps: save at multiples of this, beside each epoch's end.
        save_every_seconds: also save when so much time has passed since the last one.
        keep_every: keep the checkpoints of epochs that are a multiple of this, beside the newest;
            0 for the newest alone.
        log_every: steps between logged steps.
        hooks: called at boundaries, with the state on one device.
        warnings: the warnings that an epoch's record deserves.
        reporter: shows progress; None for a bar where there is a screen, ``progress.Silent()`` for
            nothing.
    """

    devices: Sequence[jax.Device] | None = None
    virtual_shards: int | None = None
    folder: str | os.PathLike | None = None
    name: str | None = None
    identity: Mapping[str, Any] | None = None
    save_every_steps: int | None = None
    save_every_seconds: float | None = None
    keep_every: int = 0
    log_every: int = 1
    hooks: Sequence[Hook] = ()
    warnings: Callable[[Record], Sequence[str]] | None = None
    reporter: Reporter | None = None

    @property
    def local_devices(self) -> list[jax.Device]:
        """The devices, the default filled in."""
        return list(self.devices or jax.local_devices()[:1])
