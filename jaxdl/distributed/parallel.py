"""Data parallelism: the only module that knows how steps are distributed over devices.

A step is written for one device's share of the batch. It receives its :class:`Shard`, which names
the axis to average over. :func:`compile_steps` compiles a loop of many such steps, with ``jit`` on
one device and ``pmap`` on several. The state is replicated, not stacked (``in_axes=None``,
``out_axes=None``), which is correct only if every replica computes the same values;
:func:`replicas_differ` measures that.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl.errors import ConfigError

PyTree = Any
AXIS = "devices"


class Shard(NamedTuple):
    """One device's share of the global batch.

    Attributes:
        index: 0 … count − 1 (traced under a parallel map).
        count: number of shards.
        axis_name: axis to average over, None on a single device.
    """

    index: jax.Array | int = 0
    count: int = 1
    axis_name: str | None = None

    def take(self, batch: jax.Array) -> jax.Array:
        """This device's consecutive part of an array whose first axis is the global batch.

        Raises:
            ConfigError: the batch does not divide into equal shares.

        Example:
            >>> import jax.numpy as jnp
            >>> Shard(index=1, count=2).take(jnp.arange(6)).tolist()
            [3, 4, 5]
        """
        if batch.shape[0] % self.count:
            raise ConfigError(
                f"a batch of {batch.shape[0]} cannot be cut into {self.count} equal shares"
            )
        size = batch.shape[0] // self.count
        return jax.lax.dynamic_slice_in_dim(batch, self.index * size, size)


StepFunction = Callable[[PyTree, PyTree, jax.Array, Shard], tuple[PyTree, PyTree]]
Loop = Callable[[PyTree, PyTree, jax.Array, jax.Array, Shard], tuple[PyTree, PyTree]]


def batch_size_for(shares: int, batch_size: int | None, default: int, name: str = "devices") -> int:
    """The global batch size: ``batch_size`` if given, else the default rounded up to a multiple.

    ``name`` says in messages what the shares are.

    Raises:
        ConfigError: the given size is not a multiple of ``shares``; the message names the nearest.

    Example:
        >>> batch_size_for(8, None, 100)
        104
    """
    if batch_size is None:
        return -(-default // shares) * shares
    if batch_size % shares:
        below = batch_size // shares * shares
        nearest = [str(size) for size in (below, below + shares) if size > 0]
        raise ConfigError(
            f"batch_size {batch_size} is the global batch and cannot be shared equally by "
            f"{shares} {name}; the nearest sizes that can: {' and '.join(nearest)}"
        )
    return batch_size


def replicate(tree: PyTree, devices: Sequence[jax.Device]) -> PyTree:
    """Copies every leaf to each of this process's devices."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    mesh = Mesh(np.array(devices), (AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def copied(tree: PyTree) -> PyTree:
    """Copies every leaf, so that the copy can be donated; unlike ``jnp.copy``, compiles nothing."""
    return jax.tree.map(lambda leaf: jax.device_put(jnp.asarray(leaf), may_alias=False), tree)


def unreplicate(tree: PyTree) -> PyTree:
    """The first device's copy of every leaf."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def replicas_differ(tree: PyTree) -> float:
    """Largest absolute difference between devices' copies of a replicated tree.

    It is 0.0 if gradients and statistics are averaged over all devices. If an average is missing,
    the replicas drift apart silently, because only the first one is ever read.
    """

    def spread(leaf: jax.Array) -> float:
        copies = np.stack([np.asarray(shard.data, np.float64) for shard in leaf.addressable_shards])
        return float(np.max(copies.max(0) - copies.min(0), initial=0.0))

    return max((spread(leaf) for leaf in jax.tree.leaves(tree)), default=0.0)


def make_loop(step: StepFunction, chunk: int) -> Loop:
    """A loop ``(state, inputs, first, steps, shard) -> (state, history)`` of up to ``chunk`` steps.

    The trip count is an argument, so it is traced once; see :func:`compile_steps`.
    """

    def loop(
        state: PyTree, inputs: PyTree, first: jax.Array, steps: jax.Array, shard: Shard
    ) -> tuple[PyTree, PyTree]:
        # With jit the step is traced once for both uses; inlined, the loop's program is the same.
        traced = jax.jit(lambda *arguments: step(*arguments, shard), inline=True)
        _, shapes = jax.eval_shape(traced, state, inputs, first)
        history = jax.tree.map(lambda leaf: jnp.zeros((chunk, *leaf.shape), leaf.dtype), shapes)

        def body(i: jax.Array, carry: tuple) -> tuple:
            state, history = carry
            state, metrics = traced(state, inputs, first + i)
            return state, jax.tree.map(lambda all_, new: all_.at[i].set(new), history, metrics)

        return jax.lax.fori_loop(0, steps, body, (state, history))

    return loop


def compile_steps(
    step: StepFunction,
    devices: Sequence[jax.Device],
    chunk: int,
    wrap: Callable[[Loop], Loop] | None = None,
) -> Callable[[PyTree, PyTree, int, int], tuple[PyTree, PyTree]]:
    """Compiles a loop of up to ``chunk`` steps on this process's devices.

    Args:
        step: ``step(state, inputs, position, shard) -> (state, metrics)``. ``position`` is the
            step's number within the epoch; ``inputs`` is whatever stays the same between steps
            (the data set on the device, the epoch's permutation, keys).
        devices: this process's devices. With several processes each passes its own, and the batch
            is spread over all of them in process order.
        chunk: the largest number of steps per call.
        wrap: transforms the loop before compilation; ``classifier.seeds_loop`` runs it over stacked
            states.

    Returns:
        ``run(state, inputs, first, steps) -> (state, history)``, with state and inputs replicated
        by :func:`replicate`; the state is donated. Each leaf of ``history`` has a leading axis of
        ``chunk``, of which the first ``steps`` entries are filled.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def step(state, inputs, position, shard):
        ...     return state + inputs * position, {"state": state}
        >>> run = compile_steps(step, jax.devices()[:1], chunk=4)
        >>> state, history = run(jnp.float32(0), jnp.float32(2), 0, 3)
        >>> float(state), history["state"].tolist()
        (6.0, [0.0, 0.0, 2.0, 0.0])
    """
    loop = make_loop(step, chunk)
    if wrap is not None:
        loop = wrap(loop)
    if len(devices) == 1 and jax.process_count() == 1:
        return jax.jit(functools.partial(loop, shard=Shard()), donate_argnums=0)

    return pmap_loop(loop, devices)


def pmap_loop(
    loop: Loop, devices: Sequence[jax.Device]
) -> Callable[[PyTree, PyTree, int, int], tuple[PyTree, PyTree]]:
    """Runs a loop under ``pmap`` on any number of devices; see :func:`compile_steps`."""
    total = len(devices) * jax.process_count()
    first_index = len(devices) * jax.process_index()
    indices = np.arange(first_index, first_index + len(devices), dtype=np.int32)

    def run_shard(index: jax.Array, *arguments: Any) -> tuple[PyTree, PyTree]:
        # On a single device, even a trivial pmean would copy all gradients.
        return loop(*arguments, Shard(index, total, AXIS if total > 1 else None))

    mapped = jax.pmap(
        run_shard,
        axis_name=AXIS,
        in_axes=(0, None, None, None, None),
        out_axes=None,
        donate_argnums=1,
        # With several processes, pmap uses all their devices, in process order.
        devices=devices if jax.process_count() == 1 else None,
    )
    return functools.partial(mapped, indices)
