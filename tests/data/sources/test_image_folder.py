"""A folder of pictures: what is in it, which part and class, what the cache does, what is wrong."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxdl.data import Picture, StoredImages, load_image_folder
from jaxdl.data.sources import image_folder
from jaxdl.data.sources.image_folder import ABOUT, IMAGES, classes_of, list_pictures
from jaxdl.errors import DataError, WorkdirError

SMALL = Picture(4, grey=True)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for each test."""
    monkeypatch.setenv("JAXDL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def folder(tmp_path):
    """Thirty plain pictures, every third in colour, each of its own grey."""
    root = tmp_path / "pictures"
    root.mkdir()
    for grey in range(30):
        mode = "L" if grey % 3 else "RGB"
        Image.new("L", (6 + grey % 4, 6), grey * 8).convert(mode).save(root / f"{grey:02}.png")
    return root


def _greys(dataset):
    return (np.asarray(dataset.images)[:, 0, 0, 0] // 8).tolist()


@pytest.fixture
def decodings(monkeypatch):
    """The names of the files that are decoded."""
    contents = []
    decode = image_folder.decode_picture

    def count(content, picture):
        contents.append(content)
        return decode(content, picture)

    monkeypatch.setattr(image_folder, "decode_picture", count)
    return contents


def test_every_picture_is_there_once_and_a_tenth_is_for_testing(folder):
    dataset = load_image_folder(folder, SMALL)
    assert sorted(_greys(dataset)) == list(range(30))
    assert dataset.num_train == 27
    assert isinstance(dataset.images, StoredImages)
    assert isinstance(dataset.test.images, StoredImages)
    assert dataset.test.images.shape == (3, 4, 4, 1)
    assert (dataset.name, dataset.source, dataset.num_classes) == ("pictures", "folder", 1)
    assert load_image_folder(folder, Picture(5)).images.shape == (30, 5, 5, 3)


def test_sub_folders_are_classes(folder):
    for path in sorted(folder.iterdir()):
        place = folder / ("odd" if int(path.stem) % 2 else "even/deep")
        place.mkdir(parents=True, exist_ok=True)
        path.rename(place / path.name)
    dataset = load_image_folder(folder, SMALL)
    assert dataset.class_names == ("even", "odd")
    assert dataset.num_classes == 2
    assert [grey % 2 for grey in _greys(dataset)] == dataset.labels.tolist()


def test_a_picture_outside_the_sub_folders_means_that_there_are_no_classes():
    assert classes_of(["a/1.png", "2.png"])[0] == []


@pytest.mark.parametrize("test", ["test", "val"])
def test_folders_named_train_and_test_are_the_parts(test, folder):
    for path in sorted(folder.iterdir()):
        number = int(path.stem)
        part = "train" if number < 20 else test if number < 28 else "rest"
        place = folder / part / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        path.rename(place / path.name)
    dataset = load_image_folder(folder, SMALL)
    greys = _greys(dataset)
    assert sorted(greys[: dataset.num_train]) == list(range(20))
    assert sorted(greys[dataset.num_train :]) == list(range(20, 28))
    assert dataset.class_names == ("a", "b")
    assert [grey % 2 for grey in greys] == dataset.labels.tolist()
    assert "in neither part: 2" in dataset.notice


def test_copies_of_a_picture_are_in_one_part(folder):
    for path in list(folder.iterdir()):
        for copy in range(3):
            shutil.copy(path, folder / f"{path.stem}-{copy}.png")
    dataset = load_image_folder(folder, SMALL)
    greys = _greys(dataset)
    assert not set(greys[: dataset.num_train]) & set(greys[dataset.num_train :])


def test_the_second_start_decodes_nothing_wherever_the_folder_is(folder, decodings, tmp_path):
    first = load_image_folder(folder, SMALL)
    assert len(decodings) == 30
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    for place in (folder, moved):
        again = load_image_folder(place, SMALL)
        assert again.fingerprint == first.fingerprint
    assert len(decodings) == 30


def test_a_changed_picture_is_seen_even_with_its_old_size_and_time(folder, cache):
    before = load_image_folder(folder, SMALL)
    path = folder / "07.png"
    old, times = path.read_bytes(), path.stat()
    Image.open(path).point(lambda grey: grey + 1).save(path)
    assert len(old) == path.stat().st_size
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = load_image_folder(folder, SMALL)
    assert before.fingerprint != after.fingerprint
    assert len(list(cache.iterdir())) == 1  # what is out of date is removed
    assert sorted(np.asarray(before.images)[:, 0, 0, 0])[7] == 56  # and can still be read


@pytest.mark.parametrize("name", [IMAGES, ABOUT])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_cache_is_made_again(name, damage, folder, cache, decodings):
    first = load_image_folder(folder, SMALL)
    (path,) = cache.glob(f"*/{name}")
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-3])
    else:
        content[-5] ^= 1
        path.write_bytes(content)
    again = load_image_folder(folder, SMALL)
    assert again.fingerprint == first.fingerprint
    assert len(decodings) == 60


