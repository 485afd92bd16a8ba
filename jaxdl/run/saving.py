"""Decides between chunks of steps when to save and when to stop; all processes agree."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl.distributed.agreement import largest
from jaxdl.errors import CheckpointError
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.divergence import NonFiniteError
from jaxdl.run.signals import StopSignals
from jaxdl.training.leaves import first_bad_leaf

PyTree = Any
LARGEST_SHARE = 0.01  # of training time that saves at the end of epochs may take


class SavePolicy:
    """Saves a run's progress, and detects what should end it early.

    With several processes, all act on what any of them sees: a signal, a failed save, or that a
    save is due.

    Args:
        store: where to save; None saves nothing.
        every_steps: save at multiples of this, as well as at the end of each epoch.
        every_seconds: save when this much time has passed since the last save; saving at the end of
            an epoch is then skipped if it would cost more than 1% of that time.
        saved: the step of the newest checkpoint, None if there is none.
        clock: returns the time in seconds.

    Attributes:
        stop: the signal that stops the run, 0 for none.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        signals: StopSignals,
        every_steps: int | None = None,
        every_seconds: float | None = None,
        saved: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.signals, self.saved = store, signals, saved
        self.every_steps, self.every_seconds, self.clock = every_steps, every_seconds, clock
        self.stop, self._late, self._last, self._stall = 0, False, clock(), 0.0

    def wants_pause(self) -> bool:
        """Whether to interrupt the current chunk of steps to save or stop.

        Raises:
            CheckpointError: a background save failed.
        """
        late = bool(self.every_seconds and self.clock() - self._last >= self.every_seconds)
        failed = self.store is not None and self.store.has_failed
        failed, self.stop, self._late = largest([failed, self.signals.received, late])
        if failed:
            if self.store:
                self.store.check()
            raise CheckpointError("another process could not save; see its message")
        return bool(self.stop or (self._late and self.store))

    def is_due(self, step: int, ends_epoch: bool, ends_run: bool, improved: bool = False) -> bool:
        """Whether to save now; ``improved`` says that the state has the best score so far."""
        by_step = self.every_steps and step % self.every_steps == 0
        asked = bool(by_step or self._late or self.stop or ends_run or improved)
        if ends_epoch and not asked:
            asked = bool(largest([self._is_worth_it(step)])[0])
        return asked and step != self.saved

    def _is_worth_it(self, step: int) -> bool:
        """Whether to save at the end of an epoch when nothing else asks for it."""
        if not self.every_seconds or self.store is None:
            return True
        if self.store.keep_every and step % self.store.keep_every == 0:
            return True
        cost = self._stall + self.store.seconds
        return self.clock() - self._last >= cost / LARGEST_SHARE

    def save(self, step: int, state: PyTree, meta: dict[str, Any], best: int | None = None) -> None:
        """Copies the state to host memory and saves it in the background.

        Args:
            step: steps done.
            state: the replicated state.
            meta: JSON-serialisable values.
            best: the step of the checkpoint to keep for its score.

        Raises:
            NonFiniteError: the state is not finite; nothing is saved.
            CheckpointError: an earlier save failed.
        """
        # Copy: the next step donates these buffers.
        begin = self.clock()
        copy = np.array if self.store else np.asarray
        host = jax.tree.map(lambda leaf: copy(leaf.addressable_data(0)), state)
        if first_bad_leaf(host):
            raise NonFiniteError(step, None, host)
        if self.store is None:
            return
        if self.store.write:
            self.store.save(step, host, meta, best)
        self.saved, self._late, self._last = step, False, self.clock()
        self._stall = self._last - begin
