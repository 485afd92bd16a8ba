"""Short reprs for states and results that hold many arrays.

In a dataclass or named tuple, write ``__repr__ = short_repr``.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as linen
import jax
import numpy as np

WIDTH = 120  # characters per line
LONGEST = 160  # characters of a value's own repr
FEW = 8  # arrays up to this size show their values


def short_repr(record: Any) -> str:
    """A record's type and fields, with shapes or counts in place of arrays.

    Omits fields that are None and a state's constants, except its model. Takes one line, or one
    line per field if that would be too long.

    Example:
        >>> from typing import NamedTuple
        >>> class Weights(NamedTuple):
        ...     step: int
        ...     params: dict
        ...     __repr__ = short_repr
        >>> Weights(3, {"kernel": np.zeros((28, 10)), "bias": np.zeros(10)})
        Weights(step=3, params=<290 numbers>)
    """
    fields = [f"{name}={_short(value)}" for name, value in _fields(record).items()]
    name = type(record).__name__
    line = f"{name}({', '.join(fields)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    lines = ",\n".join(fields).replace("\n", "\n    ")
    return f"{name}(\n    {lines},\n)"


def _fields(record: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(record):
        return {name: v for name, v in record._asdict().items() if v is not None}
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    constants = {
        f.name for f in dataclasses.fields(record) if not f.metadata.get("pytree_node", True)
    }
    return {
        name: value
        for name, value in fields.items()
        if value is not None and (name not in constants or isinstance(value, linen.Module))
    }


def _short(value: Any) -> str:
    if isinstance(value, linen.Module):
        return type(value).__name__
    if inspect.isfunction(value):
        return value.__name__
    if isinstance(value, float):
        return f"{value:.4g}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value)
    if type(value).__repr__ is short_repr:
        return repr(value)
    if count := _count(value):
        return f"<{count:,} number{'s' * (count > 1)}>"
    named = value and isinstance(value, Mapping)
    text = f"<{', '.join(map(str, value))}>" if named else repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else f"<{type(value).__name__}>"


def _count(tree: Any) -> int:
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree) if hasattr(x, "shape"))


def _array(array: Any) -> str:
    """The values of a small readable array, else its dtype and shape."""
    if math.prod(array.shape) <= FEW and _is_at_hand(array):
        return str(np.asarray(array).tolist())
    return f"{array.dtype}{list(array.shape)}"


def _is_at_hand(array: Any) -> bool:
    """Whether the values can be read: not traced, not donated, and on this host."""
    if isinstance(array, jax.core.Tracer):
        return False
    if isinstance(array, jax.Array):
        is_key = jax.dtypes.issubdtype(array.dtype, jax.dtypes.extended)
        return not is_key and not array.is_deleted() and array.is_fully_addressable
    return isinstance(array, np.ndarray | np.generic)
