"""Detects lost processes, so that all processes of a run fail together.

A collective waits for every process. If one is killed or its machine is lost, the others would wait
for minutes and end with a C++ stack trace. Therefore each process sends a heartbeat through JAX's
coordination service every two seconds and checks those of the others. If a process has been silent
for 30 seconds (:data:`SILENCE`) or reports a failure, every other process names it and exits with
status 1. The same commands resume the run from its last checkpoint.

JAX's own heartbeat (``heartbeat_timeout_seconds``) is no substitute. Set to 20 seconds, it ends the
others after 16 to 18, whether the process was killed or suspended, but through SIGABRT with 12 to
42 lines of C++ stack that do not say what to do. Nor can it tell the others which error ended a
process. It is set to 60 seconds, after this one.

Process 0 hosts the coordination service. If it is killed, JAX's client ends the others at once,
with status 134 and the words "another task died".
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

INTERVAL = 2.0  # seconds between heartbeats
SILENCE = 30.0  # seconds without a heartbeat after which a process counts as lost
TOGETHER_TIMEOUT = 300.0  # seconds that a process waits for another in `together`
_SIGNS, _STEPS = "jaxdl/peers", "jaxdl/together"
_STATUS = re.compile(r"[A-Z_]{5,}: ")  # how XLA's messages begin: "UNKNOWN: Gloo AllGather failed"
_DONE, _FAILED = "done", "failed: "

_heartbeat: "Heartbeat | None" = None
_calls = itertools.count()  # numbers the calls of `together`, for unique keys


def exit_at_once(message: str, status: int = 1) -> NoReturn:
    """Prints one message and ends this process without waiting for the others."""
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(status)


class Heartbeat:
    """Sends heartbeats and checks those of the other processes, in a background thread.

    Args:
        client: JAX's client of the coordination service.
        give_up: called with a description of the problem; should not return.
        interval: seconds between heartbeats.
        silence: seconds without a heartbeat after which a process counts as lost.
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
        """Starts the thread."""
        threading.Thread(target=self._run, name="jaxdl-peers", daemon=True).start()

    def say(self, sign: str) -> None:
        """Publishes this process's status."""
        self.client.key_value_set(f"{_SIGNS}/{self.process}", sign, allow_overwrite=True)

    def stop(self, sign: str) -> None:
        """Publishes how this process ends, and stops checking."""
        self._over.set()
        with contextlib.suppress(Exception):  # the service may already be gone
            self.say(sign)

    def _run(self) -> None:
        while not self._over.wait(self.interval):
            problem = self.look(time.monotonic())
            if problem and not self._over.is_set():
                self.give_up(problem)

    def look(self, now: float) -> str | None:
        """Sends one heartbeat and checks the others; describes the problem, if there is one."""
        if now - self._last_look > self.silence / 2:  # this process itself was suspended
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
                return _message(process, f"has sent no heartbeat for {self.silence:g} seconds")
        return None


def start_heartbeat() -> None:
    """Starts this process's heartbeat if there are others; called by ``join_processes``."""
    global _heartbeat
    client, process, count = _distributed()
    if client is None or count < 2 or _heartbeat is not None:
        return
    _heartbeat = Heartbeat(client, process, count)
    _heartbeat.start()
    atexit.register(_say_how_it_ended)


@contextlib.contextmanager
def lost_peers_are_errors() -> Iterator[None]:
    """Turns the errors that JAX raises when a connection breaks into a TrainingError.

    Without other processes, errors pass unchanged.
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
    """Whether XLA raised the error, possibly as a plain built-in exception."""
    if isinstance(error, jax.errors.JaxRuntimeError):
        return True
    return type(error) in (RuntimeError, ValueError) and bool(_STATUS.match(str(error)))


def leave(message: str, status: int) -> None:
    """Ends this process with a status after an error, telling the others but not waiting for them.

    Returns if there are no other processes.
    """
    if _heartbeat is None:
        return
    _heartbeat.stop(_FAILED + message)
    if _heartbeat.process == 0:  # it hosts the service: give the others time to read the message
        time.sleep(3 * INTERVAL)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def together(name: str, action: Callable[[], T]) -> T:
    """Runs an action in every process; if it fails in one, it fails in all.

    No process continues before all have finished. All processes must make the same calls in order.
    Raises the action's own error, or another process's as a DeviceError.

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
        raise DeviceError(_message(process, f"did not get this far ({brief(error)})")) from error


def _distributed() -> tuple[Any, int, int]:
    """JAX's coordination client (None without one), this process's number, and their count."""
    # JAX offers no public access to this service; Orbax uses the same attribute.
    from jax._src import distributed

    state = distributed.global_state
    return state.client, state.process_id, state.num_processes


def _say_how_it_ended() -> None:
    """At exit: reports success, or failure after an uncaught exception."""
    error = getattr(sys, "last_value", None)
    if error is not None:
        leave(f"{type(error).__name__}: {brief(error)}", 1)
    if _heartbeat is not None:
        _heartbeat.stop(_DONE)


def _message(process: int, what: str) -> str:
    return (
        f"process {process} {what}: this process exits too. Look at the messages of process "
        f"{process}; the same commands continue the run from its last checkpoint"
    )
