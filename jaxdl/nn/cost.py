"""A table of a model's layers: shapes, parameters, multiply-adds; nothing is computed for it."""

import contextlib
import html
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
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
        name: where it is in the model, e.g. "conv_0" or "block/dense".
        kind: its class.
        output_shape: shape of its output, batch included (a pytree of shapes if that is one).
        parameter_shapes: shape of each of its own trainable arrays.
        parameters: how many trainable numbers these hold; 0 where the layer is called again, as
            shared weights count once.
        multiply_adds: for the whole batch; None where no rule is known for a layer with
            matrices of weights.
    """

    name: str
    kind: str
    output_shape: Any
    parameter_shapes: Mapping[str, Shape]
    parameters: int
    multiply_adds: int | None


@dataclass(frozen=True)
class Summary:
    """A model's layers in the order of their calls; prints as a table, in notebooks as HTML.

    Attributes:
        model: the model's class.
        input_shape: shape of the input, batch included.
        layers: one row a call of a layer.
    """

    model: str
    input_shape: Shape
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Number of trainable numbers of the model."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for the batch, of the layers that could be counted."""
        return sum(layer.multiply_adds or 0 for layer in self.layers)

    @property
    def is_complete(self) -> bool:
        """Whether all layers could be counted; if not, `multiply_adds` is a lower bound."""
        return all(layer.multiply_adds is not None for layer in self.layers)

    def __str__(self) -> str:
        rows = self._cells()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_aligned(row, widths) for row in rows]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self._caption(), "", lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def _repr_html_(self) -> str:
        def line(row: list[str], tag: str) -> str:
            cells = "".join(
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for cell, side in zip(row, _ALIGNMENT, strict=True)
            )
            return f"<tr>{cells}</tr>"

        header, *body, total = self._cells()
        return (
            f"<table><caption>{html.escape(self._caption())}</caption>"
            f"<thead>{line(header, 'th')}</thead>"
            f"<tbody>{''.join(line(row, 'td') for row in body)}</tbody>"
            f"<tfoot>{line(total, 'th')}</tfoot></table>"
        )

    def _caption(self) -> str:
        return f"{self.model}, input {_shape_text(self.input_shape)}"

    def _cells(self) -> list[list[str]]:
        """The header, a row a layer, and the total."""
        rows = [
            [
                layer.name,
                layer.kind,
                _shape_text(layer.output_shape),
                _parameter_text(layer),
                f"{layer.parameters:,}",
                "?" if layer.multiply_adds is None else f"{layer.multiply_adds:,}",
            ]
            for layer in self.layers
        ]
        least = "" if self.is_complete else "≥ "
        total = ["total", "", "", "", f"{self.parameters:,}", f"{least}{self.multiply_adds:,}"]
        return [_HEADER, *rows, total]


_HEADER = ["layer", "type", "output", "weights", "parameters", "multiply-adds"]
_ALIGNMENT = ["left", "left", "left", "left", "right", "right"]


def summary(
    model: linen.Module, input_shape: Shape, *, dtype: Any = jnp.float32, **arguments: Any
) -> Summary:
    """Lists a model's layers with their shapes, parameters and multiply-adds.

    The model is run on shapes alone (`jax.eval_shape`): no array is made, so a batch of any size
    and a model larger than the memory can be asked for.

    A row is a module without modules inside, or with arrays of its own. Functions between the
    modules (activations, poolings, reshapes) are not modules and have no row. Dense and
    convolution layers count their products, by the definition whatever the lowering, see
    `jaxdl.nn.arithmetic`; a bias adds nothing to multiply-adds, as the first addition of each sum
    is the bias's. BatchNorm, dropout and activation modules have 0: their few operations a pixel
    are not multiply-adds of weights and vanish beside the others. Running statistics are no
    parameters. Under `linen.vmap` or `linen.scan` every member with weights of its own counts;
    the output shape is one member's.

    Args:
        model: any Flax linen module, not yet bound.
        input_shape: shape of its input, batch included.
        dtype: type of its input.
        **arguments: further arguments of the call; `train` is False unless given.

    Returns:
        The summary, to print or to read.

    Raises:
        ShapeError: the input shape is empty or has a size below 1, or the model refuses it.

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
            "every axis, the batch's too"
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
    """One call of a layer, as seen from inside of it."""

    path: tuple[str, ...]
    kind: str
    output_shape: Any
    weights: dict[str, Any]
    multiply_adds: int | None


class _Frame:
    """A call under way, and whether it has called another module."""

    def __init__(self, module: linen.Module | None) -> None:
        self.module = module
        self.is_container = False


@contextlib.contextmanager
def _recording(calls: list[_Call]) -> Iterator[None]:
    """Notes every call of a layer meanwhile, a module with arrays of its own before its parts."""
    frames = [_Frame(None)]

    def intercept(
        run: Callable[..., Any], args: tuple, kwargs: dict, context: InterceptorContext
    ) -> Any:
        module = context.module
        if context.method_name != "__call__" or module is frames[-1].module:  # super().__call__
            return run(*args, **kwargs)
        frames[-1].is_container = True
        frames.append(_Frame(module))
        position = len(calls)
        output = run(*args, **kwargs)
        is_container = frames.pop().is_container
        weights = _own_parameters(module.variables.get("params", {}))
        if weights or not is_container:
            x = args[0] if args else next(iter(kwargs.values()), None)
            multiply_adds = _multiply_adds(module, weights, x, output)
            shapes = jax.tree.map(jnp.shape, output)
            call = _Call(module.path, type(module).__name__, shapes, weights, multiply_adds)
            calls.insert(position, call)
        return output

    with linen.intercept_methods(intercept):
        yield


def _layers(calls: list[_Call], parameters: Mapping[str, Any]) -> Iterator[Layer]:
    """The rows: calls with the parameters as they are outside of any vmap or scan."""
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
    """The arrays of a module itself, without those of the modules inside."""
    return {name: value for name, value in parameters.items() if hasattr(value, "shape")}


def _size(weights: Mapping[str, Any]) -> int:
    return sum(math.prod(value.shape) for value in weights.values())


def _multiply_adds(
    module: linen.Module, weights: dict[str, jax.Array], x: Any, output: Any
) -> int | None:
    """Products of weights and inputs; None if the layer has matrices and no rule."""
    if isinstance(module, linen.Dense | linen.Conv | Conv | Dense):
        # Every output number is a sum over all of the kernel but its last axis, C_out.
        return output.size * math.prod(weights["kernel"].shape[:-1])
    if isinstance(module, linen.ConvTranspose | ConvTranspose):
        # Every input pixel is multiplied with the whole kernel.
        return x.size // x.shape[-1] * weights["kernel"].size
    if isinstance(module, linen.Embed):
        return 0  # a look-up
    return None if any(value.ndim > 1 for value in weights.values()) else 0


def _shape_text(shape: Any) -> str:
    if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
        return f"({', '.join(map(str, shape))})"
    return str(shape)


def _parameter_text(layer: Layer) -> str:
    text = ", ".join(
        f"{name} {_shape_text(shape)}" for name, shape in sorted(layer.parameter_shapes.items())
    )
    return f"{text} (shared)" if text and not layer.parameters else text


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = (
        cell.ljust(width) if side == "left" else cell.rjust(width)
        for cell, width, side in zip(row, widths, _ALIGNMENT, strict=True)
    )
    return "  ".join(cells).rstrip()
