"""Where the loop gets a step's inputs from: the same for an epoch, or some steps at a time."""

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from jaxdl.distributed import parallel

PyTree = Any


class Feed(abc.ABC):
    """An epoch's inputs in pieces; ``Task.inputs_for_epoch`` may return one."""

    @abc.abstractmethod
    def at(self, position: int) -> tuple[PyTree, int]:
        """The inputs for a step of the epoch, and the first later step that needs others."""


class Whole(Feed):
    """The same inputs for all steps of an epoch."""

    def __init__(self, inputs: PyTree, steps: int) -> None:
        self._inputs, self._steps = inputs, steps

    def at(self, position: int) -> tuple[PyTree, int]:
        """The epoch's inputs, and its number of steps."""
        return self._inputs, self._steps


class Pieces(Feed):
    """Inputs made of groups that an iterator reads, each for ``size`` steps.

    Args:
        groups: ``groups(position)`` iterates over groups from a step of the epoch on.
        size: steps that a group is for.
        steps: steps of the epoch.
        inputs: ``inputs(group, position)`` makes the steps' inputs of a group whose first step is
            at ``position``.

    Example:
        >>> feed = Pieces(lambda first: iter("abcdef"[first::2]), 2, 6, lambda x, at: f"{x}{at}")
        >>> feed.at(0), feed.at(1), feed.at(2)
        (('a0', 2), ('a0', 2), ('c2', 4))
        >>> feed.at(1)
        ('b1', 3)
    """

    def __init__(
        self,
        groups: Callable[[int], Iterator[Any]],
        size: int,
        steps: int,
        inputs: Callable[[Any, int], PyTree],
    ) -> None:
        self._groups, self._size, self._steps, self._make = groups, size, steps, inputs
        self._first = self._stop = 0
        self._iterator: Iterator[Any] | None = None
        self._inputs: PyTree = None

    def at(self, position: int) -> tuple[PyTree, int]:
        """The inputs for a step, and the first later step that needs others."""
        if not self._first <= position < self._stop:
            if self._iterator is None or position != self._stop:
                self._iterator = self._groups(position)
            self._inputs = self._make(next(self._iterator), position)
            self._first, self._stop = position, min(position + self._size, self._steps)
        return self._inputs, self._stop


class Replicated(Feed):
    """A feed whose inputs are on each of this process's devices."""

    def __init__(self, feed: Feed, devices: Sequence[jax.Device]) -> None:
        self._feed, self._devices = feed, devices
        self._found: tuple[PyTree, PyTree] = (None, None)

    def at(self, position: int) -> tuple[PyTree, int]:
        """The inputs for a step, on the devices, and the first later step that needs others."""
        inputs, stop = self._feed.at(position)
        if inputs is not self._found[0] or inputs is None:
            self._found = inputs, parallel.replicate(inputs, self._devices)
        return self._found[1], stop


def open_feed(inputs: PyTree, steps: int, devices: Sequence[jax.Device]) -> Feed:
    """A feed on the devices, of what ``Task.inputs_for_epoch`` has returned for ``steps`` steps."""
    return Replicated(inputs if isinstance(inputs, Feed) else Whole(inputs, steps), devices)
