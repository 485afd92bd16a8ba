import tracemalloc

import numpy as np
import pytest
from PIL import Image

from jaxdl import interop, plot
from jaxdl.errors import ConfigError, DataError, ShapeError, WorkdirError
from jaxdl.generation import TrainedGenerator, generate_images, read_noise
from jaxdl.generation.generator import PASS
from jaxdl.models import Generator
from jaxdl.run import progress


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_an_npz_file_has_the_images_and_their_z(generator, tmp_path):
    path = generate_images(generator, tmp_path / "new" / "samples.npz", PASS + 6, seed=2)
    with np.load(path) as stored:
        images, z = stored["images"], stored["z"]
    assert images.dtype == np.uint8
    assert images.shape == (PASS + 6, 16, 16, 1)
    assert images.std() > 20
    exact = (generator.sample(PASS + 6, seed=2) + 1) * 127.5
    assert np.abs(images - exact).max() <= 0.51
    np.testing.assert_array_equal(z, generator.noise(range(PASS + 6), seed=2))
    assert set(interop.load_state_dict(path)) == {"images", "z"}
    before = path.read_bytes()
    generate_images(generator, path, PASS + 6, seed=2)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_given_z_s_draw_the_same_bytes(generator, tmp_path):
    path = generate_images(generator, tmp_path / "a.npz", 70)
    again = generate_images(generator, tmp_path / "b.npz", z=read_noise(path))
    assert again.read_bytes() == path.read_bytes()
    np.save(tmp_path / "z.npy", read_noise(path).astype(np.float64))
    again = generate_images(generator, tmp_path / "c.npz", z=read_noise(tmp_path / "z.npy"))
    assert again.read_bytes() == path.read_bytes()


def test_a_folder_has_a_file_per_image_and_a_grid(generator, tmp_path):
    (tmp_path / "empty").mkdir()
    for count, out in ((103, tmp_path / "new" / "samples"), (3, tmp_path / "empty")):
        folder = generate_images(generator, out, count)
        numbers = [f"{number:06d}.png" for number in range(count)]
        assert sorted(path.name for path in folder.iterdir()) == [*numbers, "grid.png"]
        pixels = np.concatenate(list(generator.pixels(generator.noise_batches(count))))
        for name, image in zip(numbers, pixels, strict=True):
            np.testing.assert_array_equal(opened(folder / name), image[..., 0])
        np.testing.assert_array_equal(opened(folder / "grid.png"), plot.tile(pixels[:100]))
        assert [path.name for path in out.parent.iterdir() if path.suffix == ".part"] == []


def test_colour_images_are_written_too(tmp_path):
    model = Generator(features=1, latent_dim=2, image_size=16, channels=3)
    variables = {
        "params": {
            "conv_transpose_0": {"kernel": np.ones((4, 4, 2, 2), np.float32)},
            "conv_transpose_1": {"kernel": np.ones((4, 4, 2, 1), np.float32)},
            "conv_transpose_2": {"kernel": np.ones((4, 4, 1, 3), np.float32)},
            "batch_norm_0": {"scale": np.ones(2, np.float32), "bias": np.zeros(2, np.float32)},
            "batch_norm_1": {"scale": np.ones(1, np.float32), "bias": np.zeros(1, np.float32)},
        },
        "batch_stats": {
            "batch_norm_0": {"mean": np.zeros(2, np.float32), "var": np.ones(2, np.float32)},
            "batch_norm_1": {"mean": np.zeros(1, np.float32), "var": np.ones(1, np.float32)},
        },
    }
    folder = generate_images(TrainedGenerator(model, variables), tmp_path / "colour", 2)
    assert opened(folder / "000001.png").shape == (16, 16, 3)


def test_memory_does_not_grow_with_the_count(generator, tmp_path):
    generate_images(generator, tmp_path / "first.npz", 1)
    peaks = []
    for count in (4 * PASS, 100 * PASS):
        tracemalloc.start()
        try:
            path = generate_images(generator, tmp_path / f"{count}.npz", count)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert path.stat().st_size > 1_600_000
    assert peaks[1] < peaks[0] + 200_000


@pytest.mark.parametrize("name", ["samples", "samples.npz"])
def test_nothing_is_left_of_a_failure(generator, tmp_path, name):
    """The last of the z's is no number, which is seen when the others are written."""
    z = np.zeros((3 * PASS, 8))
    z[-1] = np.nan
    with pytest.raises(ShapeError, match="not finite"):
        generate_images(generator, tmp_path / name, z=z)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(generator, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder.npz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name, message in (
        ("mine", "holds files already; choose another"),
        ("file", "is not a folder"),
        ("folder.npz", "is a folder"),
        ("image.png", "give a folder, or a file ending in .npz"),
        ("file/below", "cannot write"),
        ("file/below.npz", "cannot write"),
    ):
        with pytest.raises(WorkdirError, match=message):
            generate_images(generator, tmp_path / name, 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_counts_and_z_s_write_nothing(generator, tmp_path):
    for name in ("samples", "samples.npz"):
        out = tmp_path / name
        with pytest.raises(ConfigError, match="count is 0"):
            generate_images(generator, out, 0)
        with pytest.raises(ConfigError, match="count and z are given"):
            generate_images(generator, out, 2, z=np.zeros((2, 8)))
        for z in (np.zeros((2, 9)), np.zeros((0, 8)), np.zeros(8), 3.0, [["a"] * 8]):
            with pytest.raises(ShapeError, match="z has"):
                generate_images(generator, out, z=z)
    assert list(tmp_path.iterdir()) == []


def test_files_without_z_are_refused(tmp_path):
    np.savez(tmp_path / "others.npz", noise=np.zeros((2, 8)))
    (tmp_path / "text.npy").write_text("z")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "folder.npy").mkdir()
    for name, message in (
        ("others.npz", "no array named z"),
        ("text.npy", "cannot read z"),
        ("objects.npy", "cannot read z"),
        ("folder.npy", "cannot read z"),
        ("none.npy", "No such file"),
    ):
        with pytest.raises(DataError, match=message):
            read_noise(tmp_path / name)


def test_a_bar_is_shown_on_a_screen(generator, tmp_path, open_terminal):
    screen = open_terminal()
    assert progress.has_screen()
    generate_images(generator, tmp_path / "a.npz", 3)
    assert "3/3" in screen.getvalue()
    shown = screen.getvalue()
    generate_images(generator, tmp_path / "b.npz", 3, progress=False)
    assert screen.getvalue() == shown