def test_damaged_pictures_are_named_or_left_out(folder):
    (folder / "05.png").write_bytes(b"nothing")
    (folder / "09.png").write_bytes((folder / "09.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"(?s)2 of 30.*05.png \(it is none of.*09.png.*skip_bad"):
        load_image_folder(folder, SMALL)
    dataset = load_image_folder(folder, SMALL, skip_bad=True)
    assert sorted(_greys(dataset)) == [grey for grey in range(30) if grey not in (5, 9)]
    assert "05.png, 09.png" in dataset.notice
    for number in (10, 11):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="more than 10%"):
        load_image_folder(folder, SMALL, skip_bad=True)


def test_a_picture_that_vanishes_or_changes_meanwhile_is_named(folder, monkeypatch):
    digests = image_folder._digests

    def then_change(*arguments):
        found = digests(*arguments)
        (folder / "03.png").unlink()
        shutil.copy(folder / "05.png", folder / "04.png")
        return found

    monkeypatch.setattr(image_folder, "_digests", then_change)
    with pytest.raises(DataError, match=r"03.png \(No such file.*04.png \(it changed"):
        load_image_folder(folder, SMALL)


def test_links_out_of_the_folder_are_followed_only_if_asked(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("L", (4, 4), 250).save(outside / "x.png")
    (folder / "inside.png").symlink_to("00.png")
    assert len(load_image_folder(folder, SMALL).images) == 31
    (folder / "link").symlink_to(outside)
    (folder / "x.png").symlink_to(outside / "x.png")
    with pytest.raises(DataError, match=r"links lead out .*link.*x.png.*follow_links"):
        load_image_folder(folder, SMALL)
    (outside / "circle").symlink_to(folder)
    listing = list_pictures(folder, follow_links=True)
    assert len(listing.names) == 33


def test_other_files_and_hidden_ones_are_left_out(folder):
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "a.png").write_bytes(b"x")
    dataset = load_image_folder(folder, SMALL)
    assert len(dataset.images) == 30
    assert "left out as no pictures: notes.txt" in dataset.notice


def test_a_pipe_is_no_picture(folder):
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png"):
        load_image_folder(folder, SMALL)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_pictures_is_refused(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        load_image_folder(tmp_path / name, SMALL)


def test_one_picture_is_too_few(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="no test part"):
        load_image_folder(tmp_path, SMALL)


def test_a_full_disk_leaves_nothing(folder, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_folder, "write_images", full)
    with pytest.raises(WorkdirError, match=r"No space left.*JAXDL_CACHE_DIR"):
        load_image_folder(folder, SMALL)
    assert not list(cache.iterdir())


def test_names_that_are_not_text_are_fine(folder):
    os.rename(folder / "00.png", os.fsencode(folder) + b"/\xff\n.png")
    (folder / "01.png").rename(folder / 'a "b" ü.png')
    assert sorted(_greys(load_image_folder(folder, SMALL))) == list(range(30))
    (folder / "02.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"02\.png"):
        load_image_folder(folder, SMALL)


def test_the_same_order_in_whatever_order_the_system_lists(folder, monkeypatch):
    first = load_image_folder(folder, SMALL)
    about = json.loads(next(image_folder.cache_root().glob(f"images/*/{ABOUT}")).read_bytes())
    assert json.loads(about["content"])["num_train"] == first.num_train
    shutil.rmtree(image_folder.cache_root())
    scandir = os.scandir

    class Backwards:
        def __init__(self, path):
            self._entries = scandir(path)

        def __enter__(self):
            return reversed(list(self._entries))

        def __exit__(self, *_):
            self._entries.close()

    monkeypatch.setattr(os, "scandir", Backwards)
    assert list_pictures(folder).names == sorted(path.name for path in folder.iterdir())


def test_progress_is_told(folder):
    told = []
    load_image_folder(folder, SMALL, progress=lambda *what: told.append(what))
    assert told[-1] == ("decoding", 30, 30)
