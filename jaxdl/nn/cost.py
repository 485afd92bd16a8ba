"""A table of a model's layers: shapes, parameters, multiply-adds. Nothing is computed for it."""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
from flax.linen.module import InterceptorContext

from jaxdl.errors import ShapeError
from jaxdl.nn.convolution import Conv, ConvTranspose
from jaxdl.nn.dense import Dense

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One call of one layer.

    Attributes:
        name: path in the model, e.g. "conv_0" or "block/dense".
        kind: class name.
        output_shape: batch included (a pytree of shapes if the output is one).
        parameter_shapes: shapes of its own trainable arrays.
        parameters: how many numbers they hold; 0 for repeated calls, since shared weights count
            once.
        multiply_adds: for the whole batch; None if a layer with weight matrices has no known rule.
    """

    name: str
    kind: str
    output_shape: Any
    parameter_shapes: Mapping[str, Shape]
    parameters: int
    multiply_adds: int | None


@dataclass(frozen=True)
class Summary:
    """A model's layers in call order; it prints as a table."""

    model: str
    input_shape: Shape
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Number of trainable numbers in the model."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for the batch, over the layers that could be counted."""
        return sum(layer.multiply_adds or 0 for layer in self.layers)

    @property
    def is_complete(self) -> bool:
        """Whether every layer could be counted; if not, `multiply_adds` is a lower bound."""
        return all(layer.multiply_adds is not None for layer in self.layers)

    def __str__(self) -> str:
        header = ("layer", "type", "output", "weights", "parameters", "multiply-adds")
        rows = [_cells(layer) for layer in self.layers]
        least = "" if self.is_complete else "≥ "
        total = ("total", "", "", "", f"{self.parameters:,}", f"{least}{self.multiply_adds:,}")
        widths = [max(map(len, column)) for column in zip(header, *rows, total, strict=True)]
        rule = tuple("-" * width for width in widths)
        lines = [_aligned(row, widths) for row in (header, rule, *rows, rule, total)]
        return "\n".join([f"{self.model}, input {_shape_text(self.input_shape)}", "", *lines])

    __repr__ = __str__  # what a notebook shows


