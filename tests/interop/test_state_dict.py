import numpy as np
import pytest

from jaxdl import interop
from jaxdl.errors import WeightsError, WorkdirError

ARRAYS = {
    "main.0.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "main.1.num_batches_tracked": np.array(5, np.int64),
}


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt", "pth"])
def test_what_is_saved_comes_back(tmp_path, suffix):
    path = tmp_path / f"deep/weights.{suffix}"
    interop.save_state_dict(path, {"old": np.ones(1)})
    interop.save_state_dict(str(path), ARRAYS)
    back = interop.load_state_dict(str(path))
    assert set(back) == set(ARRAYS)
    if suffix != "safetensors":  # which has an order of its own
        assert list(back) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_lists_and_jax_arrays_are_saved_too(tmp_path):
    import jax.numpy as jnp

    path = tmp_path / "weights.safetensors"
    interop.save_state_dict(path, {"a": [1.0, 2.0], "b": jnp.ones(2)})
    back = interop.load_state_dict(path)
    assert back["a"].tolist() == [1, 2]
    assert back["b"].dtype == np.float32


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt", "pth"])
def test_a_damaged_file_is_named(tmp_path, suffix):
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(b"PK, but nothing else of an archive")
    with pytest.raises(WeightsError, match=f"broken.{suffix}: "):
        interop.load_state_dict(path)


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot read .*none.npz: No such file"):
        interop.load_state_dict(tmp_path / "none.npz")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(WeightsError, match=r"cannot read .*folder.pt: Is a directory"):
        interop.load_state_dict(tmp_path / "folder.pt")


def test_other_suffixes_are_refused_with_the_possible_ones(tmp_path):
    with pytest.raises(WeightsError, match=r"kept in \.h5; possible: .safetensors, .npz, .pt"):
        interop.load_state_dict(tmp_path / "weights.h5")
    with pytest.raises(WeightsError, match=r"kept in \.onnx; possible: .safetensors, .npz, .pt"):
        interop.save_state_dict(tmp_path / "weights.onnx", ARRAYS)
    with pytest.raises(WeightsError, match="without suffix"):
        interop.load_state_dict(tmp_path / "weights")


def test_an_array_the_format_lacks_is_named_with_the_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(WeightsError, match=r"weights.safetensors: entry 'a' has type complex"):
        interop.save_state_dict(path, {"a": np.ones(1, complex)})
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_a_workdir_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError):
        interop.save_state_dict(tmp_path / "file" / "weights.npz", ARRAYS)
