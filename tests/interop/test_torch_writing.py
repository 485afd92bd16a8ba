"""`.pt` files written without PyTorch, which PyTorch and our own reader load."""

import io
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import interop
from jaxdl.errors import WeightsError
from jaxdl.interop.restricted_pickle import interpret
from jaxdl.interop.torch_file import ALIGNMENT, decode, encode

REFERENCES = Path(__file__).parents[1] / "references"
ARRAYS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "counter": np.array(5, np.int64),
    "many": np.zeros(70_000, np.uint8),
    "empty": np.zeros((0, 3), np.float16),
    "mask": np.array([True, False]),
    "big": np.arange(3, dtype=">f8"),
    "ünïcode": np.array([-1], np.int16),
    "bfloat16": np.asarray(jnp.array([0.5, -3], jnp.bfloat16)),
}


def entries(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}


def test_what_is_written_is_read():
    back = decode(encode(ARRAYS))
    assert list(back) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype.newbyteorder("<")
        assert back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)
    assert decode(encode({})) == {}


def test_it_says_what_pytorch_said():
    """The stored file is PyTorch's: the same tensors, storages, offsets, shapes and strides."""
    theirs = (REFERENCES / "generator.pt").read_bytes()
    ours = encode(decode(theirs))
    assert encode(decode(theirs)) == ours
    assert interpret(entries(ours)["data.pkl"]) == interpret(entries(theirs)["data.pkl"])
    for name, content in entries(ours).items():
        if name != "data.pkl":
            assert content == entries(theirs)[name], name


def test_numbers_begin_at_multiples_of_64_bytes():
    data = encode(ARRAYS)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            content = archive.read(info)
            name, extra = data[info.header_offset + 26 :][:2], data[info.header_offset + 28 :][:2]
            lengths = (int.from_bytes(length, "little") for length in (name, extra))
            begin = info.header_offset + 30 + sum(lengths)
            assert begin % ALIGNMENT == 0
            assert data[begin : begin + len(content)] == content


@pytest.mark.parametrize("dtype", ["complex64", "U3", "O"])
def test_a_type_that_pytorch_lacks_is_refused(dtype, tmp_path):
    with pytest.raises(WeightsError, match=r"model.pt: entry 'a' has type .*possible: float64"):
        interop.save_state_dict(tmp_path / "model.pt", {"a": np.zeros(2, dtype)})
    assert list(tmp_path.iterdir()) == []


def test_pytorch_loads_every_type_and_shape(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "all.pt"
    interop.save_state_dict(path, ARRAYS)
    for mmap in (False, True):
        loaded = torch.load(path, weights_only=True, mmap=mmap)
        assert type(loaded).__name__ == "OrderedDict"
        assert list(loaded) == list(ARRAYS)
        for name, array in ARRAYS.items():
            tensor = loaded[name]
            assert tuple(tensor.shape) == array.shape
            assert tensor.is_contiguous()
            numbers = tensor.float() if name == "bfloat16" else tensor
            np.testing.assert_array_equal(numbers.numpy(), array)
