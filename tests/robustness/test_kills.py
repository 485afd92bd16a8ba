"""Programs killed with SIGKILL at random moments, started again, and compared to the last bit."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

KILLS = 7  # of each program: 14 in all

PROGRAMS = {
    "dcgan": (
        *("--preset", "smoke", "--batch_size", "160", "--epochs", "4", "--max_steps", "110"),
        *("--sample_every", "10", "--save_every_steps", "5", "--save_every_seconds", "0.3"),
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


def is_saving(folder):
    return any(folder.glob("checkpoints/**/*.part"))


def newest_step(folder):
    """The steps of the newest checkpoints of all runs in a folder, added up."""
    runs = {}
    for path in folder.glob("checkpoints/**/manifest.json"):
        if path.parent.name.isdigit():
            step = int(path.parent.name)
            runs[path.parent.parent] = max(step, runs.get(path.parent.parent, 0))
    return sum(runs.values())


def kill_somewhere(random_, process, folder, longest):
    """Kills a process at a random moment, or in the middle of the first save after it.

    Returns:
        In which phase it was killed; None if it was done before.
    """
    begin_step, begin = newest_step(folder), time.monotonic()
    moment, wait_for_save = random_.uniform(0.3, longest), random_.random() < 0.35
    while process.poll() is None:
        waited = time.monotonic() - begin
        if waited > moment and (not wait_for_save or is_saving(folder) or waited > 2 * longest):
            saving = is_saving(folder)
            process.kill()
            process.communicate()
            if saving:
                return "saving"
            return "start-up" if newest_step(folder) == begin_step else "training or drawing"
        time.sleep(0.001)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return None


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(tmp_path, program, runs):
    cache, whole = tmp_path / "cache", tmp_path / "whole"
    finish(program, whole, cache)
    begin = time.monotonic()
    finish(program, tmp_path / "second", cache)
    longest = time.monotonic() - begin
    runs.assert_same(tmp_path / "second", whole)
    assert runs.pictures(whole)
    assert runs.summary(whole)
    random_, phases, folders = random.Random(program), [], 0
    while len(phases) < KILLS:
        folders += 1
        folder = tmp_path / f"killed{folders}"
        phase = "not started"
        while phase is not None and len(phases) < KILLS:
            phase = kill_somewhere(random_, start(program, folder, cache), folder, longest)
            phases += [phase] if phase else []
        finish(program, folder, cache)
        runs.assert_same(folder, whole)
    counts = {phase: phases.count(phase) for phase in sorted(set(phases))}
    print(f"{program}: {len(phases)} kills {counts} in {folders} runs of {longest:.1f} s")
    assert {"saving", "start-up"} <= set(phases)


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
