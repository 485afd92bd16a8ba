"""The other processes of a run: noticing that one is gone, and failing together.

A collective operation waits for every process. If one of them is killed or its machine is lost,
the others would wait for minutes and end with the stack of a C++ thread. So each process says
every two seconds, in JAX's own coordination service, that it is there, and looks whether the others
did. A process that has been silent for 30 seconds (:data:`SILENCE`), or says that it has failed,
ends the whole run: every other process names it and exits with status 1. The same commands
continue the run from its last checkpoint.

JAX's own heartbeat (``heartbeat_timeout_seconds``) is no substitute. Set to 20 seconds it ends the
others after 16 to 18, killed or stopped, but by SIGABRT with 12 to 42 lines of a C++ stack that do
not say what to do, and it cannot tell the others what error a process ended with. It is set
to 60 seconds, behind this one.

Process 0 is home to the coordination service. If it is killed, JAX's own client ends the others at
once, with status 134 and the words "another task died".
"""

import atexit
import contextlib
import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import jax

from jaxdl.errors import DeviceError, JaxdlError, TrainingError, brief

T = TypeVar("T")

INTERVAL = 2.0  # seconds between two signs of life
SILENCE = 30.0  # seconds without one after which a process counts as gone
TOGETHER_TIMEOUT = 300.0  # seconds that processes may be apart where they wait for each other
_SIGNS, _STEPS = "jaxdl/peers", "jaxdl/together"
_STATUS = re.compile(r"[A-Z_]{5,}: ")  # how XLA's messages begin: "UNKNOWN: Gloo AllGather failed"
_DONE, _FAILED = "done", "failed: "

_heartbeat: "Heartbeat | None" = None
_calls = itertools.count()  # of `together`, so that each has keys of its own


def exit_at_once(message: str, status: int = 1) -> NoReturn:
    """Prints one message and ends this process: without waiting for processes that are gone."""
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(status)


class Heartbeat:
    """Gives signs of life and looks for those of the others, in a thread of its own.

    Args:
        client: JAX's client of the coordination service.
        process: this process's number.
        count: number of processes.
        give_up: called with what is wrong; does not return.
        interval: seconds between two looks.
        silence: seconds without a sign after which a process counts as gone.
    """

    def __init__(
        self,
        client: Any,
        process: int,
        count: int,
        give_up: Callable[[str], Any] = exit_at_once,
        interval: float = INTERVAL,
        silence: float = SILENCE,
    ) -> None:
        self.client, self.process, self.count = client, process, count
        self.give_up, self.interval, self.silence = give_up, interval, silence
        self._over = threading.Event()
        self._beats = 0
        self._seen: dict[int, tuple[str, float]] = {}
        self._last_look = time.monotonic()
        self._last_answer = self._last_look

    def start(self) -> None:
        """Begins."""
        threading.Thread(target=self._run, name="jaxdl-peers", daemon=True).start()

    def say(self, sign: str) -> None:
        """Leaves a sign for the others."""
        self.client.key_value_set(f"{_SIGNS}/{self.process}", sign, allow_overwrite=True)

    def stop(self, sign: str) -> None:
        """Says how this process ends, and ends the looking."""
        self._over.set()
        with contextlib.suppress(Exception):  # the service may be gone, and nobody there to tell
            self.say(sign)

    def _run(self) -> None:
        while not self._over.wait(self.interval):
            problem = self.look(time.monotonic())
            if problem and not self._over.is_set():
                self.give_up(problem)

    def look(self, now: float) -> str | None:
        """One sign, and one look at the others: what is wrong, if anything is."""
        if now - self._last_look > self.silence / 2:  # this process itself was stopped for a while
            self._seen, self._last_answer = {}, now
        self._last_look = now
        try:
            self._beats += 1
            self.say(str(self._beats))
            found = dict(self.client.key_value_dir_get(_SIGNS))
        except Exception as error:  # whatever jaxlib raises
            if now - self._last_answer <= self.silence:
                return None
            return _message(0, f"has not answered for {self.silence:g} seconds ({brief(error)})")
        self._last_answer = now
        return self._judge(found, now)

    def _judge(self, found: dict[str, str], now: float) -> str | None:
        for process in range(self.count):
            sign = found.get(f"{_SIGNS}/{process}", "")
            if process == self.process or sign == _DONE:
                continue
            if sign.startswith(_FAILED):
                return _message(process, f"ended with {sign.removeprefix(_FAILED)!r}")
            before, since = self._seen.setdefault(process, (sign, now))
            if sign != before:
                self._seen[process] = (sign, now)
            elif now - since > self.silence:
                return _message(process, f"has given no sign of life for {self.silence:g} seconds")
        return None


