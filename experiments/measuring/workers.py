"""Contestants side by side: each in its own process, measured in turns."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from experiments.common import allocator

RUNS_A_TURN = 2
SECONDS_TO_END = 3.0
LIMIT_SECONDS = 300.0  # contestants not ready by then are left out


class Contestant(NamedTuple):
    """What to measure, and where.

    Attributes:
        name: its name in the table.
        framework: "jax" or "torch".
        case: a key of the framework's ``CASES``.
        options: that case's arguments.
        huge_pages: whether its process's allocator uses huge pages.
        rounds: maximum number of rounds, for slow contestants.
    """

    name: str
    framework: str
    case: str
    options: dict[str, Any]
    huge_pages: bool = False
    rounds: int = 1000


class Measured(NamedTuple):
    """Measurements of a contestant.

    Attributes:
        seconds: of one step, ``RUNS_A_TURN`` per round.
        first_seconds: until it had run once, mostly compilation.
        peak_bytes: its process's peak resident size.
        failure: why there are no figures; "" if there are.
    """

    seconds: list[float]
    first_seconds: float = 0.0
    peak_bytes: int = 0
    failure: str = ""


class WorkerError(Exception):
    """A worker could not do what it was asked to."""


class Worker:
    """A process that runs ``experiments.measuring.worker``; use it in a ``with`` block.

    Args:
        huge_pages: whether its allocator uses huge pages.
        environment: extra environment variables.
    """

    def __init__(self, huge_pages: bool = False, environment: dict[str, str] | None = None) -> None:
        # Several processes may share a GPU; none may take all of its memory at startup.
        variables = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **(environment or {})}
        if huge_pages:
            variables = allocator.with_huge_pages(variables)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.measuring.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=variables,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for the answer.

        Raises:
            WorkerError: it failed, ended, or did not answer in time.
        """
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=LIMIT_SECONDS)
        except queue.Empty:
            self.close()
            raise WorkerError(f"no answer within {LIMIT_SECONDS:.0f} s") from None
        except OSError as error:
            raise WorkerError(f"its process has ended: {error}") from error
        if not line:
            raise WorkerError(f"its process ended with status {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def close(self) -> None:
        """Ends the process; one that is at rest may remove its files."""
        with contextlib.suppress(OSError):  # unsent input
            self._process.stdin.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def all_workers(contestants: Sequence[Contestant]) -> Iterator[dict[str, Worker]]:
    """A worker for each contestant, by name."""
    with contextlib.ExitStack() as stack:
        yield {c.name: stack.enter_context(Worker(c.huge_pages)) for c in contestants}


def measure(
    contestants: Sequence[Contestant], rounds: int, workers: dict[str, Worker]
) -> dict[str, Measured]:
    """Measures contestants in turns: round after round, a few runs of each.

    ``workers`` maps each contestant's name to a worker, which may serve several cases in turn.
    Returns the measurements by name.
    """
    found = {c.name: _prepare(c, workers[c.name]) for c in contestants}
    for i in range(rounds):
        for contestant in contestants:
            name, so_far = contestant.name, found[contestant.name]
            if so_far.failure or i >= contestant.rounds:
                continue
            try:
                so_far.seconds.extend(workers[name].ask(run=RUNS_A_TURN)["seconds"])
            except WorkerError as error:
                found[name] = so_far._replace(failure=str(error))
    return {name: _with_memory(one, workers[name]) for name, one in found.items()}


def _prepare(contestant: Contestant, worker: Worker) -> Measured:
    try:
        reply = worker.ask(
            prepare=contestant.case, framework=contestant.framework, options=contestant.options
        )
    except WorkerError as error:
        return Measured([], failure=str(error))
    return Measured([], reply["seconds"])


def _with_memory(measured: Measured, worker: Worker) -> Measured:
    if measured.failure:
        return measured
    try:
        return measured._replace(peak_bytes=worker.ask(memory=True)["peak_bytes"])
    except WorkerError as error:
        return measured._replace(failure=str(error))
