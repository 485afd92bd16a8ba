"""Streamed batches are the batches of the whole, whichever process reads its part of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.distributed.parallel import Shard
from jaxdl.run import gan_inputs
from jaxdl.training.gan import GANRecipe, _real_images
from jaxdl.training.rngs import root_key


@pytest.fixture
def images(rng):
    """Fifty tiny images."""
    return rng.integers(0, 256, (50, 2, 2, 1), dtype=np.uint8)


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("processes", [1, 2])
def test_every_shard_gets_its_images_of_each_batch(processes, turns, images, monkeypatch):
    recipe, root = GANRecipe(8, discriminator_steps=turns), root_key(3)
    monkeypatch.setattr(gan_inputs, "GROUP_BYTES", 8 * 4 * 2)
    monkeypatch.setattr(jax, "process_count", lambda: processes)
    whole = gan_inputs.whole_inputs(images, root)(2)
    assert whole.images.devices() == {jax.devices()[0]}
    steps = recipe.steps_per_epoch(len(images))
    for process in range(processes):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        feed = gan_inputs.streamed_inputs(images, root, recipe)(2)
        for position in range(steps):
            inputs, _ = feed.at(position)
            assert inputs.images.shape[1] == 8 // processes
            for half in range(2):
                shard = Shard(2 * process + half, 2 * processes)
                for number in range(position * turns, (position + 1) * turns):
                    batch = jnp.asarray(np.asarray(whole.permutation)[8 * number : 8 * number + 8])
                    found = _real_images(inputs, batch, number, shard)
                    np.testing.assert_array_equal(found, images[np.asarray(shard.take(batch))])
        np.testing.assert_array_equal(inputs.permutation, whole.permutation)


def test_a_group_takes_a_bounded_number_of_bytes(images):
    recipe = GANRecipe(8)
    feed = gan_inputs.streamed_inputs(images, root_key(0), recipe)(1)
    inputs, stop = feed.at(0)
    assert stop == recipe.steps_per_epoch(50) == 6  # all of so few
    large = np.broadcast_to(np.uint8(0), (50, 1024, 1024, 3))
    inputs, stop = gan_inputs.streamed_inputs(large, root_key(0), recipe)(1).at(0)
    assert stop == 2
    assert inputs.images.nbytes <= gan_inputs.GROUP_BYTES
