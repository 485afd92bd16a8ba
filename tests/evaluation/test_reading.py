import numpy as np
import pytest
from PIL import Image

from jaxdl.errors import DataError
from jaxdl.evaluation import read_images


def save(folder, images):
    folder.mkdir(exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / f"{i:03}.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back_from_a_folder_and_an_archive(tmp_path, rng, channels):
    images = rng.integers(0, 256, (5, 9, 7, channels), np.uint8)
    folder, file = tmp_path / "folder", tmp_path / "file.npz"
    save(folder, images)
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(folder / "grid.png")
    (folder / ".hidden").write_text("x")
    np.savez(file, images=images, z=np.zeros((5, 2)))
    for path in (folder, file):
        np.testing.assert_array_equal(read_images(path), images)
        np.testing.assert_array_equal(read_images(path, 2), images[:2])
    np.savez(file, images=images[..., 0])
    assert read_images(file).shape == (5, 9, 7, 1)


def test_folders_that_hold_something_else_are_refused(tmp_path, rng):
    folder = tmp_path / "folder"
    save(folder, rng.integers(0, 256, (3, 9, 9, 1), np.uint8))
    good = (folder / "001.png").read_bytes()

    def refused(match):
        with pytest.raises(DataError, match=match) as caught:
            read_images(folder)
        assert len(str(caught.value).splitlines()) == 1

    (folder / "notes.txt").write_text("hello")
    refused("holds notes.txt, which is no PNG file")
    (folder / "notes.txt").unlink()
    (folder / "sub.png").mkdir()
    refused("sub.png, which is no PNG")
    (folder / "sub.png").rmdir()
    for damaged in (good[:40], good[: len(good) // 2], b"", b"hello", b"GIF89a" + good):
        (folder / "001.png").write_bytes(damaged)
        refused(r"001\.png is no readable PNG file")
    for other in (np.zeros((9, 8), np.uint8), np.zeros((9, 9, 3), np.uint8)):
        Image.fromarray(other).save(folder / "001.png")
        refused("all images need one size")
    Image.fromarray(np.zeros((9, 9, 4), np.uint8)).save(folder / "001.png")
    refused("mode .RGBA")
    for path in folder.iterdir():
        path.unlink()
    refused("is empty")
    folder.rmdir()
    refused("does not exist")


def test_archives_of_something_else_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    images = np.zeros((2, 4, 4, 1), np.uint8)
    cases = {
        "no array 'images'; it has pictures": {"pictures": images},
        "float64": {"images": images.astype(float)},
        "shape": {"images": images[0, 0]},
        "1 or 3 channels": {"images": np.zeros((2, 4, 4, 2), np.uint8)},
        "holds no images": {"images": images[:0]},
        "cannot read": {"images": np.array([None])},
    }
    for match, arrays in cases.items():
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=match):
            read_images(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot read"):
        read_images(path)
    (tmp_path / "x.csv").write_text("1,2")
    with pytest.raises(DataError, match="is not a folder of PNG files"):
        read_images(tmp_path / "x.csv")
