"""Download and preparation against a web server on loopback; no TensorFlow anywhere."""

import functools
import gzip
import hashlib
import http.server
import io
import json
import shutil
import socket
import sys
import threading
import time

import numpy as np
import pytest

from jaxdl.data import load, resize_bilinear
from jaxdl.data.sources.idx import IDX_STEMS
from jaxdl.data.sources.published import (
    PUBLISHED,
    ChecksumError,
    Published,
    PublishedFile,
    mirrors,
    probe,
)
from jaxdl.data.sources.tfds import find_prepared, read_prepared
from jaxdl.data.sources.tfds_prepare import prepare_published
from jaxdl.errors import DataError, DataUnavailableError


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Serves folders on loopback; returns their base URLs."""
    servers = []

    def start(folder):
        handler = functools.partial(_QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def made(tmp_path, write_folder):
    """A folder of made-up packed files, and what is 'published' about them."""
    folder = write_folder(tmp_path / "web", ".gz")
    files = {}
    for role, stem in IDX_STEMS.items():
        packed = (folder / f"{stem}.gz").read_bytes()
        content = gzip.decompress(packed)
        files[role] = PublishedFile(
            hashlib.sha256(packed).hexdigest(), hashlib.sha256(content).hexdigest()
        )
    return folder, Published("mnist", (), files)


def _left_behind(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []


def test_prepares_once_and_reads_again_without_network(tmp_path, serve, made, made_parts, capfd):
    folder, published = made
    root = tmp_path / "root"
    prepared = prepare_published(published, root, serve(folder))
    shutil.rmtree(folder)
    assert prepared == root / "mnist" / "1.0.0"
    assert [path.name for path in root.iterdir()] == ["mnist"]
    for dataset in (load("mnist", root), load("mnist", root, source="tfds")):
        assert (dataset.source, dataset.location) == ("tfds", str(prepared))
        np.testing.assert_array_equal(dataset.train.images[..., 0], made_parts["train_images"])
        np.testing.assert_array_equal(dataset.test.images[..., 0], made_parts["test_images"])
        np.testing.assert_array_equal(dataset.train.labels, made_parts["train_labels"])
        assert (dataset.num_train, dataset.num_classes) == (30, 10)
    assert "tensorflow" not in sys.modules
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_same_fingerprint_as_the_idx_folder(tmp_path, serve, made, write_folder):
    folder, published = made
    prepare_published(published, tmp_path / "root", serve(folder))
    write_folder(tmp_path / "mnist")
    assert load("mnist", tmp_path / "root").fingerprint == load("mnist", tmp_path).fingerprint


def test_default_folder_is_used_before_the_network(tmp_path, serve, made, monkeypatch):
    folder, published = made
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))
    prepare_published(published, tmp_path / "default", serve(folder))
    assert load("mnist").source == "tfds"


def test_recompressed_content_is_accepted(tmp_path, serve, made):
    folder, published = made
    path = folder / f"{IDX_STEMS['train_images']}.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=5))
    assert prepare_published(published, tmp_path / "root", serve(folder)).is_dir()


@pytest.mark.parametrize("role", list(IDX_STEMS))
def test_wrong_checksum_leaves_nothing(tmp_path, serve, made, role):
    folder, published = made
    path = folder / f"{IDX_STEMS[role]}.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(ChecksumError, match=f"{IDX_STEMS[role]}.gz is not the published file"):
        prepare_published(published, tmp_path / "root", serve(folder))
    assert _left_behind(tmp_path / "root") in ([], ["mnist"])


def test_made_up_files_are_not_mnist(serve, made, monkeypatch):
    """The real checksums hold whatever the environment says, and nothing falls through."""
    monkeypatch.setenv("JAXDL_MNIST_URL", serve(made[0]))
    for source in (None, "tfds"):
        with pytest.raises(ChecksumError):
            load("mnist", source=source)


@pytest.mark.parametrize("trailing", [b"", b"garbage"])
def test_page_in_place_of_a_file(tmp_path, serve, made, trailing):
    folder, published = made
    path = folder / f"{IDX_STEMS['test_labels']}.gz"
    path.write_bytes(path.read_bytes() + trailing if trailing else b"<html>moved</html>")
    with pytest.raises(ChecksumError):
        prepare_published(published, tmp_path / "root", serve(folder))


def test_next_mirror_is_tried(tmp_path, serve, made, write_folder):
    folder, published = made
    bad = write_folder(tmp_path / "bad", ".gz", test_labels=np.zeros(20, np.uint8))
    incomplete = tmp_path / "incomplete"
    incomplete.mkdir()
    shutil.copy(folder / f"{IDX_STEMS['test_labels']}.gz", incomplete)
    urls = tuple(map(serve, (bad, incomplete, tmp_path / "nothing", folder)))
    prepared = prepare_published(published._replace(name="x", mirrors=urls), tmp_path / "root")
    assert read_prepared(prepared, "x").num_train == 30


def test_missing_file_on_the_only_mirror(tmp_path, serve, made):
    folder, published = made
    (folder / f"{IDX_STEMS['train_images']}.gz").unlink()
    with pytest.raises(DataUnavailableError, match="404"):
        prepare_published(published, tmp_path / "root", serve(folder))
    (folder / f"{IDX_STEMS['test_labels']}.gz").unlink()
    with pytest.raises(DataUnavailableError, match="HTTP status 404"):
        prepare_published(published, tmp_path / "root", serve(folder))


def test_unwritable_root(tmp_path, serve, made):
    folder, published = made
    (tmp_path / "file").write_text("")
    with pytest.raises(DataUnavailableError, match="failed"):
        prepare_published(published, tmp_path / "file" / "root", serve(folder))


def test_probe_keeps_its_time(serve, tmp_path):
    with socket.socket() as silent:  # accepts the connection, never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/{i}" for i in range(20)]
        good = serve(tmp_path)
        start = time.perf_counter()
        answers = probe([*urls, good, "nonsense"], seconds=0.5)
        assert time.perf_counter() - start < 8  # one after the other would take 10 seconds
    assert answers[good] == ""
    assert all(answers[url] for url in [*urls, "nonsense"])


def test_mirrors(monkeypatch):
    assert mirrors(PUBLISHED["mnist"], "http://a/") == ("http://a",)
    assert mirrors(PUBLISHED["mnist"]) == ("http://127.0.0.1:9",)
    monkeypatch.delenv("JAXDL_MNIST_URL")
    assert len(mirrors(PUBLISHED["mnist"])) == 2


def test_full_mnist_matches_the_pinned_checksums(full_data_dir):
    for role, stem in IDX_STEMS.items():
        packed = (full_data_dir / "mnist" / f"{stem}.gz").read_bytes()
        content = hashlib.sha256(gzip.decompress(packed)).hexdigest()
        assert content == PUBLISHED["mnist"].files[role].content_sha256


@pytest.mark.slow
def test_full_mnist_by_download(full_data_dir, serve, monkeypatch):
    monkeypatch.setenv("JAXDL_MNIST_URL", serve(full_data_dir / "mnist"))
    downloaded = load("mnist")
    assert (downloaded.source, downloaded.notice) == ("tfds", "")
    assert downloaded.fingerprint == load("mnist", full_data_dir).fingerprint


@pytest.fixture
def prepared(tmp_path, serve, made):
    folder, published = made
    return prepare_published(published, tmp_path / "root", serve(folder))


def test_highest_array_record_version_wins(prepared):
    parent = prepared.parent
    for version in ("0.9.0", "1.10.0", "1.9.0"):
        shutil.copytree(prepared, parent / version)
    (parent / "incomplete.ABC_2.0.0").mkdir()
    _rewrite_info(shutil.copytree(prepared, parent / "3.0.1"), fileFormat="tfrecord")
    assert find_prepared(parent.parent, "mnist") == parent / "1.10.0"
    assert find_prepared(parent.parent, "other") is None


def _rewrite_info(folder, **changes):
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_tfrecord_folder_says_what_to_do(prepared, monkeypatch):
    root = prepared.parents[1]
    _rewrite_info(prepared, fileFormat="tfrecord")
    with pytest.raises(DataUnavailableError, match="convert_format") as caught:
        load("mnist", root)
    assert "only TensorFlow reads" in str(caught.value)
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    fallen_through = load("mnist")
    assert fallen_through.source == "embedded"
    assert "convert_format" in fallen_through.notice


@pytest.mark.parametrize("kind", ["truncated", "empty", "missing", "garbage", "flipped"])
def test_damaged_shard(prepared, kind):
    shard = next(prepared.glob("*train*"))
    content = shard.read_bytes()
    damaged = {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "garbage": bytes(len(content)),
        "flipped": content[:5_000] + bytes([content[5_000] ^ 1]) + content[5_001:],
    }
    if kind == "missing":
        shard.unlink()
    else:
        shard.write_bytes(damaged[kind])
    with pytest.raises(DataError, match="is damaged") as caught:
        load("mnist", prepared.parents[1])
    assert not isinstance(caught.value, DataUnavailableError)


def test_damaged_info(prepared):
    (prepared / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset_info\.json"):
        load("mnist", prepared.parents[1])


def test_stock_builders():
    with pytest.raises(DataUnavailableError, match="network does not answer"):
        load("cifar10")
    with pytest.raises(DataError, match="not a set of images"):
        load("imdb_reviews")
    with pytest.raises(DataError, match="cannot make the builder"):
        load("emnist/nonsense")


def test_failing_stock_builder_is_explained(monkeypatch):
    from jaxdl.data.sources import tfds_prepare

    monkeypatch.setattr(tfds_prepare, "probe", lambda urls: dict.fromkeys(urls, ""))

    def fail(self, **_):
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr("tensorflow_datasets.core.DatasetBuilder.download_and_prepare", fail)
    with pytest.raises(DataUnavailableError, match="tfds build cifar10 --file_format=array_record"):
        load("cifar10")


@pytest.fixture
def paint(tmp_path):
    """Prepares PNG images as TensorFlow would, and returns the root folder."""
    import tensorflow_datasets as tfds
    from PIL import Image

    def paint(images, more, **values):
        def png(image):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            return buffer.getvalue()

        class Painted(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            name = "painted"
            VERSION = tfds.core.Version("2.0.0")

            def _info(self):
                image = {"image": tfds.features.Image(shape=images.shape[1:])}
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(image | more),
                    disable_shuffling=True,
                )

            def _split_generators(self, _):
                return {
                    "train": self._generate_examples(range(8)),
                    "validation": self._generate_examples(range(8, 12)),
                }

            def _generate_examples(self, indices):
                for i in indices:
                    here = {name: value(i) for name, value in values.items()}
                    yield i, {"image": png(images[i]), **here}

        tfds.disable_progress_bar()
        Painted(data_dir=tmp_path, file_format="array_record").download_and_prepare()
        return tmp_path

    return paint


def test_image_features_prepared_elsewhere(paint, rng):
    """A folder with PNG images, in RGB."""
    import tensorflow_datasets as tfds

    images = rng.integers(0, 256, (12, 5, 6, 3), np.uint8)
    label = {"label": tfds.features.ClassLabel(num_classes=4)}
    dataset = load("painted", paint(images, label, label=lambda i: i % 4))
    np.testing.assert_array_equal(dataset.images, images)
    assert dataset.labels.tolist() == [0, 1, 2, 3] * 3
    assert (dataset.num_train, dataset.num_classes) == (8, 4)
    assert "tensorflow" not in sys.modules


def test_images_without_labels_are_reduced_while_they_are_read(paint, rng):
    """As celeb_a: tall portraits with attributes."""
    import tensorflow_datasets as tfds

    images = rng.integers(0, 256, (12, 9, 7, 3), np.uint8)
    root = paint(images, {"smiles": tfds.features.Scalar(np.bool_)}, smiles=lambda i: i % 2 == 0)
    whole, reduced = load("painted", root), load("painted", root, image_size=4)
    np.testing.assert_array_equal(whole.images, images)
    np.testing.assert_array_equal(reduced.images, resize_bilinear(images[:, 1:8], 4, 4))
    np.testing.assert_array_equal(load("painted", root, image_size=7).images, images)
    assert (whole.num_classes, whole.labels.max()) == (1, 0)
    assert "no labels" in whole.notice


def test_dead_mirrors_are_not_asked_for_files(tmp_path, made, monkeypatch):
    from jaxdl.data.sources import tfds_prepare

    def must_not_be_called(*_):
        raise AssertionError("TFDS would retry for minutes")

    monkeypatch.setattr(tfds_prepare, "_prepare_from", must_not_be_called)
    with pytest.raises(DataUnavailableError, match=r"127\.0\.0\.1:9: "):
        prepare_published(made[1], tmp_path / "root", "http://127.0.0.1:9")
