"""A run's length, and a position in it."""

from typing import NamedTuple


class Schedule(NamedTuple):
    """How long a run is.

    Attributes:
        steps_per_epoch: steps in one pass over the data.
        epochs: passes.
        max_steps: an upper limit on the total number of steps.
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
        """The epoch (from 1) that contains a step (from 1).

        Example:
            >>> schedule = Schedule(700, 10, None, 100)
            >>> schedule.epoch_of(1), schedule.epoch_of(700), schedule.epoch_of(701)
            (1, 1, 2)
        """
        return (step - 1) // self.steps_per_epoch + 1

    def position_of(self, step: int) -> int:
        """A step's position in its epoch, from 0.

        Example:
            >>> Schedule(700, 10, None, 100).position_of(701)
            0
        """
        return (step - 1) % self.steps_per_epoch


class Point(NamedTuple):
    """A position in a run: ``step`` steps done, the last of them in ``epoch`` (from 1)."""

    epoch: int
    step: int
    schedule: Schedule

    @property
    def counters(self) -> dict[str, int]:
        """The epoch and the step, for a record."""
        return {"epoch": self.epoch, "step": self.step}

    @property
    def step_in_epoch(self) -> int:
        """Steps done in this epoch."""
        return self.step - (self.epoch - 1) * self.schedule.steps_per_epoch

    @property
    def completes_epoch(self) -> bool:
        """Whether all steps of the epoch are done."""
        return self.step % self.schedule.steps_per_epoch == 0

    @property
    def ends_epoch(self) -> bool:
        """Whether the epoch is complete or the run ends here."""
        return self.completes_epoch or self.step == self.schedule.total_steps
