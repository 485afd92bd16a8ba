"""One process that measures: it makes a contestant ready and runs it when told to.

It reads requests from its standard input, one JSON object a line, and answers each with one line:

* ``{"prepare": "dcgan", "framework": "jax", "options": {…}}`` → ``{"seconds": …, "run_seconds":
  …}``, the time until the contestant had run once, and what of it its first run took: compilation
  and one run;
* ``{"run": 3}`` → ``{"seconds": [3 times, each of one step]}``, after one run that does not count:
  a process that has waited for its turn finds its caches, and some of its pages, gone;
* ``{"describe": "jax"}`` → where the framework runs, as words;
* ``{"memory": true}`` → ``{"peak_bytes": …}``, the process's largest resident size so far.

A failure is answered by ``{"error": …}``. The end of the input ends the process.
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
        run: does ``steps`` steps and waits until they are done; may return their metrics.
        steps: how many one call does.
        is_long: whether a call takes so long that it needs no run before it that does not count.
    """

    run: Callable[[], Any]
    steps: int = 1
    is_long: bool = False


def prepare(framework: str, case: str, options: dict[str, Any]) -> Prepared:
    """Makes a contestant: ``CASES[case](**options)`` of the framework's module."""
    return _cases_of(framework).CASES[case](**options)


def _cases_of(framework: str) -> ModuleType:
    return import_module(f"experiments.measuring.{framework}_cases")


def answer(request: dict[str, Any], held: list[Prepared]) -> dict[str, Any]:
    """Does what a request asks for; ``held`` keeps the contestant between requests."""
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
        except Exception as error:  # whatever a contestant fails with is the answer
            reply = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Whatever libraries print must not get between the answers.
    answers_file = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers_file)
