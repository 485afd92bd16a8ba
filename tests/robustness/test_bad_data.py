"""A corpus of broken data sets: each ends in one DataError, soon, and in little memory."""

import gzip
import os
import struct
import zlib

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.data import (
    Split,
    load,
    make_dataset,
    normalize,
    to_signed_range,
    to_uint8,
    to_unit_range,
)
from jaxdl.data.sources.idx import IDX_STEMS, IDXError, read_idx, write_idx
from jaxdl.errors import ConfigError, DataError, ShapeError, UserError
from jaxdl.models import MLP
from jaxdl.run.classifier_task import ClassifierOptions
from jaxdl.run.classifiers import fit_classifier

pytestmark = pytest.mark.usefixtures("no_data_outside")


def idx(*shape, code=8, values=None):
    """The bytes of an IDX file, whatever they say."""
    header = struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape)
    return header + (bytes(int(np.prod(shape))) if values is None else values)


GOOD = {
    "train_images": idx(20, 4, 4),
    "train_labels": idx(20, values=bytes(range(10)) * 2),
    "test_images": idx(10, 4, 4),
    "test_labels": idx(10, values=bytes(range(10))),
}


@pytest.fixture
def make_folder(tmp_path):
    """Writes <tmp_path>/mnist; keywords replace single files' bytes."""

    def make(suffix="", **replacements):
        folder = tmp_path / "mnist"
        folder.mkdir(exist_ok=True)
        for role, content in (GOOD | replacements).items():
            content = gzip.compress(content, mtime=0) if suffix else content
            (folder / f"{IDX_STEMS[role]}{suffix}").write_bytes(content)
        return tmp_path

    return make


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_corpus_starts_from_something_sound(make_folder, suffix):
    dataset = load("mnist", make_folder(suffix))
    assert (dataset.num_train, len(dataset.labels), dataset.source) == (20, 30, "idx")


