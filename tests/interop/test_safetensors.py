import json
from contextlib import suppress

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors

from jaxdl.errors import WeightsError
from jaxdl.interop.safetensors import MAX_TABLE_BYTES, decode, encode


def file(table, data=b"", length=None):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_format_byte_by_byte():
    written = encode({"a.b": np.array([[1, 258]], ">i2"), "c": np.array(0.5, np.float32)})
    table = {"c": entry(shape=[], offsets=[0, 4]), "a.b": entry("I16", [1, 2], [4, 8])}
    length = int.from_bytes(written[:8], "little")
    assert json.loads(written[8 : 8 + length]) == table
    assert written[8 + length :] == b"\x00\x00\x00\x3f" + b"\x01\x00\x02\x01"
    assert length % 8 == 0


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


TYPES = ["?", "f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", ">f4", ">i8"]


@pytest.mark.parametrize("dtype", [*TYPES, jnp.bfloat16], ids=str)
def test_every_type_comes_back(dtype, rng):
    arrays = {
        "matrix": rng.integers(0, 100, (3, 5)).astype(dtype),
        "transposed": rng.integers(0, 100, (3, 5)).astype(dtype).T,
        "scalar": np.array(3).astype(dtype),
        "empty": np.zeros((0, 4)).astype(dtype),
        "expanded": np.broadcast_to(np.array(7).astype(dtype), (2, 3)),
        "every other": np.arange(6).astype(dtype)[::-2],
    }
    back = decode(encode(arrays))
    assert list(back) == sorted(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == np.dtype(dtype).newbyteorder("=")
        assert back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)


def test_no_arrays_at_all():
    assert decode(encode({})) == {}


DAMAGED = "cut off, damaged, or not a safetensors file"
TWICE = b'"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", DAMAGED),
        (b"\x05\x00\x00", DAMAGED),
        (file({}, length=3), DAMAGED),
        (file({}, length=2**63), "9223372036854775808 bytes, at most 5000000 can be read"),
        (file(b" " * (MAX_TABLE_BYTES + 1)), "5000001 bytes, at most 5000000 can be read"),
        (file(b"[]"), DAMAGED),
        (file(b"{"), DAMAGED),
        (file(b"\xff{}"), DAMAGED),
        (file(b"[" * 100_000), DAMAGED),
        (file(b'{"a":' * 100_000), DAMAGED),
        (file(b'{"a":' + b"1" * 5000 + b"}"), DAMAGED),
        (file(b'{"a": {}, "a": {}}'), DAMAGED),
        (file(b"{" + TWICE + b"," + TWICE + b"}", bytes(8)), "a name occurs twice"),
        (file({"__metadata__": {"a": 1}}), DAMAGED),
        (file({"__metadata__": []}), DAMAGED),
        (file({"a": 1}), DAMAGED),
        (file(b'{"a": {"dtype": "F32", ' + TWICE[6:] + b"}", bytes(8)), DAMAGED),
        (file({"a": entry(dtype="F31")}, bytes(8)), DAMAGED),
        (file({"a": entry(dtype=["F32"])}, bytes(8)), DAMAGED),
        (file({"a": entry("F8_E5M2", [8])}, bytes(8)), "'a' has type F8_E5M2; possible: F64"),
        (file({"a": entry("F4", [16])}, bytes(8)), "'a' has type F4; possible"),
        (file({"a": entry("C64", [1])}, bytes(8)), "'a' has type C64; possible"),
        (file({"a": entry("BOOL", [8])}, bytes(7) + b"\2"), "'a' of type bool has bytes other"),
        (file({"a": entry(shape=[-2])}, bytes(8)), DAMAGED),
        (file({"a": entry(shape=[2.0])}, bytes(8)), DAMAGED),
        (file({"a": entry(shape=[True, 2])}, bytes(8)), DAMAGED),
        (file({"a": entry(shape=[1] * 64 + [2])}, bytes(8)), "cannot be an array"),
        (file({"a": entry(shape=[2**47, 2**47])}, bytes(8)), DAMAGED),
        (file({"a": entry(shape=[0, 2**47, 2**47], offsets=[0, 0])}), "cannot be an array"),
        (file({"a": entry(offsets=[0, 8, 8])}, bytes(8)), DAMAGED),
        (file({"a": entry(offsets=[8, 0])}, bytes(8)), DAMAGED),
        (file({"a": entry(offsets=[0, 8])}, bytes(7)), DAMAGED),
        (file({"a": entry(offsets=[-8, 0])}, bytes(8)), DAMAGED),
        (file({"a": entry(offsets=[0, 10**20])}, bytes(8)), DAMAGED),
        (file({"a": entry(shape=[3])}, bytes(8)), DAMAGED),
        (file({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)), DAMAGED),
        (file({"a": entry(), "b": entry()}, bytes(8)), DAMAGED),
        (file({"a": entry(), "b": entry(offsets=[9, 17])}, bytes(17)), DAMAGED),
        (file({"a": entry()}, bytes(9)), DAMAGED),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_defect_is_named(data, message, frugal):
    with frugal(megabytes=64), pytest.raises(WeightsError, match=message) as caught:
        decode(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [b"[" * 50_000 + b"]" * 50_000, b"1" * 5000])
def test_fields_that_the_format_lacks_do_no_harm(value):
    data = file(b"{" + TWICE[:-1] + b', "more": ' + value + b"}}", bytes(8))
    with suppress(WeightsError):
        assert decode(data)["a"].tolist() == [0, 0]


def test_a_message_stays_short_and_plain_whatever_the_name():
    name = "\x1b[31m" + 60_000 * "n"
    for table in ({name: entry(offsets=[9, 17])}, {"a": entry(dtype=name)}):
        with pytest.raises(WeightsError, match=DAMAGED) as caught:
            decode(file(table, bytes(17)))
        assert len(str(caught.value)) < 1000
        assert "\x1b" not in str(caught.value)


def test_a_table_takes_memory_in_proportion(frugal):
    """Entries without data are the most that fit into a table."""
    entries = (b'"%x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(9000))
    table = b"{" + b",".join(entries) + b"}"
    with frugal(megabytes=40 * len(table) / 2**20):
        assert len(decode(file(table))) == 9000


def test_equal_arrays_give_equal_bytes():
    arrays = {f"layer.{i}": np.full(2, i) for i in range(20)}
    assert encode(arrays) == encode(dict(reversed(arrays.items())))


def test_what_cannot_be_written_is_refused():
    with pytest.raises(WeightsError, match="'a' has type complex64"):
        encode({"a": np.ones(2, np.complex64)})
    with pytest.raises(WeightsError, match="'a' has type object"):
        encode({"a": np.array([None])})
    with pytest.raises(WeightsError, match="__metadata__"):
        encode({"__metadata__": np.ones(2)})


def test_metadata_is_for_other_programs(tmp_path):
    arrays = {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)}
    metadata = {"model": "a “network”", "size": "3"}
    data = encode(arrays, metadata)
    assert encode(arrays, metadata) == data
    back = decode(data)
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == metadata
