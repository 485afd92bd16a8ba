"""Finds the first operation of a computation whose result is not finite.

Why not `jax.debug_nans`: it attributes a NaN of the backward pass to the call of `jax.grad`, where
this module names the line of the forward pass being differentiated. It also misses infinities
inside a compiled function unless a second run disables compilation (`jax.debug_infs`,
`jax.disable_jit`). In return, that second run looks inside `lax.scan`, which is one operation here.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal

PyTree = Any
# Operations that only wrap others: look inside them.
_WRAPPERS = ("jit", "pjit", "closed_call", "checkpoint", "custom_jvp_call", "custom_vjp_call")


def first_not_finite(function: Callable, *arguments: PyTree) -> list[str]:
    """Evaluates a function operation by operation and checks every intermediate result.

    The function takes pytrees of arrays, and may include a backward pass.

    Returns:
        In order of computation, one line for the first infinite result and one for the first NaN,
        each with its operation and source line; empty if every result is finite.

    Example:
        >>> import jax.numpy as jnp
        >>> found = first_not_finite(lambda x: 0 * jnp.exp(x), jnp.float32(100))
        >>> [line.split(" in ")[0] for line in found]
        ['the first infinite result is of exp,', 'the first NaN is of mul,']
    """
    closed = jax.make_jaxpr(function)(*arguments)
    found: dict[str, tuple[str, str]] = {}
    with contextlib.suppress(_NaNFoundError):
        _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(arguments), found)
    return [
        f"the first {kind} is of {operation}, in {place}"
        for kind, (operation, place) in found.items()
    ]


class _NaNFoundError(Exception):
    """Ends the evaluation: results after a NaN tell nothing new."""


def _evaluate(
    jaxpr: Jaxpr,
    constants: Sequence[Any],
    arguments: Sequence[Any],
    found: dict[str, tuple[str, str]],
    outer: str = "a library",
) -> list[Any]:
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *arguments], strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        given = [read(variable) for variable in equation.invars]
        place = _place(equation) or outer
        inner = _inner(equation)
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, given, found, place)
        else:
            parameters = equation.primitive.get_bind_params(equation.params)
            results = equation.primitive.bind(*given, **parameters)
            results = results if equation.primitive.multiple_results else [results]
            _look_at(results, (equation.primitive.name, place), found)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _look_at(
    results: Sequence[jax.Array], where: tuple[str, str], found: dict[str, tuple[str, str]]
) -> None:
    for result in results:
        if not jnp.issubdtype(result.dtype, jnp.inexact):
            continue
        numbers = np.asarray(result)
        if np.isinf(numbers).any():
            found.setdefault("infinite result", where)
        if np.isnan(numbers).any():
            found["NaN"] = where
            raise _NaNFoundError


def _inner(equation: JaxprEqn) -> Any:
    """The jaxpr inside a wrapping operation, else None."""
    if equation.primitive.name not in _WRAPPERS:
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if hasattr(equation.params.get(name), "consts"):
            return equation.params[name]
    return None


def _place(equation: JaxprEqn) -> str | None:
    """The innermost source line outside the libraries, if there is one."""
    trace = equation.source_info.traceback
    for frame in trace.frames if trace is not None else ():
        if not frame.file_name.startswith(("<", *_libraries())):
            return f"{frame.function_name} ({Path(frame.file_name).name}:{frame.line_num})"
    return None


@functools.cache
def _libraries() -> tuple[str, ...]:
    import flax
    import optax

    return tuple(str(Path(package.__file__).parent) for package in (jax, flax, optax))