IMAGES = GOOD["train_images"]
FAULTS = {
    "empty": ("train_images", b"", "inside the magic"),
    "short magic": ("train_images", IMAGES[:3], "inside the magic"),
    "text": ("train_images", b"<html>not found</html>", "two zero bytes"),
    "magic": ("train_images", b"\1" + IMAGES[1:], "two zero bytes"),
    "little-endian": ("train_images", IMAGES[3::-1] + IMAGES[4:], "two zero bytes"),
    "type code 0": ("train_images", idx(20, 4, 4, code=0), "type code 0x00"),
    "type code 10": ("train_images", idx(20, 4, 4, code=10), "type code 0x0a"),
    "type code 255": ("train_images", idx(20, 4, 4, code=255), "type code 0xff"),
    "int8": ("train_images", idx(20, 4, 4, code=9), "need unsigned bytes"),
    "int16": ("train_images", idx(20, 4, 4, code=11, values=bytes(640)), "need unsigned bytes"),
    "int32": ("train_images", idx(20, 4, 4, code=12, values=bytes(1280)), "need unsigned bytes"),
    "float32": ("train_images", idx(20, 4, 4, code=13, values=bytes(1280)), "need unsigned bytes"),
    "float64": ("train_images", idx(20, 4, 4, code=14, values=bytes(2560)), "need unsigned bytes"),
    "float NaN": (
        "train_images",
        idx(20, 4, 4, code=13, values=b"\x7f\xc0\0\0" * 320),
        "need unsigned bytes",
    ),
    "no dimension": ("train_images", b"\0\0\x08\0", "no dimension"),
    "one dimension": ("train_images", idx(320), "1 dimensions, need 3"),
    "two dimensions": ("train_images", idx(20, 16), "2 dimensions, need 3"),
    "four dimensions": ("train_images", idx(20, 4, 4, 1), "4 dimensions, need 3"),
    "32 dimensions": ("train_images", idx(*[1] * 32, values=b"\7"), "32 dimensions, need 3"),
    "33 dimensions": ("train_images", idx(*[1] * 33, values=b"\7"), "33 dimensions, at most 32"),
    "65 dimensions": ("train_images", idx(*[1] * 65, values=b"\7"), "65 dimensions, at most 32"),
    "255 dimensions": ("train_images", b"\0\0\x08\xff" + bytes(1020), "255 dimensions, at most"),
    "short dimensions": ("train_images", IMAGES[:13], "inside its 3 dimensions"),
    "negative dimension": ("train_images", idx(2**32 - 1, 4, 4, values=bytes(320)), "cannot hold"),
    "terabytes": ("train_images", idx(2**20, 2**10, 2**10, values=bytes(320)), "cannot hold"),
    "giant": ("train_images", idx(*[2**32 - 1] * 3, values=bytes(320)), "cannot hold"),
    "giant float": (
        "train_images",
        idx(*[2**32 - 1] * 3, code=14, values=bytes(320)),
        "cannot hold",
    ),
    "giant but zero": ("train_images", idx(0, 2**32 - 1, 2**32 - 1, values=b""), "no array|no im"),
    "giant zero of eight": (
        "train_images",
        idx(0, *[2**32 - 1] * 7, values=b""),
        "no array can have",
    ),
    "zero images": ("train_images", idx(0, 4, 4), "no images"),
    "zero rows": ("train_images", idx(20, 0, 4), "no images"),
    "zero columns": ("train_images", idx(20, 4, 0), "no images"),
    "one byte short": ("train_images", IMAGES[:-1], "cannot hold|bytes early"),
    "half": ("train_images", IMAGES[: len(IMAGES) // 2], "cannot hold|bytes early"),
    "one byte long": ("train_images", IMAGES + b"\0", "surplus"),
    "twice": ("train_images", IMAGES * 2, "surplus"),
    "test images": ("test_images", idx(10, 4, 5), "both parts need one size"),
    "images are labels": ("train_images", GOOD["train_labels"], "1 dimensions, need 3"),
    "labels are images": ("train_labels", IMAGES, "3 dimensions, need 1"),
    "label 10": ("train_labels", idx(20, values=bytes(19) + b"\x0a"), "label 10"),
    "label 255": ("test_labels", idx(10, values=b"\xff" + bytes(9)), "label 255"),
    "label -1": ("test_labels", idx(10, code=9, values=b"\xff" + bytes(9)), "labels are int8"),
    "float labels": ("test_labels", idx(10, code=13, values=bytes(40)), "labels are float32"),
    "a label more": ("train_labels", idx(21), "21 labels for the 20 images"),
    "a label less": ("test_labels", idx(9), "9 labels for the 10 images"),
    "no labels": ("test_labels", idx(0), "no labels"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_named(make_folder, fault, suffix, frugal, within):
    role, content, problem = FAULTS[fault]
    root = make_folder(suffix, **{role: content})
    with frugal(4), within(10), pytest.raises(DataError, match=problem) as caught:
        load("mnist", root)
    if "one size" not in problem:
        assert isinstance(caught.value, IDXError)
        assert caught.value.path == root / "mnist" / f"{IDX_STEMS[role]}{suffix}"
        assert 0 <= caught.value.offset <= max(len(content), 4)


def test_gzip_truncated_at_every_length(tmp_path, rng):
    packed = gzip.compress(idx(30, 8, 8, values=rng.bytes(1920)), mtime=0)
    path = tmp_path / "images.gz"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(IDXError):
            read_idx(path)
    path.write_bytes(packed)
    assert read_idx(path).shape == (30, 8, 8)
    assert len(packed) > 1900


@pytest.mark.parametrize(
    "trailing",
    [
        *(b"garbage", b"\x1f\x8b", b"\0\0\0garbage", b"\1"),
        *(gzip.compress(content, mtime=0) for content in (b"\0", IMAGES)),
    ],
)
def test_gzip_with_something_behind_it(tmp_path, trailing):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(IMAGES) + trailing)
    with pytest.raises(IDXError):
        read_idx(path)


def test_gzip_with_a_wrong_checksum_or_length(tmp_path):
    packed = gzip.compress(IMAGES, mtime=0)
    path = tmp_path / "images.gz"
    for position in range(len(packed) - 8, len(packed)):
        path.write_bytes(
            packed[:position] + bytes([packed[position] ^ 0xFF]) + packed[position + 1 :]
        )
        with pytest.raises(IDXError, match="damaged gzip"):
            read_idx(path)


def bomb(head, megabytes):
    """A gzip file that goes on with zeros for so long."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(head)]
    parts += [packer.compress(bytes(2**20)) for _ in range(megabytes)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (IMAGES, "surplus"),
        (idx(0, 4, 4), "surplus"),
        (idx(2**32 - 1, 2**32 - 1, 2**32 - 1, values=b""), "cannot hold"),
        (idx(2**20, 2**20, 1, values=b""), "cannot hold"),  # a terabyte
        (bytes(16), "type code"),
    ],
)
def test_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path, head, problem, frugal, within):
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb(head, 20))
    assert path.stat().st_size < 2**18
    with frugal(2), within(5), pytest.raises(IDXError, match=problem):
        read_idx(path)


def test_memory_that_is_not_there_is_a_data_error(tmp_path, monkeypatch):
    write_idx(tmp_path / "a", np.zeros(3, np.uint8))

    def refuse(*_):
        raise MemoryError

    monkeypatch.setattr("jaxdl.data.sources.idx._read_up_to", refuse)
    with pytest.raises(DataError, match="does not fit"):
        read_idx(tmp_path / "a")


@pytest.mark.parametrize("role", ["train_images", "test_labels"])
def test_something_else_in_place_of_a_file(make_folder, no_file, role, frugal, within):
    path = make_folder() / "mnist" / IDX_STEMS[role]
    path.unlink()
    no_file(path)
    with frugal(4), within(5), pytest.raises(DataError, match=f"cannot read {path}"):
        load("mnist", path.parents[1])


@pytest.mark.parametrize("depth", [0, 1])
def test_something_else_in_place_of_the_folder(tmp_path, no_folder, depth, within):
    root = tmp_path / "root"
    path = root
    if depth:
        root.mkdir()
        path = root / "mnist"
    no_folder(path)
    with within(5), pytest.raises(DataError):
        load("mnist", root)


def test_a_link_to_a_file_is_a_file(make_folder, tmp_path):
    root = make_folder()
    path = root / "mnist" / IDX_STEMS["train_images"]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert load("mnist", root).num_train == 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(make_folder):
    root = make_folder()
    path = root / "mnist" / IDX_STEMS["train_images"]
    path.chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        load("mnist", root)
    path.parent.chmod(0)
    try:
        with pytest.raises(DataError, match="Permission denied"):
            load("mnist", root)
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("where", ["argument", "variable", "default"])
def test_a_home_of_nobody(monkeypatch, where):
    folder = "~nobody-of-this-name/data"
    if where == "argument":
        with pytest.raises(DataError, match="nobody-of-this-name"):
            load("mnist", folder)
    elif where == "variable":
        monkeypatch.setenv("JAXDL_DATA_DIR", folder)
        with pytest.raises(DataError, match="nobody-of-this-name"):
            load("mnist")
    else:
        monkeypatch.setenv("TFDS_DATA_DIR", folder)
        assert "nobody-of-this-name" in load("mnist").notice


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../mnist", "mnist/..", "mnist/../..", "/etc", "a/b/c", "a//b", "mnist/"),
        *("a\\b", "mnist\0", "mnist\n", "~", "~root", "a b", "a/.", "a/../b", "%2e%2e", "a" * 5000),
    ],
)
def test_a_name_leads_nowhere_else(make_folder, name, within):
    root = make_folder()
    with within(10), pytest.raises(UserError):
        load(name, root / "mnist")


def test_a_short_folder_name_is_not_needed(make_folder, tmp_path):
    with pytest.raises(DataError):
        load("mnist", tmp_path / ("a" * 5000))
    assert sorted(path.name for path in tmp_path.iterdir()) == []


# Pixels that are no numbers.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_float_images_are_refused_where_bytes_are_expected(bad):
    images = np.full((4, 2, 2, 1), bad, np.float32)
    part = Split(images, np.zeros(4, np.int32))
    with pytest.raises(DataError, match="need uint8"):
        make_dataset(part, part, name="x", source="idx", location="here", num_classes=2)
    for function in (to_unit_range, to_signed_range, normalize):
        with pytest.raises(ShapeError, match="need uint8"):
            function(images)


def test_nan_has_no_grey_value():
    with pytest.raises(DataError, match="NaN pixels"):
        to_uint8(jnp.array([0.0, jnp.nan]))
    assert to_uint8(jnp.array([-jnp.inf, 0.0, jnp.inf])).tolist() == [0, 128, 255]


def fit(train, **parts):
    return fit_classifier(
        MLP(hidden=(4,), num_classes=3),
        optax.sgd(0.1),
        train,
        parts,
        batch_size=4,
        how=ClassifierOptions(transform=lambda images: images),
    )


@pytest.fixture
def floats(rng):
    return Split(rng.normal(size=(8, 2, 2, 1)).astype(np.float32), np.arange(8, dtype=np.int32) % 3)


def test_finite_float_images_train(floats):
    assert np.isfinite(fit(floats, test=floats).final("test_loss")).all()


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_is_found_before_the_first_step(floats, part, bad):
    images = floats.images.copy()
    images[5, 1, 0, 0] = bad
    parts = {part: floats._replace(images=images)}
    with pytest.raises(DataError, match=f"image 5 of the .* part has a pixel that is {bad}"):
        fit(parts.pop("train", floats), **parts)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"labels": np.full(8, 3, np.int32)}, r"label 3 of sample 0 is outside 0\.\.2"),
        ({"labels": np.array([0, 0, -1, 0, 0, 0, 0, 0])}, "label -1 of sample 2"),
        (
            {"labels": np.full(8, np.nan, np.float32)},
            "label 0 of the .* is nan: not a class number",
        ),
        ({"labels": np.zeros(8, np.float32)}, "need integers"),
        ({"labels": np.zeros(7, np.int32)}, "8 images but labels of shape"),
        ({"labels": np.zeros((8, 1), np.int32)}, r"labels\.ravel\(\)"),
        ({"images": np.zeros((0, 2, 2, 1)), "labels": np.zeros(0, np.int32)}, "no images"),
        ({"images": np.zeros((8, 0, 2, 1))}, "no images"),
    ],
    ids=str,
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_parts_that_the_network_cannot_use(floats, part, change, problem):
    parts = {part: floats._replace(**change)}
    with pytest.raises(DataError, match=problem):
        fit(parts.pop("train", floats), **parts)


# Folders that TFDS prepared.


def test_unknown_sources_and_empty_folders(tmp_path):
    for arguments in ({"source": "web"}, {"source": ""}):
        with pytest.raises(ConfigError, match="unknown data source"):
            load("mnist", **arguments)
    for folder in ("", tmp_path, tmp_path / "none"):
        with pytest.raises(DataError):
            load("mnist", folder)
