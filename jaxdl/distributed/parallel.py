"""Data parallelism: the only module that knows how steps are spread over devices.

A step is written for one device's share of the batch: it is told its :class:`Shard` and the name
of the axis to average over. :func:`compile_steps` turns it into a function that runs many steps in
one compiled loop, with ``jit`` on one device and ``pmap`` on several. The state is never stacked:
it is replicated (``in_axes=None``, ``out_axes=None``), which is right only as long as every
replica computes the same. :func:`replicas_differ` measures that.
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
        index: which share, 0 … count − 1 (traced under a parallel map).
        count: number of shares.
        axis_name: axis to average over, None on a single device.
    """

    index: jax.Array | int = 0
    count: int = 1
    axis_name: str | None = None

    def take(self, batch: jax.Array) -> jax.Array:
        """This device's consecutive part of an array whose first axis is the global batch.

        Example:
            >>> import jax.numpy as jnp
            >>> Shard(index=1, count=2).take(jnp.arange(6)).tolist()
            [3, 4, 5]

        Raises:
            ConfigError: the batch has no equal shares.
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
    """The global batch size: the explicit one if it divides, else the default rounded up.

    Args:
        shares: number of equal shares of the batch.
        batch_size: what the user asked for; None if nothing.
        default: the experiment's own size.
        name: what the shares are for.

    Returns:
        A multiple of ``shares``.

    Raises:
        ConfigError: an explicit size does not divide; the message names the nearest that do.

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
    """A copy of every leaf on each of this process's devices, seen as one array."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    mesh = Mesh(np.array(devices), (AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def unreplicate(tree: PyTree) -> PyTree:
    """The first device's copy of every leaf."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def replicas_differ(tree: PyTree) -> float:
    """Largest absolute difference between any two devices' copies of a replicated tree.

    It is 0.0 as long as gradients and statistics are averaged over all devices; a forgotten
    average makes the replicas drift apart silently, since only the first one is ever read.
    """

    def spread(leaf: jax.Array) -> float:
        copies = np.stack([np.asarray(shard.data, np.float64) for shard in leaf.addressable_shards])
        return float(np.max(copies.max(0) - copies.min(0), initial=0.0))

    return max((spread(leaf) for leaf in jax.tree.leaves(tree)), default=0.0)


def make_loop(step: StepFunction, chunk: int) -> Loop:
    """A loop of up to ``chunk`` steps; the trip count is an argument, so there is one trace.

    Args:
        step: one step, see :func:`compile_steps`.
        chunk: most steps in one call.

    Returns:
        ``loop(state, inputs, first, steps, shard) -> (state, history)``.
    """

    def loop(
        state: PyTree, inputs: PyTree, first: jax.Array, steps: jax.Array, shard: Shard
    ) -> tuple[PyTree, PyTree]:
        shapes = jax.eval_shape(lambda: step(state, inputs, first, shard)[1])
        history = jax.tree.map(lambda leaf: jnp.zeros((chunk, *leaf.shape), leaf.dtype), shapes)

        def body(i: jax.Array, carry: tuple) -> tuple:
            state, history = carry
            state, metrics = step(state, inputs, first + i, shard)
            return state, jax.tree.map(lambda all_, new: all_.at[i].set(new), history, metrics)

        return jax.lax.fori_loop(0, steps, body, (state, history))

    return loop


def compile_steps(
    step: StepFunction,
    devices: Sequence[jax.Device],
    chunk: int,
    wrap: Callable[[Loop], Loop] | None = None,
) -> Callable[[PyTree, PyTree, int, int], tuple[PyTree, PyTree]]:
    """Compiles a step into a loop of up to ``chunk`` steps on this process's devices.

    Args:
        step: ``step(state, inputs, position, shard) -> (state, metrics)``; ``position`` is the
            step's number within the epoch, and ``inputs`` whatever stays the same between steps
            (the data set on the device, the epoch's permutation, keys).
        devices: this process's devices; with several processes each brings its own, and the
            batch is spread over all of them in process order.
        chunk: most steps in one call.
        wrap: changes the loop before it is compiled; ``classifier.seeds_loop`` runs it over
            stacked states.

    Returns:
        ``run(state, inputs, first, steps) -> (state, history)``: state and inputs replicated by
        :func:`replicate`; the state is donated. Each leaf of ``history`` has a leading axis of
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
    """A loop under ``pmap``, whatever the number of devices; see :func:`compile_steps`."""
    total = len(devices) * jax.process_count()
    first_index = len(devices) * jax.process_index()
    indices = np.arange(first_index, first_index + len(devices), dtype=np.int32)

    def run_shard(index: jax.Array, *arguments: Any) -> tuple[PyTree, PyTree]:
        # With nothing to average over, a mean would cost a copy of all gradients.
        return loop(*arguments, Shard(index, total, AXIS if total > 1 else None))

    mapped = jax.pmap(
        run_shard,
        axis_name=AXIS,
        in_axes=(0, None, None, None, None),
        out_axes=None,
        donate_argnums=1,
        # With several processes pmap takes all of their devices, in process order.
        devices=devices if jax.process_count() == 1 else None,
    )
    return functools.partial(mapped, indices)
