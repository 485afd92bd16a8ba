"""Programs killed with SIGKILL at random moments, started again, and compared to the last bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

# Of each program, one after the other: 14 kills in all.
PHASES = ("start-up", "saving", "training", "start-up", "saving", "training", "drawing")
DELAYS = {"start-up": 3.0, "saving": 0.01, "training": 0.3, "drawing": 0.1}  # most, in seconds

PROGRAMS = {
    "dcgan": (
        *("--preset", "smoke", "--batch_size", "160", "--epochs", "2", "--max_steps", "60"),
        *("--sample_every", "10", "--save_every_steps", "5", "--save_every_seconds", "0.3"),
        *("--features", "2"),
    ),
    "mlp_early_stopping": (
        *("--preset", "smoke", "--batch_size", "160", "--epochs", "3", "--max_steps", "60"),
        *("--save_every_steps", "4", "--patience", "1"),
    ),
}


def start(program, folder, cache):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAXDL_CACHE_DIR": str(cache),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "MPLBACKEND": "agg",
    }
    common = ("--data_source", "embedded", "--num_devices", "1", "--workdir", str(folder))
    command = [sys.executable, "-m", f"experiments.{program}", *PROGRAMS[program], *common]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    )


def finish(program, folder, cache):
    process = start(program, folder, cache)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def checkpoints(folder):
    """The folders below that of the checkpoints, in a walk that passes over what vanishes."""
    return [Path(path) for path, _, _ in os.walk(folder / "checkpoints")]


def is_saving(folder):
    return any(path.suffix == ".part" for path in checkpoints(folder))


def newest_step(folder):
    """The steps of the newest checkpoints of all runs in a folder, added up."""
    runs = {}
    for path in checkpoints(folder):
        if path.name.isdigit():
            runs[path.parent] = max(int(path.name), runs.get(path.parent, 0))
    return sum(runs.values())


def kill_in(phase, process, folder, random_):
    """Kills a process at a random moment of a phase; False if it was done before."""
    begin, steps, pictures = newest_step(folder), random_.randint(1, 8), random_.randint(1, 3)
    has_come = {
        "start-up": lambda: True,
        "saving": lambda: newest_step(folder) >= begin + steps and is_saving(folder),
        "training": lambda: newest_step(folder) >= begin + steps,
        "drawing": lambda: len([*folder.glob("*.png")]) >= pictures,
    }
    while process.poll() is None:
        if has_come[phase]():
            time.sleep(random_.uniform(0, DELAYS[phase]))
            break
        time.sleep(0.002)
    process.kill()
    said, _ = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(tmp_path, program, runs):
    cache, whole = tmp_path / "cache", tmp_path / "whole"
    finish(program, whole, cache)
    assert runs.pictures(whole)
    assert runs.summary(whole)
    random_, phases, folders = random.Random(program), list(PHASES), 0
    while phases:
        folders += 1
        folder, killed = tmp_path / f"killed{folders}", True
        while phases and killed:
            killed = kill_in(phases[0], start(program, folder, cache), folder, random_)
            phases = phases[killed:]
        finish(program, folder, cache)
        runs.assert_same(folder, whole)
    print(f"{program}: {len(PHASES)} kills in {folders} runs")


def test_the_comparison_sees_a_single_bit(tmp_path, runs):
    from jaxdl.run.checkpoint import CheckpointStore

    for name, value in (("a", 1.0), ("b", np.nextafter(np.float32(1), 2))):
        (tmp_path / name).mkdir()
        with CheckpointStore(tmp_path / name / "checkpoints") as store:
            store.save(1, {"w": np.full(3, value, np.float32)}, {"step": 1})
        Path(tmp_path / name / "metrics.jsonl").write_text('{"step": 1, "seconds": 2}\n')
    runs.assert_same(tmp_path / "a", tmp_path / "a")
    with pytest.raises(AssertionError):
        runs.assert_same(tmp_path / "b", tmp_path / "a")
