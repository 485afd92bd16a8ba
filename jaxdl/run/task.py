"""``Task`` and ``RunOptions``: what a run trains, and where and how it runs."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax

from jaxdl.distributed.parallel import Loop, StepFunction
from jaxdl.run.divergence import Inspection
from jaxdl.run.log import Record, shown_metrics
from jaxdl.run.schedule import Point

PyTree = Any


class Evaluator(Protocol):
    """Evaluates the state at the end of each epoch; may replace the state or end the run.

    Its ``state_dict`` is saved in the checkpoint's JSON, so that a resumed run makes the same
    decisions as an uninterrupted one.
    """

    def __call__(self, point: Point, state: PyTree) -> tuple[PyTree, Mapping[str, Any], str | None]:
        """Takes the replicated state; returns it, extra metrics, and why to stop (or None)."""

    def reset(self) -> None:
        """Forgets earlier runs; called at the start of each."""

    def state_dict(self) -> dict[str, Any]:
        """The evaluator's own state, as JSON-serialisable values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` returned."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        step: ``step(state, inputs, position, shard) -> (state, metrics)``, see
            ``parallel.compile_steps``. A metric is a scalar, or a :class:`jaxdl.metrics.Metric`
            whose fields add up.
        state: the initial state, on one device; a run does not modify it.
        inputs_for_epoch: returns the steps' inputs for an epoch (from 1), on one device or the
            host. Arrays that ``parallel.replicate`` has put on the devices are not copied again.
            Or a :class:`jaxdl.run.feed.Feed` that gives them for some steps at a time.
        evaluator: called at the end of each epoch.
        inspection: what a divergence report needs to know about the steps.
        wrap: transforms the loop of steps before compilation, see ``parallel.compile_steps``.
    """

    step: StepFunction
    state: PyTree
    inputs_for_epoch: Callable[[int], PyTree]
    evaluator: Evaluator | None = None
    inspection: Inspection = Inspection()  # noqa: RUF009 - immutable
    wrap: Callable[[Loop], Loop] | None = None


class Hook(NamedTuple):
    """A callback at step or epoch boundaries.

    ``call(point, state)`` may return a mapping to add to the epoch's record. It is called at
    multiples of ``every_steps``, or at the end of each epoch if that is None.
    """

    call: Callable[[Point, PyTree], Mapping[str, Any] | None]
    every_steps: int | None = None

    def is_due(self, point: Point) -> bool:
        """Whether to call the hook here."""
        if self.every_steps is None:
            return point.ends_epoch
        return point.step % self.every_steps == 0


@dataclasses.dataclass(frozen=True)
class Monitor:
    """Scores the state during a run, so that the checkpoint with the best score is kept.

    Attributes:
        measure: ``measure(point, state)`` returns scores by name, numbers or lists of numbers, for
            the state on one device.
        name: the score that decides. The lowest is best; one that is not finite never is.
        every_steps: measure at multiples of this.
        every_epochs: also measure at the ends of epochs that are a multiple of this; 0: of none. A
            run's end is always measured.
        describe: formats the scores for the console.
    """

    measure: Callable[[Point, PyTree], Mapping[str, Any]]
    name: str
    every_steps: int | None = None
    every_epochs: int = 1
    describe: Callable[[Mapping[str, Any]], str] = shown_metrics

    def is_due(self, point: Point) -> bool:
        """Whether to measure here, in a run of any length."""
        if self.every_steps and point.step % self.every_steps == 0:
            return True
        return bool(
            self.every_epochs and point.completes_epoch and point.epoch % self.every_epochs == 0
        )


class Best(NamedTuple):
    """The best score of a run, and the step of the state that has it."""

    step: int
    score: float


class Reporter(Protocol):
    """Shows progress to the user."""

    def update(self, point: Point, record: Record) -> None:
        """Called after each chunk with the last step's record."""

    def message(self, text: str) -> None:
        """Shows a line of text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where a run happens, and how it is saved and shown; results do not depend on it.

    Attributes:
        devices: this process's devices; None for the first one.
        virtual_shards: split each batch into this many shards, for bit-identical results on any
            number of devices that divides it, see :mod:`jaxdl.distributed.virtual_shards`. (This
            is the one option that changes the last bits.)
        folder: holds ``metrics.jsonl`` and ``checkpoints/``; an earlier run there is resumed. None
            keeps everything in memory.
        name: distinguishes runs that share a folder: records carry it as ``run``, and checkpoints
            go to ``checkpoints/NAME``.
        identity: plain values, such as the configuration, that a checkpoint must match.
        save_every_steps: save at multiples of this, as well as at the end of each epoch.
        save_every_seconds: also save when this much time has passed since the last save.
        keep_every: besides the newest checkpoint, keep those of epochs that are a multiple of this;
            0 keeps only the newest.
        log_every: interval in steps between logged steps.
        hooks: called with the state on one device.
        monitor: scores the state; the checkpoint with the best score is kept beside the newest.
        warnings: returns warnings about an epoch's record.
        reporter: shows progress; None shows a bar if there is a screen, ``progress.Silent()``
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
    monitor: Monitor | None = None
    warnings: Callable[[Record], Sequence[str]] | None = None
    reporter: Reporter | None = None

    @property
    def local_devices(self) -> list[jax.Device]:
        """This process's devices, with the default filled in."""
        return list(self.devices or jax.local_devices()[:1])
