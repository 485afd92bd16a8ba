import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from jaxdl.data.sources.idx import (
    IDXError,
    find_idx_files,
    read_folder,
    read_idx,
    read_split,
    write_idx,
)
from jaxdl.errors import DataError, DataUnavailableError, ShapeError

# 2 images of 1×3 pixels, written out by hand.
CONTENT = bytes.fromhex("00000803 00000002 00000001 00000003 000102 fdfeff".replace(" ", ""))


def _write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_reads_plain_and_gzip_whatever_the_name(tmp_path, pack, name):
    array = read_idx(_write(tmp_path / name, pack(CONTENT)))
    np.testing.assert_array_equal(array, [[[0, 1, 2]], [[253, 254, 255]]])
    assert array.dtype == np.uint8
    assert array.flags.writeable


def test_writes_the_published_bytes(tmp_path):
    write_idx(tmp_path / "a", np.array([[[0, 1, 2]], [[253, 254, 255]]], np.uint8))
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", "<i4", "<f4", "<f8", ">i4"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_type_survives(tmp_path, rng, dtype, suffix):
    array = rng.integers(0, 100, (3, 4, 5)).astype(dtype)
    write_idx(tmp_path / f"a{suffix}", array)
    result = read_idx(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(result, array)
    assert result.dtype == array.dtype.newbyteorder("=")


def test_write_refuses_what_idx_cannot_hold(tmp_path):
    with pytest.raises(ShapeError, match="int64"):
        write_idx(tmp_path / "a", np.zeros(3, np.int64))
    with pytest.raises(ShapeError, match=r"shape \(\)"):
        write_idx(tmp_path / "a", np.uint8(3))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "offset", "problem"),
    [
        (b"", 0, "inside the magic"),
        (CONTENT[:3], 3, "inside the magic"),
        (b"\1" + CONTENT[1:], 0, "0x01000803"),
        (CONTENT[:2] + b"\x07" + CONTENT[3:], 2, "type code 0x07"),
        (b"\0\0\x08\0", 3, "no dimension"),
        (CONTENT[:13], 13, "3 dimensions"),
        (CONTENT[:-1], 21, "1 bytes early"),
        (CONTENT[:16], 16, "6 bytes early"),
        (CONTENT + b"\0", 22, "surplus"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"\0", 4, "cannot hold"),
        (b"\0\0\x08\xff" + b"\xff" * 1020, 3, "255 dimensions"),
    ],
)
def test_damaged_content_names_file_and_byte(tmp_path, pack, content, offset, problem):
    path = _write(tmp_path / "damaged", pack(content))
    with pytest.raises(IDXError) as caught:
        read_idx(path)
    if pack is bytes and problem.endswith("early"):
        offset, problem = 4, "cannot hold"  # a plain file's length is known beforehand
    assert (caught.value.path, caught.value.offset) == (path, offset)
    assert problem in str(caught.value)
    assert f"{path}: byte {offset}: " in str(caught.value)


def test_every_truncation_and_flipped_bit_of_gzip_is_noticed(tmp_path):
    packed = gzip.compress(CONTENT, mtime=0)
    path = tmp_path / "a.gz"
    for length in range(len(packed)):
        _write(path, packed[:length])
        with pytest.raises(IDXError):
            read_idx(path)
    for position in range(10, len(packed)):  # beyond gzip's own header, whose fields are free
        damaged = bytearray(packed)
        damaged[position] ^= 0x10
        _write(path, bytes(damaged))
        with pytest.raises(IDXError):
            read_idx(path)


def test_giant_header_allocates_nothing(tmp_path):
    header = b"\0\0\x08\x03" + struct.pack(">III", 50_000, 200, 200)  # 2 GB announced
    bomb = _write(tmp_path / "bomb.gz", gzip.compress(header + bytes(1000)) + bytes(2_000_000))
    plain = _write(tmp_path / "plain", header + bytes(1000))
    tracemalloc.start()
    for path in (bomb, plain):
        with pytest.raises(IDXError):
            read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_unreadable_file_is_a_data_error(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="cannot read"):
        read_idx(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.stat", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        read_idx(tmp_path / "a")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_reads_a_folder(tmp_path, write_folder, made_parts, suffix):
    train, test = read_folder(write_folder(tmp_path / "d", suffix), 10)
    np.testing.assert_array_equal(train.images[..., 0], made_parts["train_images"])
    np.testing.assert_array_equal(test.labels, made_parts["test_labels"])
    assert train.images.shape == (30, 28, 28, 1)
    assert train.labels.dtype == np.int32


def test_plain_file_wins_and_course_spelling_is_found(tmp_path, write_folder):
    folder = write_folder(write_folder(tmp_path / "d"), ".gz")
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "t10k-labels.idx1-ubyte")
    files = find_idx_files(folder)
    assert files["train_images"].name == "train-images-idx3-ubyte"
    assert files["test_labels"].name == "t10k-labels.idx1-ubyte"


def test_missing_files(tmp_path, write_folder):
    with pytest.raises(DataUnavailableError, match="does not exist"):
        find_idx_files(tmp_path / "none")
    with pytest.raises(DataUnavailableError, match="train-images"):
        find_idx_files(tmp_path)
    folder = write_folder(tmp_path / "d")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="lacks t10k-labels-idx1-ubyte") as caught:
        find_idx_files(folder)
    assert not isinstance(caught.value, DataUnavailableError)
    with pytest.raises(DataError, match="it is a folder"):
        find_idx_files(folder / "train-labels-idx1-ubyte")


@pytest.mark.parametrize(
    ("images", "labels", "which", "offset", "problem"),
    [
        (np.zeros((3, 2, 2), np.uint8), np.zeros(2, np.uint8), "labels", 4, "2 labels for the 3"),
        (np.zeros((3, 2, 2), np.uint8), np.array([0, 9, 10], np.uint8), "labels", 10, "label 10"),
        (np.zeros((3, 2, 2), np.uint8), np.zeros((3, 1), np.uint8), "labels", 3, "2 dimensions"),
        (np.zeros((3, 4), np.uint8), np.zeros(3, np.uint8), "images", 3, "2 dimensions"),
        (np.zeros((3, 2, 2), np.int16), np.zeros(3, np.uint8), "images", 2, "int16"),
        (np.zeros((0, 2, 2), np.uint8), np.zeros(0, np.uint8), "images", 4, "no images"),
        (np.zeros((3, 2, 0), np.uint8), np.zeros(3, np.uint8), "images", 12, "no images"),
    ],
)
def test_pair_that_does_not_fit(tmp_path, images, labels, which, offset, problem):
    paths = {"images": tmp_path / "images", "labels": tmp_path / "labels"}
    write_idx(paths["images"], images)
    write_idx(paths["labels"], labels)
    with pytest.raises(IDXError, match=problem) as caught:
        read_split(paths["images"], paths["labels"], 10)
    assert (caught.value.path, caught.value.offset) == (paths[which], offset)


def test_what_is_no_array_yet_is_written_too(tmp_path):
    write_idx(tmp_path / "a.idx", (np.uint8(7), np.uint8(9)))
    assert read_idx(tmp_path / "a.idx").tolist() == [7, 9]
    with pytest.raises(ShapeError, match="cannot hold int64"):
        write_idx(tmp_path / "b.idx", [7, 9])
