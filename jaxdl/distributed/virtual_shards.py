"""Bit-identical results on any number of devices: each batch is split into K virtual shards.

In ordinary data parallelism the last bits depend on the number of devices: each device sums another
part of the batch, floating-point sums depend on their order, and training amplifies the difference.
Here the batch is split into K *virtual* shards for any number of devices D. Each device computes
its K/D shards in turn, with the same compiled code for the same shapes, and every sum over the
batch (gradients, BatchNorm's statistics, metrics) follows one binary tree:

.. math::
    ((s_0 + s_1) + (s_2 + s_3)) + ((s_4 + s_5) + (s_6 + s_7))

K and D are powers of two, so a device's shards form one branch of the tree, and devices exchange
one partial sum each.

Measured on CPUs; untested on GPUs. The CPU backend must use the same number of threads for every
number of devices: programs arrange this; in a notebook, call ``devices.fix_threads(K)`` first.

BatchNorm sums in the middle of the network, so the shards must pass through it in lockstep. The
step is traced once, for one shard, and its operations are sorted into a plan (:func:`make_plan`).
Operations that do not depend on the shard, such as the optimiser's, run once. Operations that do
are grouped up to the next sum and run for one shard after another. Sums follow the tree.

References:
    Li et al., "EasyScale: Elastic Training with Consistent Accuracy and Improved Utilization on
    GPUs", SC 2023, whose workers also take turns on a device.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.distributed.parallel import Shard, StepFunction
from jaxdl.errors import ConfigError

PyTree = Any
AXIS = "virtual shards"
SUM = "psum"
# Operations that only wrap others, and the parameter that holds their jaxpr.
_WRAPPERS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


class Constant(NamedTuple):
    """An operand known at trace time."""

    value: Any


Operand = int | Constant  # a value's number, or a constant


class Operation(NamedTuple):
    """A JAX primitive applied to numbered values."""

    primitive: Any
    params: dict[str, Any]
    inputs: tuple[Operand, ...]
    outputs: tuple[int, ...]

    @property
    def reads(self) -> set[int]:
        """The numbers of its input values."""
        return {value for value in self.inputs if isinstance(value, int)}


class Segment(NamedTuple):
    """Operations to run for one shard after another.

    ``inputs`` are the values they read, per shard or shared; ``outputs`` are the results read
    later.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Plan(NamedTuple):
    """A step's operations, sorted; see :func:`make_plan`.

    Attributes:
        parts: segments, sums (operations named ``psum``) and operations to run once, in order.
        varying: numbers of the values that differ between shards.
        inputs: numbers of the step's arguments; the first is the shard's index.
        outputs: the step's results.
    """

    parts: tuple[Segment | Operation, ...]
    varying: frozenset[int]
    inputs: tuple[int, ...]
    outputs: tuple[Operand, ...]


def check_shards(count: int, devices: int) -> None:
    """Checks a number of virtual shards against a number of devices.

    Raises:
        ConfigError: a number is not a power of two, or there are more devices than shards.

    Example:
        >>> check_shards(8, 2)
        >>> check_shards(8, 3)
        Traceback (most recent call last):
            ...
        jaxdl.errors.ConfigError: virtual_shards 8 cannot be spread over 3 devices: ...
    """
    if count & (count - 1):
        raise ConfigError(f"virtual_shards {count}: expected a power of two (1, 2, 4, 8, …)")
    if count % devices:
        possible = ", ".join(str(2**i) for i in range(count.bit_length()))
        raise ConfigError(
            f"virtual_shards {count} cannot be spread over {devices} devices: choose "
            f"{possible} of them"
        )


def with_virtual_shards(step: StepFunction, count: int) -> StepFunction:
    """Makes a step that gives the same bits on 1, 2, 4 … ``count`` devices.

    Args:
        step: a step for ``parallel.compile_steps``. It must take its part of the batch with
            ``shard.take`` and sum over ``shard.axis_name`` with ``jax.lax.psum`` or ``pmean``, as
            the steps of this package do.
        count: number of virtual shards, a power of two.

    Returns:
        The step, for any number of devices that divides ``count``. Tracing it raises a ConfigError
        for another number of devices, if a result differs between shards, or if the step uses the
        axis in a way that has no fixed order.

    Example:
        >>> from jaxdl.distributed.parallel import compile_steps
        >>> def step(state, batch, position, shard):
        ...     mean = jax.lax.pmean(shard.take(batch).mean(), shard.axis_name)
        ...     return state + mean, {"mean": mean}
        >>> run = compile_steps(with_virtual_shards(step, 4), jax.devices()[:1], chunk=1)
        >>> float(run(jnp.float32(0), jnp.arange(8.0), 0, 1)[0])
        3.5
    """

    def sharded(
        state: PyTree, inputs: PyTree, position: jax.Array, shard: Shard
    ) -> tuple[PyTree, PyTree]:
        check_shards(count, shard.count)

        def one_shard(index: jax.Array, *arguments: Any) -> tuple[PyTree, PyTree]:
            return step(*arguments, Shard(index, count, AXIS))

        arguments = (state, inputs, jnp.asarray(position))
        traced, shapes = jax.make_jaxpr(one_shard, axis_env=[(AXIS, count)], return_shape=True)(
            jnp.int32(0), *arguments
        )
        results = run_plan(make_plan(traced), jax.tree.leaves(arguments), shard, count)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return sharded


