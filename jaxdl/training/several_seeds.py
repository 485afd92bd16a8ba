"""Trains several seeds together, with their states stacked along a leading axis.

A seed's numbers do not depend on which other seeds train with it.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import optax

from jaxdl.distributed.parallel import Loop, Shard
from jaxdl.training.classifier import ClassifierInputs, ClassifierState, create_state
from jaxdl.training.rngs import root_key
from jaxdl.training.state import NetworkState

PyTree = Any


def root_keys(seeds: Sequence[int]) -> jax.Array:
    """Each seed's root key, (seeds,)."""
    return jnp.stack([root_key(seed) for seed in seeds])


def stacked_states(
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    example: jax.Array,
    seeds: Sequence[int],
    *,
    stops: bool = False,
    variables: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> ClassifierState:
    """Each seed's initial state, stacked along a leading axis; see ``classifier.create_state``.

    ``variables`` are for all seeds, or a sequence of as many as there are seeds.
    """
    empty = NetworkState({}, {}, (), model, optimizer)
    own = variables is not None and not isinstance(variables, Mapping)
    if own:
        variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(dict, variables))
    elif variables is not None:
        variables = jax.tree.map(jnp.asarray, dict(variables))
    return _created(empty, root_keys(seeds), example, variables, stops, own)


@functools.partial(jax.jit, static_argnums=(4, 5))
def _created(
    empty: NetworkState,
    keys: jax.Array,
    example: jax.Array,
    variables: Mapping[str, Any] | None,
    stops: bool,
    own: bool,
) -> ClassifierState:
    """The states of :func:`stacked_states`; compiles once per model and optimiser."""

    def create(key: jax.Array, variables: Mapping[str, Any] | None) -> ClassifierState:
        return create_state(
            key, empty.model, empty.optimizer, example, stops=stops, variables=variables
        )

    return jax.vmap(create, (0, 0 if own else None))(keys, variables)


def one_seed(stacked: PyTree, index: int) -> PyTree:
    """The state of the ``index``-th seed, from 0, out of stacked states."""
    leaves, structure = jax.tree.flatten(stacked)
    return structure.unflatten(_rows(leaves, index))


@jax.jit
def _rows(leaves: Sequence[jax.Array], index: jax.Array) -> list[jax.Array]:
    return [leaf[index] for leaf in leaves]


def over_seeds(function: Callable, in_turns: bool) -> Callable:
    """Maps a function over the seeds, the leading axis of its first argument's leaves.

    On a CPU, run the seeds in turn (``lax.map``): XLA's CPU backend computes the batched products
    of ``vmap`` more slowly than one large product after another. On an accelerator, run them
    together (``vmap``): a single small network leaves most of the device idle. Both give the same
    numbers up to rounding.
    """
    if in_turns:
        return lambda stacked: jax.lax.map(function, stacked)
    return jax.vmap(function)


def seeds_loop(loop: Loop, in_turns: bool) -> Loop:
    """A loop of ``classifier.batch_step`` for every seed that has not stopped.

    The seeds are the outer loop. With the steps outside, slicing a seed's state out of the stack
    and writing it back would cost half as much again as the step itself on a CPU (12.9 instead of
    8.5 ms for the course's MLP on two cores).
    """

    def all_seeds(
        state: ClassifierState,
        inputs: ClassifierInputs,
        first: jax.Array,
        steps: jax.Array,
        shard: Shard,
    ) -> tuple[ClassifierState, PyTree]:
        def one(stacked: tuple) -> tuple[ClassifierState, PyTree]:
            state, permutation, key = stacked
            own = inputs._replace(permutation=permutation, keys=key)
            own_steps = steps if state.active is None else jnp.where(state.active, steps, 0)
            return loop(state, own, first, own_steps, shard)

        stacked = (state, inputs.permutation, inputs.keys)
        state, history = over_seeds(one, in_turns)(stacked)
        return state, jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), history)

    return all_seeds
