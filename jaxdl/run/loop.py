"""The training loop that every experiment shares.

It is independent of the network. It runs compiled chunks of steps (``parallel.compile_steps``),
reads and logs each chunk's metrics while the next one is computed, and stops at boundaries to call
hooks and save. A boundary is the end of an epoch, a multiple of some number of steps, or a pause
that the save policy asks for. Chunk sizes do not affect the results.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.distributed.agreement import of_first
from jaxdl.distributed.parallel import unreplicate
from jaxdl.run.divergence import NonFiniteError, first_bad_metric
from jaxdl.run.feed import Feed
from jaxdl.run.log import Record, RunLog
from jaxdl.run.saving import SavePolicy
from jaxdl.run.schedule import Point, Schedule
from jaxdl.run.step_metrics import EpochMetrics, Measured
from jaxdl.run.task import Best, RunOptions, Task

PyTree = Any
RunSteps = Callable[[PyTree, PyTree, int, int], tuple[PyTree, Measured]]

LONGEST_CHUNK = 100  # maximum number of steps per call
SECONDS_BETWEEN_READINGS = 1.0


class Progress(NamedTuple):
    """What a checkpoint stores in addition to the state.

    Attributes:
        step: steps done.
        seconds: training time over all sessions, without compilation.
        epoch_seconds: the part of it within the current epoch.
        sums: the current epoch's :class:`EpochMetrics`.
        evaluator: the evaluator's ``state_dict``.
        stopped: why the evaluator ended the run early, else "".
        best: step and score of the :class:`Best` score, empty without one.
        best_at_end: likewise, if the end of a run that stops within an epoch is better; a longer
            run does not measure there.
    """

    step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    sums: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    evaluator: dict[str, Any] = {}  # noqa: RUF012
    stopped: str = ""
    best: Sequence[float] = ()
    best_at_end: Sequence[float] = ()


class _Clock:
    """Time spent in steps, overall and in the current epoch, without hooks."""

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


def start_evaluator(task: Task, start: Progress) -> None:
    """Puts the task's evaluator, if it has one, where a run starts or resumes."""
    if task.evaluator:
        task.evaluator.reset()
        if start.evaluator:
            task.evaluator.load_state_dict(start.evaluator)