def make_plan(traced: Any) -> Plan:
    """Sorts the operations of a traced step; sums keep the step's order.

    Args:
        traced: the result of ``jax.make_jaxpr`` for a function whose first argument is the shard's
            index, a scalar integer.

    Raises:
        ConfigError: a result differs between shards, or the step uses the axis in a loop or for
            anything but sums.
    """
    names = _Names()
    inputs = [names.add(variable) for variable in traced.jaxpr.invars]
    operations = list(_flatten(traced.jaxpr, traced.consts, names))
    outputs = tuple(names.read(atom) for atom in traced.jaxpr.outvars)
    varying = _find_varying(operations, inputs[0])
    if any(value in varying for value in outputs if isinstance(value, int)):
        raise ConfigError(
            "virtual shards: a result of the step differs between the shards; average it, and the "
            "gradients, over the shard's axis"
        )
    parts = tuple(_sort(operations, varying, outputs))
    return Plan(parts, frozenset(varying), tuple(inputs), outputs)


class _Names:
    def __init__(self) -> None:
        self.count = 0
        self.scope: dict[Any, Operand] = {}

    def add(self, variable: Any) -> int:
        self.scope[variable] = number = self.count
        self.count += 1
        return number

    def read(self, atom: Any) -> Operand:
        return Constant(atom.val) if hasattr(atom, "val") else self.scope[atom]


def _flatten(body: Any, constants: Sequence[Any], names: _Names) -> Iterator[Operation]:
    """The operations of a function, inlining calls that use the axis."""
    for variable, value in zip(body.constvars, constants, strict=True):
        names.scope[variable] = Constant(value)
    for equation in body.eqns:
        name, operands = equation.primitive.name, tuple(map(names.read, equation.invars))
        if not _uses_axis(equation) or _is_sum(equation):
            outputs = tuple(map(names.add, equation.outvars))
            yield Operation(equation.primitive, equation.params, operands, outputs)
        elif name in _WRAPPERS:
            inner = equation.params[_WRAPPERS[name]]
            body = getattr(inner, "jaxpr", inner)
            outer, names.scope = names.scope, dict(zip(body.invars, operands, strict=True))
            yield from _flatten(body, getattr(inner, "consts", ()), names)
            results = map(names.read, body.outvars)
            names.scope = outer | dict(zip(equation.outvars, results, strict=True))
        else:
            raise ConfigError(
                f"virtual shards: the step uses its shard's axis in {name!r}; it may only sum "
                "over all shards (jax.lax.psum, jax.lax.pmean), and not inside a loop"
            )


def _uses_axis(equation: Any) -> bool:
    """Whether an operation, or one inside it, names the axis (``ppermute`` has no effect)."""
    names = equation.params.get("axis_name", ())
    if AXIS in (names if isinstance(names, tuple) else (names,)):
        return True
    if any(getattr(effect, "name", None) == AXIS for effect in equation.effects):
        return True
    parts = (p if isinstance(p, tuple) else (p,) for p in equation.params.values())
    bodies = (getattr(one, "jaxpr", one) for part in parts for one in part)
    return any(_uses_axis(inner) for body in bodies for inner in getattr(body, "eqns", ()))


def _is_sum(equation: Any) -> bool:
    params = equation.params
    return (
        equation.primitive.name == SUM
        and params["axes"] == (AXIS,)
        and params["axis_index_groups"] is None
    )


def _find_varying(operations: Sequence[Operation], index: int) -> set[int]:
    """The values that depend on the shard's index other than through sums over all shards."""
    varying = {index}
    for operation in operations:
        if operation.primitive.name != SUM and operation.reads & varying:
            varying.update(operation.outputs)
    return varying


def _sort(
    operations: Sequence[Operation], varying: set[int], outputs: Sequence[Operand]
) -> Iterator[Segment | Operation]:
    last_read = {n: i for i, operation in enumerate(operations) for n in operation.reads}
    last_read |= {n: len(operations) for n in outputs if isinstance(n, int)}
    waiting: list[Operation] = []
    for i, operation in enumerate(operations):
        if operation.primitive.name == SUM:
            if waiting:
                yield _segment(waiting, lambda n, i=i: last_read.get(n, -1) >= i)
                waiting = []
            yield operation
        elif operation.reads & varying:
            waiting.append(operation)
        else:
            yield operation


