"""Programs killed with SIGKILL at random moments, started again, and compared to the last bit."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest

TIMES = ("seconds", "images_per_second")
KILLS = 17  # of each program: 34 in all

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
    said, _ = process.communicate(timeout=120)
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


def checkpoints(folder):
    """Every array of every run's newest checkpoint, and what is remembered beside them."""
    found = {}
    for manifest in folder.glob("checkpoints/**/manifest.json"):
        step = manifest.parent
        content = json.loads(manifest.read_text())["content"]
        meta = {n: v for n, v in content["meta"].items() if "seconds" not in n}
        with ocp.StandardCheckpointer() as checkpointer:
            state = checkpointer.restore(step / "state")
        found[step.relative_to(folder).as_posix()] = (content["leaves"], meta, state)
    return found


def newest(found):
    best = {}
    for name in found:
        run, step = name.rsplit("/", 1)
        best[run] = max(best.get(run, 0), int(step))
    return {f"{run}/{step}": found[f"{run}/{step}"] for run, step in best.items()}


def records(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{n: v for n, v in json.loads(line).items() if n not in TIMES} for line in lines]


def summary(folder):
    """Without times: seconds, rates, and what was compiled in which session."""
    path = folder / "summary.json"
    return untimed(json.loads(path.read_text())) if path.exists() else None


def untimed(value):
    if not isinstance(value, dict):
        return value
    kept = {n: v for n, v in value.items() if "seconds" not in n and "per_second" not in n}
    return {name: untimed(v) for name, v in kept.items()}


def pictures(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".png", ".gif", ".html")
    }


def assert_same_run(killed, whole):
    ours, theirs = newest(checkpoints(killed)), newest(checkpoints(whole))
    assert sorted(ours) == sorted(theirs)
    for name, (leaves, meta, state) in theirs.items():
        assert ours[name][:2] == (leaves, meta)
        flat = [np.asarray(leaf) for leaf in flatten(state)]
        for one, other in zip(flatten(ours[name][2]), flat, strict=True):
            assert np.asarray(one).tobytes() == other.tobytes()
    assert records(killed) == records(whole)
    assert pictures(killed) == pictures(whole)
    assert summary(killed) == summary(whole)
    left = [p for p in killed.rglob("*") if ".part" in p.name or "tmp" in p.name]
    assert left == []


def flatten(tree):
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in flatten(tree[name])]
    if isinstance(tree, list | tuple):
        return [leaf for item in tree for leaf in flatten(item)]
    return [] if tree is None else [tree]


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(tmp_path, program):
    cache, whole = tmp_path / "cache", tmp_path / "whole"
    finish(program, whole, cache)
    begin = time.monotonic()
    finish(program, tmp_path / "second", cache)
    longest = time.monotonic() - begin
    assert_same_run(tmp_path / "second", whole)
    assert pictures(whole)
    assert summary(whole)
    random_, phases, folders = random.Random(program), [], 0
    while len(phases) < KILLS:
        folders += 1
        folder = tmp_path / f"killed{folders}"
        phase = "not started"
        while phase is not None and len(phases) < KILLS:
            phase = kill_somewhere(random_, start(program, folder, cache), folder, longest)
            phases += [phase] if phase else []
        finish(program, folder, cache)
        assert_same_run(folder, whole)
    counts = {phase: phases.count(phase) for phase in sorted(set(phases))}
    print(f"{program}: {len(phases)} kills {counts} in {folders} runs of {longest:.1f} s")
    assert {"saving", "start-up"} <= set(phases)


def test_the_comparison_sees_a_single_bit(tmp_path):
    from jaxdl.training.checkpoint import CheckpointStore

    for name, value in (("a", 1.0), ("b", np.nextafter(np.float32(1), 2))):
        (tmp_path / name).mkdir()
        with CheckpointStore(tmp_path / name / "checkpoints") as store:
            store.save(1, {"w": np.full(3, value, np.float32)}, {"step": 1})
        Path(tmp_path / name / "metrics.jsonl").write_text('{"step": 1, "seconds": 2}\n')
    assert_same_run(tmp_path / "a", tmp_path / "a")
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "b", tmp_path / "a")
