"""A measuring process: it prepares a contestant and runs it on request.

It reads requests from standard input, one JSON object per line, and answers each with one line:

* ``{"prepare": "dcgan", "framework": "jax", "options": {…}}`` → ``{"seconds": …, "run_seconds":
  …}``: the time until the contestant had run once, and the part of it spent in that run
  (compilation and one run);
* ``{"run": 3}`` → ``{"seconds": [3 times, each of one step]}``, after one warm-up run, because a
  process that waited for its turn has lost its caches and some of its pages;
* ``{"describe": "jax"}`` → where the framework runs, in words;
* ``{"memory": true}`` → ``{"peak_bytes": …}``, the process's peak resident size so far.

Failures are answered with ``{"error": …}``. End of input ends the process.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple, TextIO


class Prepared(NamedTuple):
    """A contestant that is ready to run.

    Attributes:
        run: does ``steps`` steps and waits for them; may return their metrics.
        steps: number of steps per call.
        is_long: whether a call takes so long that it needs no warm-up.
    """

    run: Callable[[], Any]
    steps: int = 1
    is_long: bool = False


def prepare(framework: str, case: str, options: dict[str, Any]) -> Prepared:
    """Prepares a contestant: ``CASES[case](**options)`` of the framework's module."""
    return _cases_of(framework).CASES[case](**options)


def _cases_of(framework: str) -> ModuleType:
    return import_module(f"experiments.measuring.{framework}_cases")


def answer(request: dict[str, Any], held: list[Prepared]) -> dict[str, Any]:
    """Answers a request; ``held`` keeps the contestant between requests."""
    if "prepare" in request:
        held.clear()
        begin = time.perf_counter()
        held.append(prepare(request["framework"], request["prepare"], request["options"]))
        ready = time.perf_counter()
        held[0].run()
        end = time.perf_counter()
        return {"seconds": end - begin, "run_seconds": end - ready}
    if "run" in request:
        if not held[0].is_long:
            held[0].run()
        return {"seconds": [_seconds(held[0]) for _ in range(request["run"])]}
    if "describe" in request:
        return _cases_of(request["describe"]).describe()
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def _seconds(contestant: Prepared) -> float:
    begin = time.perf_counter()
    contestant.run()
    return (time.perf_counter() - begin) / contestant.steps


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answers requests until there are no more."""
    held: list[Prepared] = []
    for line in requests:
        try:
            reply = answer(json.loads(line), held)
        except Exception as error:  # any failure of a contestant is an answer
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Keep library output away from the answers.
    answers_file = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers_file)
