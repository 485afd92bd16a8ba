"""A tiny run of DCGAN, made without training, and its generator."""

import json

import jax
import numpy as np
import pytest

from jaxdl import optim
from jaxdl.generation import TrainedGenerator
from jaxdl.models import Discriminator, Generator
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.training import gan

SIZES = {"features": 4, "latent_dim": 8, "image_size": 16}


def vivid(variables, seed=0):
    """Variables of the same shapes whose images differ visibly."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda a: rng.uniform(0.05, 1, a.shape).astype(a.dtype) - 0.4 * (a.ndim > 1), variables
    )


@pytest.fixture(scope="session")
def generator():
    model = Generator(**SIZES)
    shapes = jax.eval_shape(
        lambda key: model.init(key, np.zeros((1, 8)), train=False), jax.random.key(0)
    )
    return TrainedGenerator(model, vivid(shapes))


@pytest.fixture(scope="session")
def of_classes():
    """A generator of three classes."""
    model = Generator(**SIZES, num_classes=3)
    shapes = jax.eval_shape(
        lambda key: model.init(key, np.zeros((1, 8)), np.zeros(1, int), train=False),
        jax.random.key(0),
    )
    return TrainedGenerator(model, vivid(shapes))


@pytest.fixture(scope="session")
def made_up():
    return vivid


@pytest.fixture(scope="session")
def make_run(generator):
    """Writes a run's folder: make_run(folder, steps) with one checkpoint per step."""

    def make(folder, steps=(3,), program="dcgan", best=None, averages=False):
        adam = optim.adam(2e-4, b1=0.5)
        state = jax.eval_shape(
            lambda key: gan.create_state(
                key, generator.model, Discriminator(features=2, image_size=16), adam, adam
            ),
            jax.random.key(0),
        )
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"program": program, "config": SIZES}))
        with CheckpointStore(folder / "checkpoints", identity={"program": program}) as store:
            for step in steps:
                state = vivid(state, seed=step)
                network = state.generator.replace(**generator.variables)
                kept = state.replace(generator=network)
                if averages:
                    kept = kept.replace(average=vivid(generator.variables, seed=10 + step))
                meta = {"step": step, "best": [best, 1.0] if best else []}
                store.save(step, kept, meta, best)
        return folder

    return make


@pytest.fixture(scope="session")
def run(make_run, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "dcgan")