def _segment(operations: Sequence[Operation], is_needed: Callable[[int], bool]) -> Segment:
    made = [n for operation in operations for n in operation.outputs]
    read = {n for operation in operations for n in operation.reads}
    return Segment(
        tuple(operations), tuple(sorted(read - set(made))), tuple(filter(is_needed, made))
    )


def run_plan(plan: Plan, arguments: Sequence[Any], shard: Shard, count: int) -> list[jax.Array]:
    """Runs a plan on this device's shards and returns the step's results, flat.

    Args:
        plan: see :func:`make_plan`.
        arguments: the step's arguments after the index, flat; the last is its position, ≥ 0.
        shard: this device's share of the batch.
        count: number of virtual shards, a multiple of the number of devices.
    """
    local = count // shard.count
    # XLA inlines a loop that it knows to run once, and may then fuse its products and sums with the
    # surrounding code. So the trip count comes from an argument, and stacks have one spare row.
    once = jnp.where(arguments[-1] >= 0, 1, 0)
    indices = shard.index * local + jnp.arange(local + 1, dtype=jnp.int32)
    values: dict[int, Any] = dict(zip(plan.inputs, (indices, *arguments), strict=True))

    def read(operand: Operand) -> Any:
        return operand.value if isinstance(operand, Constant) else values[operand]

    def add_up(operand: Operand) -> jax.Array:
        if isinstance(operand, Constant) or operand not in plan.varying:
            return count * read(operand)
        return _sum_shards(values[operand], local, shard.axis_name, once)

    for part in plan.parts:
        if isinstance(part, Segment):
            results = _run_segment(part, values, plan.varying, once * local, local + 1)
            values.update(zip(part.outputs, results, strict=True))
        elif part.primitive.name == SUM:
            values.update(zip(part.outputs, map(add_up, part.inputs), strict=True))
        else:
            values.update(zip(part.outputs, _evaluate(part, read), strict=True))
    return [read(operand) for operand in plan.outputs]


def _run_segment(
    segment: Segment,
    values: dict[int, Any],
    varying: frozenset[int],
    turns: jax.Array,
    rows: int,
) -> list[jax.Array]:
    """Runs a segment for each shard and stacks its outputs, (rows, …), filling ``turns`` rows."""

    def one(row: jax.Array | int) -> list[jax.Array]:
        own = {
            n: lax.dynamic_index_in_dim(values[n], row, keepdims=False)
            if n in varying
            else values[n]
            for n in segment.inputs
        }

        def read(operand: Operand) -> Any:
            return operand.value if isinstance(operand, Constant) else own[operand]

        for operation in segment.operations:
            own.update(zip(operation.outputs, _evaluate(operation, read), strict=True))
        return [own[n] for n in segment.outputs]

    def turn(row: jax.Array, stacks: list[jax.Array]) -> list[jax.Array]:
        return [stack.at[row].set(new) for stack, new in zip(stacks, one(row), strict=True)]

    empty = [jnp.zeros((rows, *leaf.shape), leaf.dtype) for leaf in jax.eval_shape(one, 0)]
    return lax.fori_loop(0, turns, turn, empty)


def _sum_shards(stack: jax.Array, local: int, axis_name: str | None, once: jax.Array) -> jax.Array:
    """Sums a stack's first ``local`` rows, and those of the other devices.

    The exchange is outside the loops: gloo confuses messages that several loops send at once.
    """
    branch = _sum_rows(stack, local, once)
    if axis_name is None:
        return branch
    branches = lax.all_gather(branch, axis_name)
    return _sum_rows(branches, branches.shape[0], once)


def _sum_rows(stack: jax.Array, count: int, once: jax.Array) -> jax.Array:
    """Sums the first ``count`` rows (a power of two) pairwise, in a loop of its own.

    Otherwise XLA would compile the last addition together with what follows, differently for each
    number of devices.
    """

    def turn(first: jax.Array, _: jax.Array) -> jax.Array:
        rows = [lax.dynamic_index_in_dim(stack, first + i, keepdims=False) for i in range(count)]
        while len(rows) > 1:
            rows = [a + b for a, b in zip(rows[::2], rows[1::2], strict=True)]
        return rows[0]

    return lax.fori_loop(0, once, turn, jnp.zeros(stack.shape[1:], stack.dtype))


def _evaluate(operation: Operation, read: Callable[[Operand], Any]) -> Sequence[Any]:
    primitive = operation.primitive
    results = primitive.bind(
        *map(read, operation.inputs), **primitive.get_bind_params(operation.params)
    )
    return results if primitive.multiple_results else [results]
