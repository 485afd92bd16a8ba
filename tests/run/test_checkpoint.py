"""Every file of a real checkpoint is damaged in every way; nothing of it may go unnoticed."""

import functools
import json
import shutil
from pathlib import Path

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.errors import CheckpointError
from jaxdl.models import Discriminator, Generator
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.manifest import MANIFEST
from jaxdl.training import gan


@functools.cache
def first_state():
    adam = optax.adam(2e-4, b1=0.5)
    networks = Generator(2, image_size=16), Discriminator(2, image_size=16)
    return gan.create_state(jax.random.key(0), *networks, adam, adam)


def state_of(step):
    """A GAN's state whose every number depends on the step."""
    return jax.tree.map(lambda leaf: np.asarray(leaf) + step, first_state())


def save(folder, *steps, **options):
    with CheckpointStore(folder, **options) as store:
        for step in steps:
            store.save(step, state_of(step), {"seconds": 0.1 + step, "step": step})


def assert_same(ours, theirs):
    plain = flax.serialization.to_state_dict
    for one, other in zip(
        jax.tree.leaves(plain(ours)), jax.tree.leaves(plain(theirs)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def files_of(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Checkpoints of steps 4 and 9."""
    folder = tmp_path_factory.mktemp("two")
    save(folder, 4, 9)
    return folder


def flip(place, bit):
    def harm(path):
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 1 << bit
        path.write_bytes(data)

    return harm


def truncate(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def replace_by_link(path):
    elsewhere = next(p for p in path.parents if p.name in ("4", "9")).with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


HARMS = {
    "first bit": flip(0, 0),
    "middle bit": flip(0.5, 3),
    "last bit": flip(1, 7),
    "cut in half": truncate(0.5),
    "emptied": truncate(0),
    "one byte longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "missing": lambda path: path.unlink(),
    "a link": replace_by_link,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


def test_every_file_is_attacked_in_every_way(two, tmp_path):
    names = files_of(two / "9")
    assert len(names) >= 8
    assert Path(MANIFEST) in names
    target, expected = state_of(0), state_of(4)
    for name in names:
        for way, harm in HARMS.items():
            folder = tmp_path / "attacked"
            shutil.copytree(two, folder)
            harm(folder / "9" / name)
            with CheckpointStore(folder) as store:
                assert store.find_sound() == 4, (name, way)
                (notice,) = store.notices
                assert f"checkpoint 9 in {folder} is damaged ({name}" in notice, (name, way)
                assert "step 4" in notice
                if way == "middle bit":
                    state, meta = store.restore(target)
                    assert meta == {"seconds": 4.1, "step": 4}
                    assert_same(state, expected)
                    assert (folder / "9.damaged").is_dir()
                    assert not (folder / "9").exists()
            shutil.rmtree(folder)


def test_a_foreign_file_is_noticed_in_every_folder(two, tmp_path):
    folders = [p.relative_to(two / "9") for p in (two / "9").rglob("*") if p.is_dir()]
    for folder in [Path("."), *folders]:
        attacked = tmp_path / "attacked"
        shutil.copytree(two, attacked)
        (attacked / "9" / folder / "note.txt").write_text("hello")
        with CheckpointStore(attacked) as store:
            assert store.find_sound() == 4
        assert f"{(folder / 'note.txt').as_posix()} is unexpected" in store.notices[0]
        shutil.rmtree(attacked)


@pytest.mark.parametrize("harm", list(HARMS))
def test_none_sound_is_an_error_and_nothing_is_changed(two, tmp_path, harm):
    shutil.copytree(two, tmp_path, dirs_exist_ok=True)
    for step in ("4", "9"):
        HARMS[harm](tmp_path / step / files_of(tmp_path / step)[-1])
    before = sorted(p.name for p in tmp_path.iterdir())
    for _ in range(2):
        with (
            CheckpointStore(tmp_path) as store,
            pytest.raises(CheckpointError, match=r"no checkpoint in .* is sound \(9: .*; 4: "),
        ):
            store.restore(state_of(0))
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_only_damaged_ones_left_is_an_error_too(two, tmp_path):
    shutil.copytree(two / "9", tmp_path / "9.damaged")
    with CheckpointStore(tmp_path) as store, pytest.raises(CheckpointError, match="is sound"):
        assert store.find_sound()


def test_a_checkpoint_of_another_step_s_name_is_refused(two, tmp_path):
    shutil.copytree(two / "9", tmp_path / "12")
    with CheckpointStore(tmp_path) as store, pytest.raises(CheckpointError, match="is of step 9"):
        store.restore(state_of(0))


def test_what_a_kill_leaves_is_removed_at_the_next_start(two, tmp_path):
    shutil.copytree(two, tmp_path, dirs_exist_ok=True)
    for name in ("12.part", "10.orbax-checkpoint-tmp-77"):
        shutil.copytree(two / "9", tmp_path / name)
    (tmp_path / "12.part" / MANIFEST).unlink()
    with CheckpointStore(tmp_path, write=False) as store:
        assert store.find_sound() == 9
    assert (tmp_path / "12.part").exists()
    with CheckpointStore(tmp_path) as store:
        assert store.find_sound() == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == ["4", "9"]


def test_a_step_that_was_damaged_can_be_saved_again(two, tmp_path):
    shutil.copytree(two, tmp_path, dirs_exist_ok=True)
    (tmp_path / "9" / MANIFEST).unlink()
    with CheckpointStore(tmp_path) as store:
        store.restore(state_of(0))
        store.save(9, state_of(9), {"again": True})
    with CheckpointStore(tmp_path) as store:
        state, meta = store.restore(state_of(0))
    assert meta == {"again": True}
    assert_same(state, state_of(9))


def test_another_network_is_refused_with_the_first_differences(tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(1, {"w": np.zeros((3, 4), np.float32), "b": np.zeros(4), "old": np.ones(2)}, {})
    target = {"w": np.zeros((3, 5), np.float32), "b": np.zeros(4, np.float16), "new": np.ones(2)}
    with CheckpointStore(tmp_path) as store, pytest.raises(CheckpointError) as caught:
        store.restore(target)
    message = str(caught.value)
    assert str(tmp_path / "1") in message
    assert "b: float64 (4,) there, float16 (4,) wanted" in message
    assert "new: missing, float64 (2,) wanted" in message
    assert "old: float64 (2,) there, nothing wanted" in message
    assert "w: float32 (3, 4) there, float32 (3, 5) wanted" in message


def test_another_configuration_is_refused_with_the_first_differences(tmp_path):
    with CheckpointStore(tmp_path, identity={"learning_rate": 0.1, "widths": (3, 4)}) as store:
        store.save(1, {"w": np.zeros(3)}, {})
    with CheckpointStore(tmp_path, identity={"learning_rate": 0.1, "widths": (3, 4)}) as store:
        store.restore({"w": np.zeros(3)})
    with (
        CheckpointStore(tmp_path, identity={"learning_rate": 0.2, "widths": (3, 4)}) as store,
        pytest.raises(CheckpointError, match=r"learning_rate: 0\.1 there, 0\.2 wanted"),
    ):
        store.restore({"w": np.zeros(3)})


def test_the_newest_two_and_the_multiples_are_kept(tmp_path):
    save(tmp_path, *range(1, 9), keep_every=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "6", "7", "8"]


def test_types_and_structure_come_back_as_they_were(tmp_path):
    state = {
        "half": np.arange(3, dtype=jnp.bfloat16),
        "step": np.int32(7),
        "empty": {},
        "none": None,
        "deep": [np.float32(1e-45), (np.array([True, False]), np.uint8([255]))],
    }
    with CheckpointStore(tmp_path) as store:
        store.save(1, state, {"sums": [0.1 + 0.2, 1e308], "text": "ä"})
    with CheckpointStore(tmp_path) as store:
        back, meta = store.restore(jax.tree.map(np.zeros_like, state))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for ours, theirs in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert meta == {"sums": [0.1 + 0.2, 1e308], "text": "ä"}


def test_the_manifest_lists_every_file_and_is_json(two):
    content = json.loads((two / "9" / MANIFEST).read_text())["content"]
    assert sorted(content["files"]) == [
        name.as_posix() for name in files_of(two / "9") if name != Path(MANIFEST)
    ]
    assert content["leaves"]["generator/params/conv_transpose_0/kernel"] == "float32 (4, 4, 100, 4)"


def test_the_manifest_is_written_last_and_everything_is_synced(tmp_path, monkeypatch):
    order = []
    from jaxdl.run import checkpoint, manifest

    synced = set()
    fsync = manifest.os.fsync

    def note_sync(descriptor):
        synced.add(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    rename = Path.rename

    def note_rename(path, target):
        if path.name == "5.part":
            order.append(sorted(p.name for p in path.iterdir()))
            order.append({p for p in [path, *path.rglob("*")] if p.resolve() not in synced})
        return rename(path, target)

    monkeypatch.setattr(manifest.os, "fsync", note_sync)
    monkeypatch.setattr(checkpoint.Path, "rename", note_rename)
    log = tmp_path / "metrics.jsonl"
    log.write_text("{}\n")
    save(tmp_path / "checkpoints", 5, sync_first=(log,))
    assert order == [[MANIFEST, "state"], set()]
    assert {log, tmp_path / "checkpoints"} <= synced
