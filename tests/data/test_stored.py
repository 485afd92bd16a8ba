"""Images in a file behave like the array they were."""

import gc
import io
import os

import numpy as np
import pytest

from jaxdl.data import StoredImages, batch_groups
from jaxdl.data.stored import blocks, write_images
from jaxdl.errors import ConfigError, DataError


@pytest.fixture
def images(rng):
    """Twenty small colour images."""
    return rng.integers(0, 256, (20, 4, 5, 3), dtype=np.uint8)


@pytest.fixture
def stored(images, tmp_path):
    """The same in a file."""
    with (tmp_path / "images.npy").open("wb") as file:
        assert write_images(file, images.shape[1:], iter(images)) == len(images)
    return StoredImages(tmp_path / "images.npy")


ROWS = [slice(3, 7), slice(None), slice(5, 2), slice(1, 19, 4), np.array([19, 0, 3, 3]), [2, 1]]


@pytest.mark.parametrize("rows", ROWS, ids=str)
def test_rows_are_the_arrays_rows(rows, stored, images):
    np.testing.assert_array_equal(stored[rows], images[rows])
    np.testing.assert_array_equal(stored.view(0, 20)[rows], images[rows])
    np.testing.assert_array_equal(stored.view(5, 15)[2:4], images[7:9])


def test_it_is_an_npy_file_and_an_array(stored, images):
    np.testing.assert_array_equal(np.load(stored.path), images)
    np.testing.assert_array_equal(np.asarray(stored), images)
    np.testing.assert_array_equal(np.concatenate(list(blocks(stored))), images)
    assert (stored.shape, stored.dtype, stored.ndim, len(stored)) == (images.shape, "uint8", 4, 20)


def test_a_row_that_is_not_there_is_an_index_error(stored):
    with pytest.raises(IndexError):
        stored[np.array([20])]


def test_the_file_is_closed_with_the_last_view(stored, images):
    stored = StoredImages(stored.path)
    descriptor, view = stored._file, stored.view(0, 2)
    del stored
    gc.collect()
    np.testing.assert_array_equal(view[:], images[:2])
    del view
    gc.collect()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_the_header_of_many_images_fits(tmp_path):
    with (tmp_path / "no.npy").open("wb") as file:
        assert write_images(file, (1, 1, 1), iter(np.zeros((12345, 1, 1, 1), np.uint8))) == 12345
    assert StoredImages(tmp_path / "no.npy").shape == (12345, 1, 1, 1)


def test_damaged_files_are_refused(stored, tmp_path):
    whole = stored.path.read_bytes()
    for name, content in (
        ("short", whole[:-1]),
        ("long", whole + b"x"),
        ("text", b"nothing"),
        ("floats", _npy(np.zeros((1, 2, 2, 1)))),
        ("flat", _npy(np.zeros(4, np.uint8))),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            StoredImages(tmp_path / name)
    with pytest.raises(DataError, match="No such file"):
        StoredImages(tmp_path / "missing")


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error(stored):
    os.truncate(stored.path, 200)
    with pytest.raises(DataError, match="cut short"):
        stored[np.array([19])]


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_batches_come_in_the_order_asked_for(stored, images, rng):
    batches = rng.permutation(20)[:18].reshape(6, 3)
    for source in (stored, images):
        groups = np.concatenate(list(batch_groups(source, batches, size=4, first=1)))
        np.testing.assert_array_equal(groups[:5], images[batches[1:]])
        assert groups.shape[0] == 8
        assert not groups[5:].any()
    with pytest.raises(ConfigError, match="size"):
        batch_groups(stored, batches, size=0)


def test_an_error_while_reading_reaches_the_reader(stored):
    os.truncate(stored.path, 200)
    with pytest.raises(DataError, match="cut short"):
        list(batch_groups(stored, np.arange(20).reshape(5, 4), size=2))
