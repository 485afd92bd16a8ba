"""The training loop that every experiment shares.

It knows nothing of networks: it runs a compiled chunk of steps (``parallel.compile_steps``), reads
the chunk's metrics while the next one is computed, logs them, and stops at boundaries — an epoch's
end, a multiple of some number of steps, whenever the keeper wants a pause — to call hooks and to
save. Where the chunks end changes no result.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxdl.run.divergence import NonFiniteError, first_bad_metric
from jaxdl.run.epoch_means import EpochMeans
from jaxdl.run.log import Record, RunLog
from jaxdl.run.save_policy import Keeper

PyTree = Any
RunSteps = Callable[[PyTree, PyTree, int, int], tuple[PyTree, PyTree]]

Watch = Callable[[Record], Sequence[str]]

SECONDS_BETWEEN_READINGS = 1.0


class Schedule(NamedTuple):
    """How long a run is.

    Attributes:
        steps_per_epoch: steps in one pass over the data.
        epochs: passes.
        max_steps: stop after so many steps, if that is earlier.
        examples_per_step: size of the global batch.
    """

    steps_per_epoch: int
    epochs: int
    max_steps: int | None
    examples_per_step: int

    @property
    def total_steps(self) -> int:
        """Steps of the whole run.

        Example:
            >>> Schedule(700, 10, None, 100).total_steps
            7000
        """
        steps = self.steps_per_epoch * self.epochs
        return steps if self.max_steps is None else min(steps, self.max_steps)

    @property
    def last_epoch(self) -> int:
        """The epoch in which the run ends.

        Example:
            >>> Schedule(700, 10, 1000, 100).last_epoch
            2
        """
        return self.epoch_of(self.total_steps)

    def epoch_of(self, step: int) -> int:
        """The epoch (from 1) in which the given step (from 1) is done.

        Example:
            >>> schedule = Schedule(700, 10, None, 100)
            >>> schedule.epoch_of(1), schedule.epoch_of(700), schedule.epoch_of(701)
            (1, 1, 2)
        """
        return (step - 1) // self.steps_per_epoch + 1


class Point(NamedTuple):
    """Where a run stands: ``step`` steps done, the last of them in ``epoch`` (from 1)."""

    epoch: int
    step: int
    schedule: Schedule

    @property
    def step_in_epoch(self) -> int:
        """Steps done in this epoch."""
        return self.step - (self.epoch - 1) * self.schedule.steps_per_epoch

    @property
    def ends_epoch(self) -> bool:
        """Whether the epoch is complete, or the run ends here."""
        whole = self.step % self.schedule.steps_per_epoch == 0
        return whole or self.step == self.schedule.total_steps


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


class Judge(Protocol):
    """Judges each epoch: measures the state, may change it, and may end the run.

    What it remembers goes into the checkpoint's JSON, so that a continued run decides as one that
    ran through.
    """

    def __call__(self, point: Point, state: PyTree) -> tuple[PyTree, Mapping[str, Any], str | None]:
        """Takes the replicated state; returns it, the epoch's extra metrics, and why to stop."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, as plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes that over."""


class Reporter(Protocol):
    """Shows progress to a person."""

    def update(self, point: Point, record: Record) -> None:
        """Called after each chunk with the last step's record."""

    def message(self, text: str) -> None:
        """A line of text."""


class Progress(NamedTuple):
    """What a checkpoint remembers beside the state.

    Attributes:
        step: steps done.
        seconds: training time so far, over all sessions, without compilation.
        epoch_seconds: the same within the current epoch.
        sums: the current epoch's :class:`EpochMeans`.
        judge: what the :class:`Judge` remembers.
        stopped: why the run ended before its schedule did, "" otherwise.
    """

    step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    sums: dict[str, Any] = {}  # noqa: RUF012 - never changed in place
    judge: dict[str, Any] = {}  # noqa: RUF012
    stopped: str = ""


class Outcome(NamedTuple):
    """The end of a run: the state, where it stands, and the time compilation took."""

    state: PyTree
    progress: Progress
    compile_seconds: float


