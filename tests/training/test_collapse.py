"""Signs of collapse: on made-up records, and on networks that were made to collapse."""

import functools

import jax
import numpy as np
import optax
import pytest

from jaxdl.distributed import parallel
from jaxdl.models import Discriminator, Generator
from jaxdl.training import gan, rngs
from jaxdl.training.collapse import chance_warnings, collapse_warnings, sample_figures


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"d_x": 0.95, "d_g_z1": 0.05, "sample_spread": 0.3, "sample_magnitude": 0.9}, []),
        ({"d_x": 0.995, "d_g_z1": 0.05, "sample_spread": 0.3, "sample_magnitude": 0.9}, []),
        (
            {"d_x": 0.995, "d_g_z1": 0.005, "sample_spread": 0.3, "sample_magnitude": 0.9},
            ["D(x) 0.9950"],
        ),
        ({"d_x": 0.5, "d_g_z1": 0.5, "sample_spread": 0.0007, "sample_magnitude": 0.01}, []),
        ({"d_x": 0.5, "d_g_z1": 0.5, "sample_spread": 0.1, "sample_magnitude": 0.9}, []),
        (
            {"d_x": 0.5, "d_g_z1": 0.5, "sample_spread": 0.08, "sample_magnitude": 0.9},
            ["0.0800 on average, its size 0.9000"],
        ),
        (
            {"d_x": 0.5, "d_g_z1": 0.5, "sample_spread": 0.002, "sample_magnitude": 0.9},
            ["0.0020 on average"],
        ),
        (
            {"d_x": 1.0, "d_g_z1": 0.0, "sample_spread": 0.0, "sample_magnitude": 0.9},
            ["D(x) 1.0000", "0.0000 on average"],
        ),
    ],
)
def test_signs_of_collapse_are_named_with_their_numbers(record, expected):
    found = collapse_warnings(record)
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line


def train_gan(images, generator_rate, discriminator_rate, steps):
    """The warnings that a small DCGAN deserves after so many steps."""
    networks = Generator(8, 8, 16), Discriminator(8, 16)
    rates = (optax.adam(r, b1=0.5) for r in (generator_rate, discriminator_rate))
    state = gan.create_state(jax.random.key(0), *networks, *rates)
    inputs = gan.GANInputs(images, np.arange(len(images)), rngs.root_key(1))
    step = functools.partial(gan.batch_step, recipe=gan.GANRecipe(32))
    run = parallel.compile_steps(step, jax.devices()[:1], 50)
    for _ in range(0, steps, 50):
        state, history = run(state, inputs, 0, 50)
    record = {name: float(history[name].mean()) for name in ("d_x", "d_g_z1")}
    noise = jax.random.normal(jax.random.key(5), (64, 8))
    return collapse_warnings(record | sample_figures(gan.generate(state, noise)))


@pytest.mark.slow
def test_real_collapse_is_noticed_and_health_is_not():
    blocks = np.random.default_rng(0).integers(0, 256, (1600, 4, 4, 1), np.uint8)
    varied = blocks.repeat(4, axis=1).repeat(4, axis=2)
    single = np.broadcast_to(varied[:1], varied.shape).copy()
    assert train_gan(varied, 2e-4, 2e-4, 150) == []
    (line,) = train_gan(varied, 1e-7, 2e-3, 150)  # G stands still
    assert "the discriminator is saturated" in line
    (line,) = train_gan(single, 2e-3, 2e-4, 1200)  # one image is all there is to make
    assert "nearly identical" in line


def test_with_many_classes_chance_is_lower():
    assert chance_warnings({"accuracy": [0.12]})
    assert chance_warnings({"accuracy": [0.12]}, num_classes=2)
    assert not chance_warnings({"accuracy": [0.12]}, num_classes=100)
    assert chance_warnings({"accuracy": [0.012]}, num_classes=100)
