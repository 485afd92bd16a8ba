import io
import zipfile

import numpy as np
import pytest

from jaxdl.errors import WeightsError
from jaxdl.interop.npz import decode, encode


def npy(array=None, header=None, data=b"", version=b"\x01\x00"):
    """A .npy file: NumPy's, or one with a header written by hand."""
    if header is None:
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=True)
        return stream.getvalue()
    text = header.encode()
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


def zipped(entries, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def header(shape="(2,)", descr="'<f4'", fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


def test_numpy_and_this_module_read_each_other(rng):
    arrays = {
        "main.0.weight": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "fortran": np.asfortranarray(rng.normal(size=(3, 5))),
        "scalar": np.array(7),
        "bool": np.array([True, False]),
        "file": np.zeros((0, 2), np.float16),
    }
    with np.load(io.BytesIO(encode(arrays))) as theirs:
        assert theirs.files == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(theirs[name], array)
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **{name: array for name, array in arrays.items() if name != "file"})
        ours = decode(stream.getvalue())
        assert list(ours) == ["main.0.weight", "fortran", "scalar", "bool"]
        for name, array in ours.items():
            assert array.dtype == arrays[name].dtype
            np.testing.assert_array_equal(array, arrays[name])


def test_equal_arrays_give_equal_bytes():
    assert encode({"a": np.ones(3)}) == encode({"a": np.ones(3)})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a zip archive"),
        (b"PK\x03\x04 no more than a beginning", "not a zip archive"),
        (zipped({"a.npy": npy(np.ones(4))})[:-30], "not a zip archive"),
        (zipped({"a.npy": b""}), "'a' has no readable .npy header"),
        (zipped({"a.npy": npy(header=header(), version=b"\x07\x00")}), "no readable"),
        (zipped({"a.npy": npy(header=header(shape="(" * 500))}), "no readable"),
        (zipped({"a.npy": npy(header="{__import__('os').system('true')}")}), "no readable"),
        (zipped({"a.npy": npy(header=header(shape="(2L,)"), data=bytes(8))}), "no readable"),
        (zipped({"a.npy": npy(np.array([None, print]))}), "'a' has type object"),
        (zipped({"a.npy": npy(header=header(descr="[('x', '<f4')]"))}), "'a' has type"),
        (zipped({"a.npy": npy(np.array(["text"]))}), "'a' has type <U4"),
        (zipped({"a.npy": npy(header=header(descr="'|b1'"), data=b"\0\2")}), "'a' of type bool"),
        (zipped({"a.npy": npy(header=header(shape="(10**15,)"))}), "no readable"),
        (zipped({"a.npy": npy(header=header(shape=f"({10**15},)"))}), "does not fill its 0"),
        (zipped({"a.npy": npy(header=header(shape=f"(0x{5000 * 'f'},)"))}), "no readable"),
        (zipped({"a.npy": npy(header=header(shape="(-2,)"), data=bytes(8))}), "does not fill"),
        (zipped({"a.npy": npy(header=header(shape="(-1, -2)"), data=bytes(8))}), "not fill"),
        (zipped({"a.npy": npy(header=header(), data=bytes(9))}), "does not fill its 9"),
        (zipped({"a.npy": npy(np.ones(2)), "a": npy(np.ones(2))}), "'a' occurs twice"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_defect_is_named(data, message, frugal):
    with frugal(), pytest.raises(WeightsError, match=message):
        decode(data)


def test_a_changed_number_is_noticed():
    data = bytearray(zipped({"a.npy": npy(np.arange(100.0))}))
    data[400] ^= 1
    with pytest.raises(WeightsError, match=r"'a\.npy' cannot be read"):
        decode(bytes(data))


@pytest.mark.parametrize("damage", ["a dtype", "a shape", "another name in the directory"])
def test_a_message_stays_short_whatever_the_name(damage):
    name = 60_000 * "n"
    shape = f"({200 * '1, '}2)"
    faults = {"a dtype": npy(np.array(["text"])), "a shape": npy(header=header(shape=shape))}
    data = bytearray(zipped({name: faults.get(damage, npy(np.ones(2)))}))
    if damage not in faults:
        data[data.rindex(b"nn")] = ord("m")
    with pytest.raises(WeightsError, match=r"entry 'nnn") as caught:
        decode(bytes(data))
    assert len(str(caught.value)) < 1000


def test_a_zip_bomb_is_not_unpacked(frugal):
    bomb = bytearray(zipped({"a.npy": bytes(100_000)}, zipfile.ZIP_DEFLATED))
    directory = bomb.rindex(b"PK\x01\x02")
    bomb[directory + 24 : directory + 28] = (2**31).to_bytes(4, "little")  # the unpacked size
    with frugal(), pytest.raises(WeightsError, match="unpacks to 2147483648 bytes"):
        decode(bytes(bomb))


def test_what_cannot_be_written_is_refused():
    with pytest.raises(WeightsError, match="'a' has type object"):
        encode({"a": np.array([None])})
