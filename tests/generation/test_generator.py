import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxdl import plot
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.generation import load_generator, save_generator
from jaxdl.generation.generator import PASS


def test_images_are_the_network_s(generator, rng):
    z = rng.normal(size=(5, 8))
    images = generator.images(z)
    assert images.shape == (5, 16, 16, 1)
    assert images.dtype == np.float32
    assert images.std() > 0.1
    expected = jax.jit(lambda z: generator.model.apply(generator.variables, z, train=False))(z)
    np.testing.assert_allclose(images, expected, atol=1e-6)


def test_a_sample_has_the_same_bits_whatever_the_count(generator):
    many = generator.sample(2 * PASS + 3, seed=5)
    assert len(many) == 2 * PASS + 3
    for count in (1, PASS, PASS + 1):
        np.testing.assert_array_equal(generator.sample(count, seed=5), many[:count])
    np.testing.assert_array_equal(generator.images(generator.noise(range(70), seed=5)), many[:70])
    assert np.abs(generator.sample(3, seed=6) - many[:3]).max() > 0.1
    assert np.abs(many[0] - many[1]).max() > 0.1


def test_z_s_are_numbered(generator):
    z = generator.noise([7, 0, 7], seed=1)
    assert z.shape == (3, 8)
    np.testing.assert_array_equal(z[0], z[2])
    np.testing.assert_array_equal(z[1], generator.noise([0], seed=1)[0])
    everything = np.concatenate(list(generator.noise_batches(1000)))
    assert everything.shape == (1000, 8)
    assert abs(everything.mean()) < 0.05
    assert abs(everything.std() - 1) < 0.05


def test_pixels_are_those_of_a_grid(generator):
    batches = list(generator.noise_batches(PASS + 2))
    pixels = np.concatenate(list(generator.pixels(batches)))
    assert pixels.dtype == np.uint8
    grid = plot.tile(generator.images(np.concatenate(batches)), columns=1, padding=0)
    differences = np.abs(pixels.reshape(grid.shape).astype(int) - grid)
    assert differences.max() <= 1  # where rounding decides
    assert differences.mean() < 0.001
    again = np.concatenate(list(generator.pixels(generator.noise_batches(5))))
    np.testing.assert_array_equal(again, pixels[:5])


def test_images_are_computed_with_plain_convolutions_and_pixels_fast(generator, monkeypatch):
    """Winograd's algorithm rounds more, and other programs' images are to be within 1e-5."""
    used = []

    def draw(model, *arguments):
        used.append(model.conv)
        return np.zeros((PASS, 16, 16, 1))

    monkeypatch.setattr("jaxdl.generation.generator._draw", draw)
    generator.sample(1)
    next(generator.pixels(generator.noise_batches(1)))
    assert used == ["lax", "auto"]


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros(8), r"shape \(8,\); this generator needs \(N, 8\)"),
        (np.zeros((2, 9)), r"shape \(2, 9\)"),
        (np.zeros((0, 8)), r"shape \(0, 8\)"),
        (np.full((1, 8), np.nan), "not finite"),
        (np.full((1, 8), 1e300), "not finite"),
        (np.full((1, 8), "a"), "type <U1"),
    ],
)
def test_z_s_that_do_not_fit_are_refused(generator, z, message):
    with pytest.raises(ShapeError, match=message):
        generator.images(z)


@pytest.mark.parametrize("count", [0, -1, 2**31])
def test_no_samples_are_refused(generator, count):
    with pytest.raises(ConfigError, match=f"count is {count}"):
        generator.sample(count)


@pytest.mark.parametrize("numbers", [[-1], [0.5], [[1]], 3, [2**31]])
def test_numbers_that_are_none_are_refused(generator, numbers):
    with pytest.raises(ConfigError, match="numbers of z's"):
        generator.noise(numbers)


def test_the_repr_is_one_line(generator):
    text = "TrainedGenerator(16×16×1 images, features=4, latent_dim=8, from memory)"
    assert repr(generator) == text


@pytest.mark.slow
def test_one_device_and_eight_draw_the_same_bits(generator, tmp_path):
    path = save_generator(generator, tmp_path / "generator.safetensors")
    code = (
        "import sys, jaxdl, numpy; "
        "numpy.save(sys.argv[2], jaxdl.generation.load_generator(sys.argv[1]).sample(100, seed=3))"
    )
    for count in (1, 8):
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(count)}
        command = [sys.executable, "-c", code, str(path), str(tmp_path / f"{count}.npy")]
        subprocess.run(command, env=environment, check=True)
    one, eight = (np.load(tmp_path / f"{count}.npy") for count in (1, 8))
    assert one.std() > 0.1
    np.testing.assert_array_equal(one, eight)
    np.testing.assert_allclose(one, load_generator(path).sample(100, seed=3), atol=1e-5)
