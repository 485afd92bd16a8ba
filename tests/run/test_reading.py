import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.errors import CheckpointError
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.reading import read_best

STATE = {
    "net": {"w": np.arange(6.0).reshape(2, 3), "half": np.asarray(jnp.ones(2, jnp.bfloat16))},
    "network": {"w": np.ones(3)},
    "opt": ({}, {"mu": np.zeros(4)}),
    "step": np.int32(7),
}


def test_only_what_is_asked_for_is_read(tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(2, STATE, {})
        store.save(7, STATE, {})
    part = read_best(tmp_path, ["net", "step", "nothing"])
    assert part.step == 7
    assert part.damaged == []
    assert set(part.tree) == {"net", "step"}
    np.testing.assert_array_equal(part.tree["net"]["w"], STATE["net"]["w"])
    assert part.tree["net"]["half"].dtype == jnp.bfloat16
    assert part.tree["step"] == 7
    assert read_best(tmp_path, ["opt/1"]).tree["opt"]["1"]["mu"].shape == (4,)
    assert read_best(tmp_path, ["nothing"]).tree == {}


def test_damaged_checkpoints_are_passed_over_and_left_alone(tmp_path):
    with CheckpointStore(tmp_path) as store:
        store.save(2, STATE, {})
        store.save(7, STATE, {})
    (tmp_path / "7" / "manifest.json").write_text("{}")
    part = read_best(tmp_path, ["step"])
    assert (part.step, part.damaged) == (2, [7])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "7"]
    (tmp_path / "2" / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is sound"):
        read_best(tmp_path, ["step"])


def test_no_folder_is_no_checkpoint(tmp_path):
    assert read_best(tmp_path / "none", ["step"]) is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("meta", [{"best": [2, 0.5]}, {"best": [5, 0.7], "best_at_end": [2, 0.5]}])
def test_the_best_checkpoint_is_read_if_it_is_sound(tmp_path, meta):
    with CheckpointStore(tmp_path) as store:
        for step in (2, 5, 7):
            store.save(step, {"step": np.int32(step)}, meta, best=2)
    assert read_best(tmp_path, ["step"]).tree["step"] == 2
    (tmp_path / "2" / "manifest.json").unlink()
    part = read_best(tmp_path, ["step"])
    assert (part.step, part.damaged) == (7, [2])