def summary(
    model: linen.Module, input_shape: Shape, *, dtype: Any = jnp.float32, **arguments: Any
) -> Summary:
    """Lists a model's layers with their shapes, parameters and multiply-adds.

    The model runs on shapes alone (`jax.eval_shape`), so batch and model may exceed the memory.
    Each row is a module without submodules, or with arrays of its own; plain functions such as
    activations, pooling and reshapes have no row.

    Dense and convolution layers count their products by definition (`jaxdl.nn.arithmetic`);
    `flax.linen.tabulate` counts the operations of the lowering instead. A bias adds nothing, being
    the first term of each sum. BatchNorm, dropout and activation modules count 0. Running
    statistics are not parameters. Under `linen.vmap` or `linen.scan` every member with weights of
    its own counts; the output shape is one member's. ``arguments`` go to the call; `train` is False
    by default.

    Raises:
        ShapeError: the input shape is empty or has a size below 1, or the model rejects it.

    Example:
        >>> print(summary(linen.Sequential([linen.Dense(5), linen.relu, linen.Dense(2)]), (8, 3)))
        Sequential, input (8, 3)
        <BLANKLINE>
        layer     type   output  weights                  parameters  multiply-adds
        --------  -----  ------  -----------------------  ----------  -------------
        layers_0  Dense  (8, 5)  bias (5), kernel (3, 5)          20            120
        layers_2  Dense  (8, 2)  bias (2), kernel (5, 2)          12             80
        --------  -----  ------  -----------------------  ----------  -------------
        total                                                     32            200

    References:
        course document 003, second exercise.
    """
    if not input_shape or min(input_shape) < 1:
        raise ShapeError(
            f"summary: input shape {tuple(input_shape)} is empty or has a size below 1; give "
            "every axis, including the batch"
        )
    if "train" in inspect.signature(type(model).__call__).parameters:
        arguments.setdefault("train", False)
    calls: list[_Call] = []
    example = jax.ShapeDtypeStruct(tuple(input_shape), dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def run(key: jax.Array, x: jax.Array) -> Any:
        with _recording(calls):
            return model.init({"params": key, "dropout": key}, x, **arguments)

    parameters = jax.eval_shape(run, key, example).get("params", {})
    return Summary(type(model).__name__, tuple(input_shape), tuple(_layers(calls, parameters)))


class _Call(NamedTuple):
    """One call of a layer, seen from inside."""

    path: tuple[str, ...]
    kind: str
    output_shape: Any
    weights: dict[str, Any]
    multiply_adds: int | None


@contextlib.contextmanager
def _recording(calls: list[_Call]) -> Iterator[None]:
    """Records every layer call, a module with arrays of its own before its submodules."""
    open_calls: list[linen.Module] = []
    containers: set[int] = set()  # open calls that have called another module

    def intercept(
        run: Callable[..., Any], args: tuple, kwargs: dict, context: InterceptorContext
    ) -> Any:
        module, depth = context.module, len(open_calls)
        if context.method_name != "__call__" or (open_calls and module is open_calls[-1]):
            return run(*args, **kwargs)  # the second: super().__call__
        containers.add(depth - 1)
        open_calls.append(module)
        position = len(calls)
        output = run(*args, **kwargs)
        open_calls.pop()
        weights = _own_parameters(module.variables.get("params", {}))
        if weights or depth not in containers:
            x = args[0] if args else next(iter(kwargs.values()), None)
            multiply_adds = _multiply_adds(module, weights, x, output)
            shapes = jax.tree.map(jnp.shape, output)
            call = _Call(module.path, type(module).__name__, shapes, weights, multiply_adds)
            calls.insert(position, call)
        containers.discard(depth)
        return output

    with linen.intercept_methods(intercept):
        yield


def _layers(calls: list[_Call], parameters: Mapping[str, Any]) -> Iterator[Layer]:
    """Builds the rows, with parameters as they are outside any vmap or scan."""
    seen = set()
    for call in calls:
        weights = _own_parameters(_at(parameters, call.path))
        size, size_inside = _size(weights), _size(call.weights)
        members = size // size_inside if size_inside else 1
        yield Layer(
            name="/".join(call.path) or call.kind,
            kind=call.kind,
            output_shape=call.output_shape,
            parameter_shapes={name: value.shape for name, value in weights.items()},
            parameters=0 if call.path in seen else size,
            multiply_adds=None if call.multiply_adds is None else call.multiply_adds * members,
        )
        seen.add(call.path)


def _at(parameters: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    for name in path:
        parameters = parameters.get(name, {})
    return parameters


def _own_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a module itself, without those of its submodules."""
    return {name: value for name, value in parameters.items() if hasattr(value, "shape")}


def _size(weights: Mapping[str, Any]) -> int:
    return sum(math.prod(value.shape) for value in weights.values())


def _multiply_adds(
    module: linen.Module, weights: dict[str, jax.Array], x: Any, output: Any
) -> int | None:
    """Products of weights and inputs; None for a layer that has matrices but no rule."""
    if isinstance(module, linen.Dense | linen.Conv | Conv | Dense):
        # Every output number sums over all axes of the kernel but the last, C_out.
        return output.size * math.prod(weights["kernel"].shape[:-1])
    if isinstance(module, linen.ConvTranspose | ConvTranspose):
        # Every input pixel is multiplied by the whole kernel.
        return x.size // x.shape[-1] * weights["kernel"].size
    if isinstance(module, linen.Embed):
        return 0  # a lookup
    return None if any(value.ndim > 1 for value in weights.values()) else 0


def _cells(layer: Layer) -> tuple[str, ...]:
    weights = ", ".join(
        f"{name} {_shape_text(shape)}" for name, shape in sorted(layer.parameter_shapes.items())
    )
    shared = " (shared)" if weights and not layer.parameters else ""
    work = "?" if layer.multiply_adds is None else f"{layer.multiply_adds:,}"
    output = _shape_text(layer.output_shape)
    return layer.name, layer.kind, output, weights + shared, f"{layer.parameters:,}", work


def _shape_text(shape: Any) -> str:
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        return f"({', '.join(map(str, shape))})"
    return str(shape)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Aligns text to the left and the two number columns to the right."""
    cells = [cell.ljust(width) for cell, width in zip(row[:4], widths[:4], strict=True)]
    cells += [cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True)]
    return "  ".join(cells).rstrip()
