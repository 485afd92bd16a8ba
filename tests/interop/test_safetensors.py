import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.errors import WeightsError
from jaxdl.interop.safetensors import MAX_TABLE_BYTES, decode, encode


def file(table, data=b"", length=None):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_format_byte_by_byte():
    written = encode({"a.b": np.array([[1, 258]], ">i2"), "c": np.array(0.5, np.float32)})
    table = (
        b'{"a.b": {"dtype": "I16", "shape": [1, 2], "data_offsets": [4, 8]}, '
        b'"c": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}'
    )
    padded = table + b" " * (-len(table) % 8)
    data = b"\x00\x00\x00\x3f" + b"\x01\x00\x02\x01"
    assert written == len(padded).to_bytes(8, "little") + padded + data


def test_a_file_of_another_writer():
    # Compact JSON, metadata, and entries in another order than their data.
    table = (
        b'{"__metadata__":{"format":"pt"},"late":{"dtype":"U8","shape":[2],"data_offsets":[8,10]},'
        b'"early":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
    )
    arrays = decode(file(table, np.float64(2.5).tobytes() + b"\x07\x08"))
    assert list(arrays) == ["late", "early"]
    assert arrays["late"].tolist() == [7, 8]
    assert arrays["early"].tolist() == [2.5]


TYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", ">f4", ">i8"]


@pytest.mark.parametrize("dtype", [*TYPES, jnp.bfloat16], ids=str)
def test_every_type_comes_back(dtype, rng):
    arrays = {
        "matrix": rng.integers(0, 100, (3, 5)).astype(dtype),
        "transposed": rng.integers(0, 100, (3, 5)).astype(dtype).T,
        "scalar": np.array(3).astype(dtype),
        "empty": np.zeros((0, 4)).astype(dtype),
    }
    back = decode(encode(arrays))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == np.dtype(dtype).newbyteorder("=")
        assert back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)


def test_no_arrays_at_all():
    assert decode(encode({})) == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"\x05\x00\x00", "3 bytes"),
        (file({}, length=3), "cut off|twice|JSON"),
        (file({}, length=2**63), "cut off"),
        (file(b" " * (MAX_TABLE_BYTES + 1)), "at most"),
        (file(b"[]"), "not a JSON object"),
        (file(b"{"), "JSON"),
        (file(b"\xff{}"), "JSON"),
        (file(b"[" * 100_000), "JSON"),
        (file(b'{"a":' + b"1" * 5000 + b"}"), "JSON"),
        (file(b'{"a": {}, "a": {}}'), "twice"),
        (file({"__metadata__": {"a": 1}}), "strings"),
        (file({"__metadata__": []}), "strings"),
        (file({"a": 1}), "'a' must have"),
        (file({"a": entry() | {"more": 1}}, bytes(8)), "'a' must have"),
        (file({"a": entry(dtype="F31")}, bytes(8)), "unknown dtype"),
        (file({"a": entry(dtype=["F32"])}, bytes(8)), "unknown dtype"),
        (file({"a": entry(shape=[-2])}, bytes(8)), "shape"),
        (file({"a": entry(shape=[2.0])}, bytes(8)), "shape"),
        (file({"a": entry(shape=[True, 2])}, bytes(8)), "shape"),
        (file({"a": entry(shape=[1] * 32 + [2])}, bytes(8)), "shape"),
        (file({"a": entry(shape=[2**47, 2**47])}, bytes(8)), "does not fill"),
        (file({"a": entry(shape=[0, 2**47, 2**47], offsets=[0, 0])}), "no possible array"),
        (file({"a": entry(offsets=[0, 8, 8])}, bytes(8)), "data_offsets"),
        (file({"a": entry(offsets=[8, 0])}, bytes(8)), "8 to 0"),
        (file({"a": entry(offsets=[0, 8])}, bytes(7)), "0 to 8 of 7"),
        (file({"a": entry(offsets=[0, 10**20])}, bytes(8)), "data_offsets"),
        (file({"a": entry(shape=[3])}, bytes(8)), "does not fill its 8 bytes"),
        (file({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)), "'b' .* overlaps"),
        (file({"a": entry(), "b": entry()}, bytes(8)), "overlaps"),
        (file({"a": entry(), "b": entry(offsets=[9, 17])}, bytes(17)), "'b' .* gap"),
        (file({"a": entry()}, bytes(9)), "1 bytes after the last"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_defect_is_named(data, message, frugal):
    with frugal(megabytes=64), pytest.raises(WeightsError, match=message):
        decode(data)


def test_what_cannot_be_written_is_refused():
    with pytest.raises(WeightsError, match="'a' has type complex64"):
        encode({"a": np.ones(2, np.complex64)})
    with pytest.raises(WeightsError, match="'a' has type object"):
        encode({"a": np.array([None])})
    with pytest.raises(WeightsError, match="__metadata__"):
        encode({"__metadata__": np.ones(2)})


SAMPLE = encode({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(3)})


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=4), st.integers(0, 8))
def test_damage_ends_in_arrays_or_a_weights_error(survives, position, new, dropped):
    survives(decode, SAMPLE[:position] + new + SAMPLE[position + dropped :])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BF16", "X"]) | _JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | _JSON,
        "data_offsets": st.lists(st.integers(-1, 16), min_size=2, max_size=2) | _JSON,
    }
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=3), _ENTRY | _JSON, max_size=3), st.binary(max_size=16))
def test_any_table_ends_in_arrays_or_a_weights_error(survives, table, data):
    survives(decode, file(table, data))