class _Clock:
    """Time spent in steps, in all and in the current epoch; hooks do not count."""

    def __init__(self, progress: Progress) -> None:
        self.seconds, self.epoch_seconds = progress.seconds, progress.epoch_seconds
        self.restart()

    def restart(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        lap, self._last = now - self._last, now
        self.seconds += lap
        self.epoch_seconds += lap
        return lap


class Training:
    """A run in progress; :func:`train` makes one and drives it.

    Args:
        run_steps: compiled steps, see ``parallel.compile_steps``.
        state: the state at ``start``, replicated; it is donated.
        schedule: the length of the run.
        log: gets the step and epoch records.
        reporter: shows progress.
        log_every: steps between logged steps.
        chunk: most steps in one call of ``run_steps``.
        start: where to begin.
        judge: judges each epoch.
        watch: what is worth a warning in an epoch's record.
    """

    def __init__(
        self,
        run_steps: RunSteps,
        state: PyTree,
        schedule: Schedule,
        log: RunLog,
        reporter: Reporter,
        log_every: int,
        chunk: int,
        start: Progress,
        judge: Judge | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.run_steps, self.state, self.schedule = run_steps, state, schedule
        self.log, self.reporter, self.log_every, self.chunk = log, reporter, log_every, chunk
        self.step, self.means, self.clock = start.step, EpochMeans(start.sums), _Clock(start)
        # Several processes must call the compiled steps alike, so their own clocks decide nothing.
        self.steps_per_call = 1 if jax.process_count() == 1 else chunk
        self.judge, self.stopped = judge, start.stopped
        self.watch = watch or (lambda record: ())
        if judge and start.judge:
            judge.load_state_dict(start.judge)

    @property
    def is_over(self) -> bool:
        """Whether the schedule is done, or the judge has ended the run."""
        return bool(self.stopped) or self.step >= self.schedule.total_steps

    @property
    def point(self) -> Point:
        """Where the run stands."""
        return Point(self.schedule.epoch_of(self.step), self.step, self.schedule)

    @property
    def progress(self) -> Progress:
        """What a checkpoint has to remember."""
        return Progress(
            self.step,
            self.clock.seconds,
            self.clock.epoch_seconds,
            self.means.to_meta(),
            self.judge.state_dict() if self.judge else {},
            self.stopped,
        )

    def compile(self, inputs: PyTree) -> float:
        """Compiles by running no step at all; returns the seconds it took."""
        begin = time.perf_counter()
        self.state, _ = jax.block_until_ready(self.run_steps(self.state, inputs, 0, 0))
        self.clock.restart()
        return time.perf_counter() - begin

    def run_to(self, boundary: int, inputs: PyTree, pause: Callable[[], bool]) -> None:
        """Runs to a step of the current epoch, reading each chunk while the next one runs.

        Asked after each chunk, ``pause`` may end it before the boundary.
        """
        self.clock.restart()
        unread: tuple[Point, int, PyTree] | None = None
        paused = False
        while self.step < boundary and not paused:
            steps = min(self.steps_per_call, boundary - self.step)
            first = self.step % self.schedule.steps_per_epoch
            self.state, history = self.run_steps(self.state, inputs, first, steps)
            self.step += steps
            if unread:
                self._read(*unread, inputs)
            unread = (self.point, steps, history)
            paused = pause()
        if unread:
            self._read(*unread, inputs)

    def _read(self, point: Point, steps: int, history: PyTree, inputs: PyTree) -> None:
        """Waits for a chunk's metrics, logs and shows them, and chooses the next chunk's size."""
        metrics = {name: np.asarray(leaf)[:steps] for name, leaf in history.items()}
        lap = self.clock.lap()
        self.means.add(metrics)
        records = self._step_records(point, metrics, steps, lap)
        self.log.append(*(r for r in records if r["step"] % self.log_every == 0))
        self.reporter.update(point, records[-1])
        if bad := first_bad_metric(metrics, point.step - steps + 1):
            raise NonFiniteError(bad.step, bad, self.state, inputs)
        if jax.process_count() == 1:
            wanted = int(steps * SECONDS_BETWEEN_READINGS / max(lap, 1e-6))
            self.steps_per_call = min(max(1, wanted), self.chunk, 4 * steps)

    def _step_records(
        self, point: Point, metrics: dict[str, np.ndarray], steps: int, lap: float
    ) -> list[Record]:
        """A record for each step of the chunk that ends at ``point`` and took ``lap`` seconds."""
        rate = round(self.schedule.examples_per_step * steps / lap, 1)
        shown = {name: leaf.tolist() for name, leaf in metrics.items() if name != "weight"}
        return [
            {
                "kind": "step",
                "epoch": point.epoch,
                "step": point.step - steps + 1 + i,
                **{name: values[i] for name, values in shown.items()},
                "seconds": round(self.clock.epoch_seconds - lap * (steps - 1 - i) / steps, 4),
                "images_per_second": rate,
            }
            for i in range(steps)
        ]

    def end_epoch(self, extra: Mapping[str, Any]) -> None:
        """Logs the epoch's means; they are kept if the run stops before the epoch is complete."""
        if self.judge:
            self.state, judged, reason = self.judge(self.point, self.state)
            extra, self.stopped = {**extra, **judged}, reason or ""
        point, seconds = self.point, self.clock.epoch_seconds
        steps = point.step_in_epoch
        record = {"kind": "epoch", "epoch": point.epoch, "step": point.step}
        record |= self.means.compute() | dict(extra)
        record["seconds"] = round(seconds, 4)
        record["images_per_second"] = round(self.schedule.examples_per_step * steps / seconds, 1)
        if warnings := list(self.watch(record)):
            record["warnings"] = warnings
        for warning in warnings:
            self.reporter.message(f"Warning: epoch {point.epoch}: {warning}")
        if steps < self.schedule.steps_per_epoch:
            record["steps_done"] = steps
        else:
            self.means, self.clock.epoch_seconds = EpochMeans(), 0.0
        self.log.append(record)


def _next_boundary(step: int, schedule: Schedule, intervals: Sequence[int]) -> int:
    """The next step at which something has to be done."""
    multiples = [(step // interval + 1) * interval for interval in intervals]
    return min([schedule.total_steps, *multiples])


def train(
    run_steps: RunSteps,
    state: PyTree,
    inputs_for_epoch: Callable[[int], PyTree],
    schedule: Schedule,
    *,
    chunk: int,
    log: RunLog,
    reporter: Reporter,
    keeper: Keeper,
    hooks: Sequence[Hook] = (),
    log_every: int = 1,
    start: Progress = Progress(),  # noqa: B008 - immutable
    judge: Judge | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Trains from where ``start`` stands to the end of the schedule.

    Args:
        run_steps: compiled steps, see ``parallel.compile_steps``.
        state: the state at ``start``, replicated; it is donated.
        inputs_for_epoch: the steps' inputs for an epoch (from 1).
        schedule: the length of the run.
        chunk: most steps in one call of ``run_steps``; as many are taken as make about a second.
        log: gets a record every ``log_every`` steps and one an epoch.
        reporter: shows progress.
        keeper: saves at each epoch's end and when else it wants to, and may end the run early.
        hooks: what to do at boundaries.
        log_every: steps between logged steps.
        start: where to begin.
        judge: judges each epoch, before it is logged.
        watch: gives the warnings that an epoch's record deserves.

    Returns:
        The final state and progress.

    Raises:
        NonFiniteError: a metric or the state is no longer finite.
        CheckpointError: a save failed.
    """
    run = Training(run_steps, state, schedule, log, reporter, log_every, chunk, start, judge, watch)
    intervals = [schedule.steps_per_epoch, *(h.every_steps for h in hooks if h.every_steps)]
    intervals += [keeper.every_steps] if keeper.every_steps else []
    inputs, inputs_epoch, compile_seconds = None, None, None
    while not run.is_over and not keeper.stop:
        epoch = schedule.epoch_of(run.step + 1)
        if epoch != inputs_epoch:
            inputs, inputs_epoch = inputs_for_epoch(epoch), epoch
        if compile_seconds is None:
            compile_seconds = run.compile(inputs)
        boundary = _next_boundary(run.step, schedule, intervals)
        run.run_to(boundary, inputs, keeper.wants_pause)
        point = run.point
        extra: dict[str, Any] = {}
        for hook in hooks:
            if hook.is_due(point):
                extra |= hook.call(point, run.state) or {}
        if point.ends_epoch:
            run.end_epoch(extra)
        if keeper.is_due(point.step, point.ends_epoch, run.is_over):
            keeper.save(point.step, run.state, run.progress._asdict())
    return Outcome(run.state, run.progress, compile_seconds or 0.0)
