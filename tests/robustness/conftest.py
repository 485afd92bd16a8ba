"""Comparing what two runs have left in their folders, to the last bit."""

import contextlib
import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import orbax.checkpoint as ocp
import pytest

TIMES = ("seconds", "images_per_second")


@pytest.fixture
def runs():
    """What tests ask of the folders of runs."""
    return SimpleNamespace(assert_same=assert_same_run, pictures=pictures, summary=summary)


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


def summary(folder, apart_from=()):
    """Without times: seconds, rates, and what was compiled in which session."""
    path = folder / "summary.json"
    if not path.exists():
        return None
    found = untimed(json.loads(path.read_text()))
    return {name: value for name, value in found.items() if name not in apart_from}


def untimed(value):
    if not isinstance(value, dict):
        return value
    kept = {n: v for n, v in value.items() if "seconds" not in n and "per_second" not in n}
    return {name: untimed(v) for name, v in kept.items()}


def pictures(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".png", ".gif", ".html") and path.name != "report.html"  # states times
    }


def assert_same_run(killed, whole, apart_from=()):
    """Bit for bit; but for what the summary says under some names."""
    ours, theirs = newest(checkpoints(killed)), newest(checkpoints(whole))
    assert sorted(ours) == sorted(theirs)
    for name, (leaves, meta, state) in theirs.items():
        assert ours[name][:2] == (leaves, meta)
        flat = [np.asarray(leaf) for leaf in flatten(state)]
        for one, other in zip(flatten(ours[name][2]), flat, strict=True):
            assert np.asarray(one).tobytes() == other.tobytes()
    assert records(killed) == records(whole)
    assert pictures(killed) == pictures(whole)
    assert summary(killed, apart_from) == summary(whole, apart_from)
    left = [p for p in killed.rglob("*") if ".part" in p.name or "tmp" in p.name]
    assert left == []


def flatten(tree):
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in flatten(tree[name])]
    if isinstance(tree, list | tuple):
        return [leaf for item in tree for leaf in flatten(item)]
    return [] if tree is None else [tree]


@pytest.fixture
def no_data_outside(monkeypatch, tmp_path):
    """No test sees the machine's data folders or reaches a real mirror by accident."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds_default"))
    monkeypatch.setenv("JAXDL_MNIST_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("JAXDL_DATA_DIR", raising=False)


@contextlib.contextmanager
def end_within(seconds):
    """Ends what takes longer, such as opening a pipe that nobody writes to."""

    def give_up(*_):
        raise TimeoutError(f"not done in {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _folder(path):
    path.mkdir()


def _pipe(path):
    os.mkfifo(path)


def _loop(path):
    path.symlink_to(path)


def _two_loops(path):
    other = path.with_name("other")
    other.symlink_to(path)
    path.symlink_to(other)


def _dangling(path):
    path.symlink_to(path.with_name("nothing"))


def _endless_device(path):
    path.symlink_to("/dev/zero")


def _empty_device(path):
    path.symlink_to("/dev/null")


NO_FILES = [_folder, _pipe, _loop, _two_loops, _dangling, _endless_device, _empty_device]


@pytest.fixture
def within():
    """Gives a block so many seconds."""
    return end_within


@pytest.fixture(params=NO_FILES)
def no_file(request):
    """Makes something that is no file at a path."""
    return request.param


@pytest.fixture(params=NO_FILES[1:])
def no_folder(request):
    """Makes something that is no folder at a path."""
    return request.param