class Training:
    """A run in progress, from ``start`` to the end of the schedule.

    Attributes:
        state: the current state, replicated. Set it before :meth:`run`, which donates its buffers.
        compile_seconds: time spent compiling.
    """

    state: PyTree

    def __init__(
        self,
        task: Task,
        schedule: Schedule,
        options: RunOptions,
        run_steps: RunSteps,
        feed_for_epoch: Callable[[int], Feed],
        log: RunLog,
        start: Progress,
    ) -> None:
        self.schedule, self.options, self.log = schedule, options, log
        self.run_steps, self.feed_for_epoch = run_steps, feed_for_epoch
        self.evaluator, self._members = task.evaluator, bool(task.inspection.members)
        self.step, self.stopped, self.compile_seconds = start.step, start.stopped, 0.0
        self._best, self._best_at_end = start.best, start.best_at_end
        self._metrics, self._clock = EpochMetrics(start.sums, self._members), _Clock(start)
        # All processes must run chunks of the same size, so it cannot depend on a local clock.
        self._steps_per_call = 1 if jax.process_count() == 1 else LONGEST_CHUNK
        start_evaluator(task, start)

    @property
    def is_over(self) -> bool:
        """Whether the schedule is complete or the evaluator has stopped the run."""
        return bool(self.stopped) or self.step >= self.schedule.total_steps

    @property
    def point(self) -> Point:
        """The run's current position."""
        return Point(self.schedule.epoch_of(self.step), self.step, self.schedule)

    @property
    def progress(self) -> Progress:
        """What a checkpoint stores in addition to the state."""
        return Progress(
            self.step,
            self._clock.seconds,
            self._clock.epoch_seconds,
            self._metrics.to_meta(),
            self.evaluator.state_dict() if self.evaluator else {},
            self.stopped,
            self._best,
            self._best_at_end,
        )

    @property
    def best(self) -> Best | None:
        """The monitor's best score so far."""
        found = self._best_at_end or self._best
        return Best(*found) if found else None

    def run(self, policy: SavePolicy) -> None:
        """Trains until the schedule ends or the policy stops the run.

        Raises:
            NonFiniteError: a metric or the state is no longer finite.
            CheckpointError: a save failed.
        """
        intervals = [self.schedule.steps_per_epoch, policy.every_steps]
        intervals += [hook.every_steps for hook in self.options.hooks]
        intervals += [self.options.monitor.every_steps] if self.options.monitor else []
        feed, feed_epoch = None, None
        while not self.is_over and not policy.stop:
            epoch = self.schedule.epoch_of(self.step + 1)
            if epoch != feed_epoch:
                first = feed_epoch is None
                feed, feed_epoch = self.feed_for_epoch(epoch), epoch
                if first:
                    self._compile(feed.at(self.schedule.position_of(self.step + 1))[0])
            self._run_to(self._next_boundary(intervals), feed, policy.wants_pause)
            point, extra = self.point, self._call_hooks()
            scores = self._score()
            if scores and not point.completes_epoch and self.options.monitor.is_due(point):
                self.log.append({"kind": "score", **point.counters, **scores})
                scores = {}
            if point.ends_epoch:
                self._end_epoch(extra | scores)
            improved = bool(self.best and self.best.step == point.step)
            if policy.is_due(point.step, point.ends_epoch, self.is_over, improved):
                kept = self._best[0] if self._best else None
                policy.save(point.step, self.state, self.progress._asdict(), kept)

    def _compile(self, inputs: PyTree) -> None:
        """Compiles by running zero steps."""
        begin = time.perf_counter()
        self.state, _ = jax.block_until_ready(self.run_steps(self.state, inputs, 0, 0))
        self._clock.restart()
        self.compile_seconds = time.perf_counter() - begin

    def _next_boundary(self, intervals: Sequence[int | None]) -> int:
        multiples = [(self.step // every + 1) * every for every in intervals if every]
        return min([self.schedule.total_steps, *multiples])

    def _run_to(self, boundary: int, feed: Feed, pause: Callable[[], bool]) -> None:
        """Runs to a step of the current epoch, or until ``pause()`` is true after a chunk."""
        self._clock.restart()
        unread: tuple[Point, int, Measured, PyTree] | None = None
        paused = False
        while self.step < boundary and not paused:
            first = self.schedule.position_of(self.step + 1)
            inputs, stop = feed.at(first)
            steps = min(self._steps_per_call, boundary - self.step, stop - first)
            self.state, history = self.run_steps(self.state, inputs, first, steps)
            self.step += steps
            if unread:
                self._read(*unread)
            unread = (self.point, steps, history, inputs)
            paused = pause()
        if unread:
            self._read(*unread)

    def _read(self, point: Point, steps: int, history: Measured, inputs: PyTree) -> None:
        """Waits for a chunk's metrics, logs and shows them, and sets the next chunk's size."""
        seen: Measured = jax.tree.map(lambda leaf: np.asarray(leaf)[:steps], history)
        lap = self._clock.lap()
        self._metrics.add(seen.metrics)
        records = self._step_records(point, seen, lap)
        self.log.append(*(r for r in records if r["step"] % self.options.log_every == 0))
        self.options.reporter.update(point, records[-1])
        if bad := first_bad_metric(seen.values, point.step - steps + 1, seen.done):
            raise NonFiniteError(bad.step, bad, self.state, inputs)
        if jax.process_count() == 1:
            wanted = int(steps * SECONDS_BETWEEN_READINGS / max(lap, 1e-6))
            self._steps_per_call = min(max(1, wanted), LONGEST_CHUNK, 4 * steps)

    def _step_records(self, point: Point, seen: Measured, lap: float) -> list[Record]:
        """One record per step of the chunk that ends at ``point`` and took ``lap`` seconds."""
        steps = len(seen.done)
        rate = round(self.schedule.examples_per_step * steps / lap, 1)
        shown = {name: _where(seen.done, values) for name, values in seen.values.items()}
        return [
            {
                "kind": "step",
                "epoch": point.epoch,
                "step": point.step - steps + 1 + i,
                **{name: values[i] for name, values in shown.items()},
                "seconds": round(self._clock.epoch_seconds - lap * (steps - 1 - i) / steps, 4),
                "images_per_second": rate,
            }
            for i in range(steps)
        ]

    def _call_hooks(self) -> dict[str, Any]:
        due = [hook for hook in self.options.hooks if hook.is_due(self.point)]
        extra: dict[str, Any] = {}
        for hook in due:
            extra |= hook.call(self.point, unreplicate(self.state)) or {}
        return extra

    def _score(self) -> dict[str, float | None]:
        """Scores the state if that is due, and notes whether it is the best; for the log."""
        monitor, point = self.options.monitor, self.point
        self._best_at_end = ()
        if monitor is None or not (monitor.is_due(point) or self.is_over):
            return {}
        scores = dict(monitor.measure(point, unreplicate(self.state)))
        score = of_first(scores[monitor.name])
        if math.isfinite(score) and (not self._best or score < self._best[1]):
            if monitor.is_due(point):
                self._best = (point.step, score)
            else:
                self._best_at_end = (point.step, score)
        self.options.reporter.message(_scored(point, monitor.describe(scores), self.best))
        return {name: v if np.isfinite(v).all() else None for name, v in scores.items()}

    def _end_epoch(self, extra: Mapping[str, Any]) -> None:
        """Evaluates and logs the epoch; keeps its sums if it is incomplete."""
        if self.evaluator:
            self.state, found, reason = self.evaluator(self.point, self.state)
            extra, self.stopped = {**extra, **found}, reason or ""
        point, seconds = self.point, self._clock.epoch_seconds
        steps = point.step_in_epoch
        record = {"kind": "epoch", **point.counters}
        record |= self._metrics.compute() | dict(extra)
        record["seconds"] = round(seconds, 4)
        record["images_per_second"] = round(self.schedule.examples_per_step * steps / seconds, 1)
        cut_short = {"steps_done": steps} if steps < self.schedule.steps_per_epoch else {}
        warn = self.options.warnings or (lambda record: ())
        if warnings := list(warn(record | cut_short)):
            record["warnings"] = warnings
        for warning in warnings:
            self.options.reporter.message(f"Warning: epoch {point.epoch}: {warning}")
        record |= cut_short
        if not cut_short:
            self._metrics, self._clock.epoch_seconds = EpochMetrics(members=self._members), 0.0
        self.log.append(record)


def _scored(point: Point, values: str, best: Best | None) -> str:
    """A line about a measurement."""
    where = "best so far" if best and best.step == point.step else "no score so far"
    if best and best.step != point.step:
        where = f"best {best.score:.4g} at step {best.step}"
    return f"Epoch {point.epoch}, step {point.step}: {values} ({where})"


def _where(done: np.ndarray, values: np.ndarray) -> list[Any]:
    if done.all():
        return values.tolist()
    plain = values.astype(object)
    plain[~done] = None
    return plain.tolist()
