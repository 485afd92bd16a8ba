"""Training of networks small enough for a lesson: several rates and seeds in a few seconds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl import data, nn
from jaxdl.training.classifier import ClassifierState, train_step
from jaxdl.training.rngs import Stream, stream
from jaxdl.training.several_seeds import over_seeds, root_keys, stacked_states
from jaxdl.training.state import NetworkState

Examples = tuple[jax.Array, jax.Array]  # inputs (N, …) and labels (N,)


class Plan(NamedTuple):
    """What is trained: a network for each rate and seed, ``epochs`` passes in batches."""

    rates: Sequence[float]
    seeds: Sequence[int]
    epochs: int
    batch_size: int


def small_digits(split: data.Split) -> Examples:
    """Digits of 14×14 pixels, a quarter of the arithmetic, normalised."""
    return nn.avg_pool(data.normalize_mnist(split.images), 2), jnp.asarray(split.labels)


def train(
    model: linen.Module,
    make_optimizer: Callable[[Any], optax.GradientTransformation],
    examples: Examples,
    plan: Plan,
    look: Callable[[NetworkState], Any],
) -> Any:
    """Trains classifiers and looks at each before training and after every epoch.

    Networks of one seed start with the same weights and see the same batches.

    Args:
        model: the network.
        make_optimizer: gives the optimiser of a rate; the rates are traced, so that they share a
            compilation.
        examples: to train on; an epoch's incomplete last batch is left out.
        plan: rates, seeds, epochs and batch size.
        look: what is kept of a network, a pytree of arrays.

    Returns:
        What ``look`` returned, with leaves (rates, seeds, epochs + 1, …).
    """
    seeds = list(plan.seeds) * len(plan.rates)
    rates = jnp.repeat(jnp.asarray(plan.rates, jnp.float32), len(plan.seeds))
    keys = root_keys(seeds)
    state = stacked_states(model, make_optimizer(plan.rates[0]), examples[0][:1], seeds)
    size = min(plan.batch_size, len(examples[1]))

    @jax.jit
    def train_epoch(
        state: ClassifierState, epoch: jax.Array, examples: Examples
    ) -> ClassifierState:
        def one(run: tuple[ClassifierState, jax.Array, jax.Array]) -> ClassifierState:
            state, key, rate = run
            order_key = jax.random.fold_in(stream(key, Stream.SHUFFLE), epoch)
            order = jax.random.permutation(order_key, len(examples[1]))
            batches = order[: len(order) // size * size].reshape(-1, size)

            def step(state: ClassifierState, chosen: jax.Array) -> tuple[ClassifierState, None]:
                return train_step(state, *(array[chosen] for array in examples))[0], None

            usual = state.network.optimizer
            network = state.network.replace(optimizer=make_optimizer(rate))
            state = jax.lax.scan(step, state.replace(network=network), batches)[0]
            # A traced rate cannot leave this function.
            return state.replace(network=state.network.replace(optimizer=usual))

        return over_seeds(one, jax.default_backend() == "cpu")((state, keys, rates))

    look_at_all = jax.jit(lambda state: jax.vmap(look)(state.network))
    found = [look_at_all(state)]
    for epoch in range(plan.epochs):
        state = train_epoch(state, epoch, examples)
        found.append(look_at_all(state))
    shape = (len(plan.rates), len(plan.seeds), plan.epochs + 1)
    return jax.tree.map(
        lambda *leaves: np.stack(leaves, axis=1).reshape(*shape, *leaves[0].shape[1:]), *found
    )
