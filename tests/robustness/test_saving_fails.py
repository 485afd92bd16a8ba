"""Disks that are full and folders that cannot be written to, at the moment of saving."""

import gc
import os
import resource
import subprocess

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import CheckpointError, JaxdlError
from jaxdl.run import checkpoint
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.fit import fit
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import Hook, RunOptions, Task

# Orbax leaves coroutines behind where a save fails; Python complains when it collects them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SCHEDULE = Schedule(200, 1, None, 1)
NOISE = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)  # not compressible


@pytest.fixture(autouse=True, scope="module")
def _collect_what_a_failed_save_left():
    yield
    gc.collect()  # once: it takes a second where many programs are compiled


def step(state, inputs, position, shard):
    return {"count": state["count"] + 1, "noise": state["noise"]}, {"count": state["count"]}


def run(folder, break_at=None, harm=None):
    """Saves every 20 steps; at one step harm is done. The save that fails has time to do so."""
    reached, stores = [], []

    def enter(store):
        stores.append(store)
        return store

    def hook(point, state):
        reached.append(point.step)
        if harm and point.step in (24, 45) and (saving := stores[0]._saving):
            saving[1].exception()  # the saves at steps 20 and 40 come to their ends
        if point.step == break_at:
            harm()

    start = {"count": jnp.float32(0), "noise": jnp.asarray(NOISE)}
    options = RunOptions(folder=folder, hooks=[Hook(hook, 1)], save_every_steps=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointStore, "__enter__", enter)
        try:
            return fit(Task(step, start, lambda epoch: 0), SCHEDULE, options), reached
        except JaxdlError as error:
            return error, reached


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))[0]


def assert_noticed_and_mended(folder, error, reached, mend, whole):
    """The error was raised soon, older checkpoints are intact, and the run goes on."""
    assert isinstance(error, CheckpointError), error
    assert "failed: " in str(error)
    assert "older checkpoints are intact" in str(error)
    assert reached[-1] <= 47, "the save at step 40 failed: noticed only at the next one"
    with CheckpointStore(folder / "checkpoints", write=False) as store:
        sound = store.find_sound()
        # Step 40 where only the last sync failed: it is whole then.
        assert sound in (20, 40)
    mend()
    fitted, _ = run(folder)
    assert fitted.resumed_from == sound
    assert float(fitted.state["count"]) == float(whole.state["count"]) == 200
    assert fitted.log.series("count") == whole.log.series("count")
    names = sorted(p.name for p in (folder / "checkpoints").iterdir())
    assert names == ["180", "200"]


def test_files_that_may_not_grow(tmp_path, whole):
    """The kernel's limit on a file's size: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        error, reached = run(
            tmp_path,
            *(25, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))),
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_noticed_and_mended(tmp_path, error, reached, lambda: None, whole)


def test_a_small_file_system_that_is_full(tmp_path, whole):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:

        def fill():
            with (disk / "ballast").open("wb") as file:
                file.write(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 300_000))

        error, reached = run(disk / "run", 25, fill)
        assert "no space left" in str(error).lower()
        assert_noticed_and_mended(disk / "run", error, reached, (disk / "ballast").unlink, whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_is_no_longer_one(tmp_path, whole):
    """The checkpoints are moved away and a file stands in their place."""
    folder = tmp_path / "checkpoints"

    def harm():
        folder.rename(tmp_path / "away")
        folder.write_text("not a folder")

    def mend():
        folder.unlink()
        (tmp_path / "away").rename(folder)

    error, reached = run(tmp_path, 25, harm)
    assert isinstance(error, CheckpointError)
    mend()
    assert_noticed_and_mended(tmp_path, error, reached, lambda: None, whole)


@pytest.mark.parametrize("place", ["_orbax_save", "write_manifest", "sync_folder", "_sync_file"])
def test_each_part_of_saving_may_fail(tmp_path, whole, monkeypatch, place):
    def refuse(*arguments):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        error, reached = run(tmp_path, 25, lambda: patch.setattr(checkpoint, place, refuse))
    assert "No space left on device" in str(error)
    assert_noticed_and_mended(tmp_path, error, reached, lambda: None, whole)


def test_the_last_save_s_failure_is_noticed_when_the_run_ends(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint, "write_manifest", refuse)
    with (
        pytest.raises(CheckpointError, match=r"step 3 .* failed: Permission denied"),
        CheckpointStore(tmp_path) as store,
    ):
        store.save(3, {"w": np.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failure_does_not_hide_what_ended_the_block(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint, "write_manifest", refuse)
    with pytest.raises(ZeroDivisionError), CheckpointStore(tmp_path) as store:  # noqa: PT012
        store.save(3, {"w": np.zeros(3)}, {})
        raise ZeroDivisionError
