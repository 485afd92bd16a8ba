"""Short reprs: whatever the arrays are, a few lines."""

import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.models import MLP, Discriminator, Generator
from jaxdl.training import gan
from jaxdl.training.classifier import create_state
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import root_key


@pytest.fixture(scope="module")
def classifier():
    return create_state(root_key(0), MLP(hidden=(8,)), optax.sgd(0.1), jnp.zeros((1, 4)))


@pytest.fixture(scope="module")
def pair():
    adam = optax.adam(2e-4)
    networks = Generator(features=2, image_size=16), Discriminator(features=2, image_size=16)
    return gan.create_state(jax.random.key(0), *networks, adam, adam)


def test_a_network_is_a_line(classifier):
    assert repr(classifier.network) == (
        "NetworkState(params=<130 numbers>, batch_stats={}, opt_state=(EmptyState(), EmptyState()),"
        " model=MLP)"
    )


def test_states_are_a_few_lines(classifier, pair):
    assert repr(classifier).startswith("ClassifierState(\n    step=0,\n    network=NetworkState(")
    assert repr(pair).startswith("GANState(\n    step=0,\n    generator=NetworkState(params=<")
    for state in (classifier, pair):
        assert len(repr(state).splitlines()) <= 6


def test_the_best_weights_show_where_they_are_kept(classifier):
    kept = classifier.replace(best={"params": classifier.network.params, "batch_stats": {}})
    assert "best=<130 numbers>" in repr(kept)
    assert "best" not in repr(classifier)


def test_what_has_no_values_has_a_short_repr_too(pair):
    seen = []
    jax.eval_shape(lambda state: seen.append(repr(state)), pair)
    placed = jax.tree.map(lambda leaf: leaf.sharding, pair)
    for text in (*seen, repr(jax.eval_shape(lambda: pair)), repr(placed)):
        assert text.startswith("GANState(")
        assert len(text.splitlines()) < 20
    assert "step=int32[]" in seen[0]


def test_a_donated_state_can_still_be_printed(classifier):
    step = jnp.array([3, 4])
    state = classifier.replace(step=step)
    assert "step=[3, 4]" in repr(state)
    step.delete()
    assert "step=int32[2]" in repr(state)


def test_other_values():
    class Result(NamedTuple):
        key: jax.Array
        many: np.ndarray
        figures: dict
        summary: dict
        seconds: float
        lines: str
        transform: Callable
        status: int | None = None

        __repr__ = short_repr

    figures = {"curves": object(), "samples": object()}
    result = Result(jax.random.key(0), np.zeros(100), figures, {}, 1 / 3, "a\n" * 500, short_repr)
    text = re.sub(r"key<\w+>", "key", repr(result))
    assert text.splitlines() == [
        "Result(",
        "    key=key[],",
        "    many=float64[100],",
        "    figures=<curves, samples>,",
        "    summary={},",
        "    seconds=0.3333,",
        "    lines=<str>,",
        "    transform=short_repr,",
        ")",
    ]
