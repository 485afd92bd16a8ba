"""Time from starting a fresh process to its first step, without and with the compilation cache."""

import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from experiments.measuring.plan import Machine, Sizes
from experiments.measuring.workers import Worker


def import_seconds(module: str, times: int = 3) -> float:
    """Median time to start an interpreter and import a module, minus a start without the import."""

    def run(statement: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - begin

    return statistics.median(run(f"import {module}") - run("pass") for _ in range(times))


def first_step(
    framework: str, options: dict[str, Any], cache: str | None, huge: bool
) -> tuple[float, float]:
    """Seconds from process start to the end of the first DCGAN step, and in the step itself."""
    environment = {} if cache is None else {"JAXDL_CACHE_DIR": cache}
    begin = time.perf_counter()
    with Worker(huge, environment) as worker:
        reply = worker.ask(prepare="dcgan", framework=framework, options=options)
        return time.perf_counter() - begin, reply["run_seconds"]


def measure_start_up(machine: Machine, sizes: Sizes) -> dict[str, float]:
    """Seconds of each kind of start.

    Raises:
        WorkerError: a process failed.
    """
    size = {"features": sizes.features, "batch_size": sizes.batch_size}
    found = {"import jax": import_seconds("jax"), "import jaxdl": import_seconds("jaxdl")}
    with tempfile.TemporaryDirectory() as cache:
        ours = {**size, "cache": True}
        for state in ("empty", "filled"):
            whole, step = first_step("jax", ours, cache, machine.huge_pages)
            found[f"jaxdl, cache {state}: process to first DCGAN step"] = whole
            found[f"jaxdl, cache {state}: compiling and that step"] = step
    if machine.torch:
        found["import torch"] = import_seconds("torch")
        whole, _ = first_step("torch", size, None, machine.huge_pages)
        found["PyTorch eager: process to first DCGAN step"] = whole
    return found
