import json

import jax
import numpy as np
import pytest

from jaxdl.errors import CheckpointError, WorkdirError
from jaxdl.generation import load_generator
from jaxdl.run.checkpoint import CheckpointStore


def flip_a_bit(folder):
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 16
    largest.write_bytes(data)


def test_a_run_needs_nothing_but_its_checkpoint(run, generator):
    before = sorted((p, p.stat().st_mtime_ns) for p in run.rglob("*"))
    loaded = load_generator(str(run))
    assert loaded.model == generator.model
    assert loaded.source == f"{run}, step 3"
    np.testing.assert_array_equal(loaded.sample(3), generator.sample(3))
    assert sorted((p, p.stat().st_mtime_ns) for p in run.rglob("*")) == before


def test_the_newest_sound_checkpoint_serves(make_run, tmp_path):
    folder = make_run(tmp_path / "run", steps=(3, 5))
    (folder / "checkpoints" / "7.part").mkdir()
    assert load_generator(folder).source.endswith("step 5")
    flip_a_bit(folder / "checkpoints" / "5")
    assert load_generator(folder).source.endswith("step 3 (damaged: 5)")
    flip_a_bit(folder / "checkpoints" / "3")
    before = sorted(folder.rglob("*"))
    with pytest.raises(CheckpointError, match="is sound"):
        load_generator(folder)
    assert sorted(folder.rglob("*")) == before


def test_the_best_average_serves(make_run, made_up, tmp_path, generator):
    folder = make_run(tmp_path / "run", steps=(3, 5), best=3, averages=True)
    loaded = load_generator(folder)
    assert loaded.source.endswith("step 3")
    assert abs(loaded.sample(3) - generator.sample(3)).max() > 0.01
    expected = made_up(generator.variables, seed=13)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, expected)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match=r"not the folder of a run: it has no config.json"):
        load_generator(tmp_path)
    for text in ("{", "[]", "{}", "[" * 100_000):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(WorkdirError, match=r"config.json cannot be read"):
            load_generator(tmp_path)


def test_a_run_without_checkpoint_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"program": "dcgan"}))
    with pytest.raises(CheckpointError, match="has no checkpoint yet: train on"):
        load_generator(tmp_path)


def test_a_run_of_another_program_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"program": "mlp_l2"}))
    for folder in ("checkpoints", "checkpoints/baseline"):
        with CheckpointStore(tmp_path / folder) as store:
            store.save(1, {"params": {"fc": np.ones(3)}}, {})
    with pytest.raises(CheckpointError, match="a run of 'mlp_l2', which trains no generator"):
        load_generator(tmp_path)
    (tmp_path / "checkpoints" / "1").rename(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="a run of 'mlp_l2', which trains no generator"):
        load_generator(tmp_path)


@pytest.mark.parametrize("kernel", [np.ones((4, 4, 8, 3)), np.ones(3)])
def test_a_generator_of_another_kind_is_refused(tmp_path, kernel):
    (tmp_path / "config.json").write_text(json.dumps({"program": "mine"}))
    layers = {f"conv_transpose_{i}": {"kernel": kernel} for i in range(3)}
    with CheckpointStore(tmp_path / "checkpoints") as store:
        store.save(1, {"generator": {"params": layers}}, {})
    with pytest.raises(CheckpointError, match="is not a DCGAN"):
        load_generator(tmp_path)
