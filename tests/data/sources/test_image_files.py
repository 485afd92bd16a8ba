"""Pictures of every kind become the pixels that Pillow shows."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxdl.data import Picture, read_picture
from jaxdl.data.sources import image_files
from jaxdl.errors import DataError


@pytest.fixture
def save(tmp_path):
    """Writes an image and returns its path."""

    def save(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save


def _noise(rng, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp"])
def test_a_lossless_picture_is_cut_and_resized_as_pillow_does_it(suffix, save, rng):
    image = Image.fromarray(_noise(rng, 30, 47, 3))
    path = save(image, f"wide.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    expected = image.crop((8, 0, 38, 30)).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_picture(path, Picture(16)), np.asarray(expected))


def test_a_tall_grey_picture_is_cut_in_the_middle(save):
    pixels = np.zeros((9, 3), np.uint8)
    pixels[3:6] = 200
    path = save(Image.fromarray(pixels), "tall.png")
    assert read_picture(path, Picture(3, grey=True)).tolist() == np.full((3, 3, 1), 200).tolist()
    assert read_picture(path, Picture(2)).shape == (2, 2, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_is_read(mode, save):
    """A plain colour has the same brightness in all of them."""
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 0xFFFF, np.uint16))
    else:
        image = Image.new("RGB", (8, 8), "white").convert("L" if mode == "LA" else "RGB")
        image = image.convert(mode)
    path = save(image, "white.jpg" if mode in ("CMYK", "YCbCr") else "white.png")
    for grey, channels in ((True, 1), (False, 3)):
        pixels = read_picture(path, Picture(4, grey))
        assert pixels.shape == (4, 4, channels)
        assert pixels.dtype == np.uint8
        assert pixels.min() >= 254


def test_sixteen_bits_keep_their_high_byte(save):
    path = save(Image.fromarray(np.array([[0x0100, 0x80FF], [0xFF00, 0]], np.uint16)), "deep.png")
    assert read_picture(path, Picture(2, grey=True)).ravel().tolist() == [1, 128, 255, 0]


def test_transparent_parts_become_white(save):
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    pixels = read_picture(save(image, "alpha.png"), Picture(4))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[1:].min() == 255
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    path = save(palette, "palette.png", transparency=1)
    assert read_picture(path, Picture(4)).min() == 255


def test_exif_turns_the_picture(save):
    image = Image.new("RGB", (8, 8), "black")
    image.paste("white", (0, 0, 8, 2))  # above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    pixels = read_picture(save(image, "turned.png", exif=exif), Picture(8, grey=True))[..., 0]
    assert pixels[:, 6:].min() == 255
    assert pixels[:, :6].max() == 0


def test_an_animation_gives_its_first_frame(save):
    frames = [Image.new("L", (5, 5), grey) for grey in (10, 200)]
    path = save(frames[0], "moving.gif", save_all=True, append_images=frames[1:])
    assert set(read_picture(path, Picture(5, grey=True)).ravel().tolist()) == {10}


def test_the_content_decides_and_not_the_suffix(save, tmp_path):
    path = save(Image.new("L", (4, 4), 7), "picture.png")
    renamed = path.rename(tmp_path / "picture.jpg")
    assert read_picture(renamed, Picture(4, grey=True)).max() == 7


def test_damaged_and_foreign_files_are_refused_with_the_reason(save, tmp_path, rng):
    good = save(Image.fromarray(_noise(rng, 64, 64, 3)), "good.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    tiff = io.BytesIO()
    Image.new("L", (4, 4)).save(tiff, "TIFF")
    (tmp_path / "other.png").write_bytes(tiff.getvalue())
    for name, reason in (
        ("half.jpg", "truncated"),
        ("text.png", "none of PNG"),
        ("empty.png", "none of PNG"),
        ("other.png", "none of PNG"),
        ("missing.png", "No such file"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{reason}"):
            read_picture(tmp_path / name, Picture(4))


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_decoded(save, monkeypatch, frugal):
    path = save(Image.new("1", (20_000, 4_200)), "bomb.png")  # 10 KB, 252 MB as RGB
    with frugal(), pytest.raises(DataError, match="20,000 x 4,200 pixels"):
        read_picture(path, Picture(4))
    monkeypatch.setattr(image_files, "MOST_BYTES", 10)
    with pytest.raises(DataError, match="more than 10 bytes"):
        read_picture(path, Picture(4))
