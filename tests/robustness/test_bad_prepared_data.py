"""Broken folders of tensorflow-datasets, hostile archives, and sources that are none."""

import io
import json
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from jaxdl.data import (
    load,
)
from jaxdl.data.sources.tfds import find_prepared, read_prepared
from jaxdl.errors import DataError

pytestmark = pytest.mark.usefixtures("no_data_outside")


@pytest.fixture(scope="module")
def prepared_folder(tmp_path_factory):
    """A small prepared folder, made once."""
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("prepared")

    class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "small"
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Tensor(shape=(2, 3, 1), dtype=np.uint8),
                "label": tfds.features.ClassLabel(num_classes=2),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _):
            return {"train": self._generate_examples(6), "test": self._generate_examples(4)}

        def _generate_examples(self, count):
            for i in range(count):
                yield i, {"image": np.full((2, 3, 1), i, np.uint8), "label": i % 2}

    tfds.disable_progress_bar()
    Small(data_dir=root, file_format="array_record").download_and_prepare()
    return root / "small" / "1.0.0"


@pytest.fixture
def prepared(prepared_folder, tmp_path):
    import shutil

    return shutil.copytree(prepared_folder, tmp_path / "small" / "1.0.0")


def test_the_prepared_folder_is_sound(prepared):
    assert load("small", prepared.parents[1]).num_train == 6


INFO_FAULTS = {
    "empty": b"",
    "no JSON": b"{",
    "list": b"[]",
    "null": b"null",
    "string": b'"array_record"',
    "no UTF-8": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("fault", INFO_FAULTS)
@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_json(prepared, name, fault, within):
    (prepared / name).write_bytes(INFO_FAULTS[fault])
    with within(20), pytest.raises(DataError, match=r"damaged|cannot read"):
        load("small", prepared.parents[1])


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_something_else_in_place_of_the_json(prepared, name, no_file, within):
    (prepared / name).unlink()
    no_file(prepared / name)
    with within(20), pytest.raises(DataError):
        load("small", prepared.parents[1])


def _rewritten(path, change):
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize("size", ["-1", "0", "7", "1000000", "9223372036854775807"])
def test_a_shape_that_is_not_the_images(prepared, size, frugal, within):
    path = prepared / "features.json"
    before = path.read_text()
    _rewritten(path, lambda text: text.replace('"3"', f'"{size}"', 1))
    assert path.read_text() != before
    with frugal(64), within(20), pytest.raises(DataError):
        load("small", prepared.parents[1])


def test_pictures_of_another_shape_than_announced(tmp_path):
    """As many pixels in another shape would be read as shifted rows."""
    import tensorflow_datasets as tfds
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(buffer, "PNG")

    class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "pictures"
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(2, 3, 1)),
                "label": tfds.features.ClassLabel(num_classes=2),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _):
            return {"train": self._generate_examples(), "test": self._generate_examples()}

        def _generate_examples(self):
            for i in range(4):
                yield i, {"image": buffer.getvalue(), "label": i % 2}

    tfds.disable_progress_bar()
    Pictures(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    assert load("pictures", tmp_path).images.shape == (8, 2, 3, 1)
    path = tmp_path / "pictures" / "1.0.0" / "features.json"
    swapped = path.read_text().replace('"2"', '"x"', 1).replace('"3"', '"2"', 1)
    path.write_text(swapped.replace('"x"', '"3"', 1))
    with pytest.raises(DataError, match="damaged"):
        load("pictures", tmp_path)


def test_more_records_promised_than_there_are(prepared, frugal, within):
    path = prepared / "dataset_info.json"
    info = json.loads(path.read_text())
    for split in info["splits"]:
        split["shardLengths"] = ["9000000000000"]
    path.write_text(json.dumps(info))
    with frugal(64), within(20), pytest.raises(DataError, match="damaged"):
        load("small", prepared.parents[1])


def test_no_split_file_leads_out_of_the_folder(prepared, tmp_path, within):
    """What dataset_info.json names as the files' template is read inside the folder, or not."""
    path = prepared / "dataset_info.json"
    info = json.loads(path.read_text())
    for split in info["splits"]:
        split["filepathTemplate"] = "../../../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    path.write_text(json.dumps(info))
    with within(20), pytest.raises(DataError, match="damaged"):
        load("small", prepared.parents[1])


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name"])
def test_features_import_no_foreign_module(prepared, tmp_path, monkeypatch, key):
    """TFDS imports the module that features.json names; importing is running."""
    marker = tmp_path / "was_run"
    (tmp_path / "foreign_features.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    _rewritten(
        prepared / "features.json",
        lambda text: text.replace(
            '"tensorflow_datasets.core.features.class_label_feature.ClassLabel"',
            '"foreign_features.ClassLabel"',
        ).replace('"pythonClassName"', f'"{key}"'),
    )
    assert "foreign_features" in (prepared / "features.json").read_text()
    with pytest.raises(DataError, match=r"'foreign_features\.ClassLabel'.*nothing of it was"):
        read_prepared(prepared, "small")
    assert not marker.exists()
    assert "foreign_features" not in sys.modules


def test_version_folders_that_are_none(prepared):
    parent = prepared.parent
    (parent / "9.9.9").write_text("a file")
    with pytest.raises(DataError, match=r"9\.9\.9"):
        find_prepared(parent.parent, "small")


# Archives that TFDS unpacks for the data sets it prepares itself.

OUTSIDE = ["../evil", "../../evil", "/tmp/evil", "a/../../evil", "./../evil", ".evil", "a/.evil"]


def _tar(names, links=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        for name, target, kind in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return buffer.getvalue()


def _zip(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"evil")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["TAR", "ZIP"])
def test_archives_yield_nothing_outside_their_folder(kind):
    from tensorflow_datasets.core.download import extractor, resource

    names = [*OUTSIDE, "fine/inside"]
    links = [
        ("link", "/etc/passwd", tarfile.SYMTYPE),
        ("hard", "../../etc/passwd", tarfile.LNKTYPE),
    ]
    data = _tar(names, links) if kind == "TAR" else _zip(names)
    found = [
        (path, file.read())
        for path, file in extractor.iter_archive(
            io.BytesIO(data), getattr(resource.ExtractMethod, kind)
        )
    ]
    assert found == [("fine/inside", b"evil")]


def test_stock_builders_may_use_nothing_without_a_checksum(monkeypatch, tmp_path):
    from jaxdl.data.sources import tfds_prepare

    seen = []

    def record(self, *, download_config, **_):
        seen.append(download_config)
        raise RuntimeError("stop here")

    monkeypatch.setattr(tfds_prepare, "probe", lambda urls: dict.fromkeys(urls, ""))
    monkeypatch.setattr("tensorflow_datasets.core.DatasetBuilder.download_and_prepare", record)
    with pytest.raises(DataError):
        load("cifar10", tmp_path, source="tfds")
    (config,) = seen
    assert config.force_checksums_validation is True
    assert config.register_checksums is False