def start_heartbeat() -> None:
    """Starts this process's heartbeat, if there are others; ``join_processes`` calls this."""
    global _heartbeat
    client, process, count = _distributed()
    if client is None or count < 2 or _heartbeat is not None:
        return
    _heartbeat = Heartbeat(client, process, count)
    _heartbeat.start()
    atexit.register(_say_how_it_ended)


@contextlib.contextmanager
def lost_peers_are_errors() -> Iterator[None]:
    """Turns what JAX raises where the connection to another process breaks into one message.

    Raises:
        TrainingError: JAX failed, and there are other processes.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, RuntimeError, ValueError) as error:
        if _heartbeat is None or not _is_from_xla(error):
            raise
        raise TrainingError(
            f"JAX failed with {brief(error)!r}; most likely another process is gone: look at its "
            "messages; the same commands continue the run from its last checkpoint"
        ) from error


def _is_from_xla(error: Exception) -> bool:
    """Whether XLA raised it: where it fails at once, jaxlib makes it a plain built-in error."""
    if isinstance(error, jax.errors.JaxRuntimeError):
        return True
    return type(error) in (RuntimeError, ValueError) and bool(_STATUS.match(str(error)))


def leave(message: str, status: int) -> None:
    """Ends this process after an error, if there are others: they are told, and not waited for.

    Args:
        message: the error, which the others print.
        status: exit status.
    """
    if _heartbeat is None:
        return
    _heartbeat.stop(_FAILED + message)
    if _heartbeat.process == 0:  # the service ends with this process: leave the others time to read
        time.sleep(3 * INTERVAL)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def together(name: str, action: Callable[[], T]) -> T:
    """Does something in every process; where it fails in one, it fails in all.

    All processes have done it, or failed, before any goes on.

    Args:
        name: a name for it; all processes do the same things in the same order.
        action: what to do.

    Returns:
        What the action returned here.

    Raises:
        JaxdlError: the action's own error, or another process's as a DeviceError.

    Example:
        >>> together("adding", lambda: 1 + 1)
        2
    """
    client, process, count = _distributed()
    if client is None or count < 2:
        return action()
    try:
        result, problem = action(), None
    except JaxdlError as error:
        result, problem = None, error
    step = f"{_STEPS}/{next(_calls)}-{name}"
    client.key_value_set(f"{step}/{process}", str(problem) if problem else "")
    if problem:
        raise problem
    for other in range(count):
        found = _wait_for(client, f"{step}/{other}", other)
        if found:
            raise DeviceError(f"process {other}: {found}")
    return result


def _wait_for(client: Any, key: str, process: int) -> str:
    try:
        return client.blocking_key_value_get(key, int(1000 * TOGETHER_TIMEOUT))
    except Exception as error:  # whatever jaxlib raises
        raise DeviceError(_message(process, f"did not come this far ({brief(error)})")) from error


def _distributed() -> tuple[Any, int, int]:
    """JAX's client of the coordination service (None without one), this process, and how many."""
    # JAX has no public way to this service, which its own checkpointing uses likewise.
    from jax._src import distributed

    state = distributed.global_state
    return state.client, state.process_id, state.num_processes


def _say_how_it_ended() -> None:
    """At the interpreter's end: done, or failed if an exception was never caught."""
    error = getattr(sys, "last_value", None)
    if error is not None:
        leave(f"{type(error).__name__}: {brief(error)}", 1)
    if _heartbeat is not None:
        _heartbeat.stop(_DONE)


def _message(process: int, what: str) -> str:
    return (
        f"process {process} {what}: this process ends too. Look at the messages of process "
        f"{process}; the same commands continue the run from its last checkpoint"
    )
