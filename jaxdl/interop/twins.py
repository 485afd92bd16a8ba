"""A network's variables as a PyTorch state dict, and back.

Every network has one PyTorch twin; only names and layouts differ:

| layer | here | PyTorch |
|---|---|---|
| dense | kernel (in, out) | weight (out, in) |
| dense after flattened maps | rows in H, W, C order | columns in C, H, W order |
| convolution | kernel (h, w, in, out) | weight (out, in, h, w) |
| transposed convolution | kernel (h, w, in, out), rotated by 180° | weight (in, out, h, w) |
| BatchNorm | scale, bias, mean, var | weight, bias, running_mean, running_var |
| PReLU | slope | weight |

The twins use the course's names where it has them (`main.0.weight`, … for DCGAN; `fc1.weight`, …
for the MLP). A conditional generator's twin has lists `class_scale` and `class_shift` of
`nn.Linear` without bias, from the one-hot class to a layer's channels: after BatchNorm, x becomes
x · (1 + scale) + shift. A conditional discriminator's has `projection`, a convolution like the last
one with an output for each class. BatchNorm's `num_batches_tracked` has no effect on
the arithmetic: it is written as 0 and ignored when read.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, WeightsError, brief
from jaxdl.exercises.tinynet import TinyNet
from jaxdl.exercises.two_layer import TwoLayerNet
from jaxdl.interop.arrays import as_arrays
from jaxdl.interop.layouts import CONV, CONV_TRANSPOSE, DENSE, SAME, Layout, flattened_dense
from jaxdl.models.cnn import CNN
from jaxdl.models.dcgan import Discriminator, Generator
from jaxdl.models.linear import LinearRegression
from jaxdl.models.mlp import MLP

Variables = dict[str, Any]


class Entry(NamedTuple):
    """One array: its PyTorch name, its place in the variables, and its layout."""

    name: str
    collection: str
    layer: str
    leaf: str
    layout: Layout


_MOST_QUOTED = 20  # unexpected names listed in a message
_LEAVES = {
    "batch_norm": {
        "weight": ("params", "scale"),
        "bias": ("params", "bias"),
        "running_mean": ("batch_stats", "mean"),
        "running_var": ("batch_stats", "var"),
    },
    "act": {"weight": ("params", "slope")},
    "other": {"weight": ("params", "kernel"), "bias": ("params", "bias")},
}
_KERNELS = {
    "dense": DENSE,
    "class_scale": DENSE,
    "class_shift": DENSE,
    "conv": CONV,
    "projection": CONV,
    "conv_transpose": CONV_TRANSPOSE,
}

# For each network, the PyTorch name of a layer by its kind and our number.
_MODULES: dict[type[linen.Module], dict[str, Callable[[int], str]]] = {
    Generator: {
        "conv_transpose": lambda i: f"main.{3 * i}",
        "batch_norm": lambda i: f"main.{3 * i + 1}",
        "class_scale": lambda i: f"class_scale.{i}",
        "class_shift": lambda i: f"class_shift.{i}",
    },
    Discriminator: {
        "conv": lambda i: f"main.{max(3 * i - 1, 0)}",
        "batch_norm": lambda i: f"main.{3 * i}",
        "projection": lambda i: "projection",
    },
    MLP: {
        "dense": lambda i: f"fc{i}",
        "batch_norm": lambda i: f"bn{i}",
        "act": lambda i: f"prelu{i}",
    },
    TwoLayerNet: {"dense": lambda i: f"fc{i}"},
    LinearRegression: {"dense": lambda i: "linear"},
    TinyNet: {"conv": lambda i: f"conv{i}", "dense": lambda i: "fc"},
    CNN: {
        "conv": lambda i: f"conv{i + 1}",
        "batch_norm": lambda i: f"bn{i + 1}",
        "dense": lambda i: f"fc{i + 1}",
        "act": lambda i: f"prelu{i + 1}",
    },
}


def import_weights(
    model: linen.Module,
    state_dict: Mapping[str, ArrayLike],
    input_shape: tuple[int, ...] | None = None,
) -> Variables:
    """Turns a state dict into a network's variables.

    All names may start with `module.`, as `DataParallel` saves them.

    Args:
        model: the network, with the same sizes as the one the weights come from.
        state_dict: arrays or PyTorch tensors by PyTorch's names.
        input_shape: shape of one input without the batch axis; inferred from the first layer's
            weights by default.

    Returns:
        The collections `model.apply` takes, float32.

    Raises:
        WeightsError: entries are missing, unexpected, of the wrong shape or not floating-point; the
            message lists them in the network's order.
        ConfigError: the network has no PyTorch twin.

    Example:
        >>> model = LinearRegression()
        >>> state_dict = {"linear.weight": [[2.0, 3.0]], "linear.bias": [1.0]}
        >>> variables = import_weights(model, state_dict)
        >>> print(model.apply(variables, jnp.array([[1.0, 1.0]]), train=False))
        [6.]
    """
    _modules(model)
    arrays = _without_prefix(as_arrays(state_dict))
    shapes = _variable_shapes(model, arrays, input_shape)
    entries = list(_entries(model, shapes))
    problems = list(_problems(arrays, _expected_shapes(entries, shapes)))
    if problems:
        raise WeightsError(
            f"the weights do not fit {type(model).__name__}: {'; '.join(problems)}. "
            "Check the network's size and kind"
        )
    variables: Variables = {collection: {} for collection in shapes}
    for name, collection, layer, leaf, layout in entries:
        array = layout.from_torch(arrays[name].astype(np.float32))
        variables[collection].setdefault(layer, {})[leaf] = jnp.asarray(array)
    return variables


def export_weights(model: linen.Module, variables: Variables) -> dict[str, np.ndarray]:
    """Turns a network's variables into a state dict with PyTorch's names, order and layout.

    Args:
        model: the network.
        variables: its collections, unreplicated.

    Returns:
        float32 arrays by name, and `num_batches_tracked` as int64.

    Raises:
        WeightsError: the variables do not belong to this network.
        ConfigError: the network has no PyTorch twin.

    Example:
        >>> model = LinearRegression()
        >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 3)), train=False)
        >>> {name: array.shape for name, array in export_weights(model, variables).items()}
        {'linear.weight': (1, 3), 'linear.bias': (1,)}
    """
    state_dict: dict[str, np.ndarray] = {}
    for name, collection, layer, leaf, layout in _entries(model, variables):
        try:
            array = np.asarray(variables[collection][layer][leaf], np.float32)
            state_dict[name] = np.ascontiguousarray(layout.to_torch(array))
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"variables/{collection}/{layer}/{leaf} is missing, or not an array of "
                f"{type(model).__name__}: {error}"
            ) from error
        if name.endswith("running_var"):
            state_dict[_counter(name)] = np.array(0, np.int64)
    import_weights(model, state_dict)  # reports anything missing or of the wrong size
    return state_dict


def _variable_shapes(
    model: linen.Module, arrays: dict[str, np.ndarray], input_shape: tuple[int, ...] | None
) -> Variables:
    shape = _input_shape(model, arrays) if input_shape is None else tuple(input_shape)
    example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    initialize = functools.partial(model.init, train=False)
    is_told_classes = isinstance(model, Generator | Discriminator) and model.num_classes
    labels = [jnp.zeros(1, jnp.int32)] if is_told_classes else []
    return jax.eval_shape(initialize, jax.random.key(0), example, *labels)


def _input_shape(model: linen.Module, arrays: dict[str, np.ndarray]) -> tuple[int, ...]:
    def inputs(name: str, default: int) -> int:
        """Axis 1 of the first layer's weight, or the default if it has none."""
        shape = arrays[name].shape if name in arrays else ()
        return shape[1] if len(shape) > 1 and shape[1] > 0 else default

    match model:
        case Generator():
            return (model.latent_dim,)
        case Discriminator():
            return (model.image_size, model.image_size, inputs("main.0.weight", 1))
        case CNN():
            return (model.image_size, model.image_size, inputs("conv1.weight", 1))
        case TinyNet():
            return (8, 8, 3)
        case LinearRegression():
            return (inputs("linear.weight", 1),)
        case _:
            return (inputs("fc1.weight", 784),)


def _entries(model: linen.Module, variables: Variables) -> Iterator[Entry]:
    """Yields the arrays of a network in PyTorch's order."""
    modules = _modules(model)
    order = list(modules)
    layers = []
    for layer in variables.get("params", {}):
        kind, number = _kind_and_number(layer)
        if kind not in modules:
            raise WeightsError(f"variables/params/{layer} is not a layer of {type(model).__name__}")
        # A CNN's dense layers come last; a BatchNorm follows its layer.
        after = kind == "dense" and "conv" in modules
        layers.append((after, number, order.index(kind), kind, layer))
    for _, number, _, kind, layer in sorted(layers):
        for suffix, (collection, leaf) in _LEAVES.get(kind, _LEAVES["other"]).items():
            if leaf == "bias" and leaf not in variables["params"][layer]:
                continue
            layout = _layout(model, kind, number) if leaf == "kernel" else SAME
            yield Entry(f"{modules[kind](number)}.{suffix}", collection, layer, leaf, layout)


def _modules(model: linen.Module) -> dict[str, Callable[[int], str]]:
    if isinstance(model, Discriminator) and model.normalization == "spectral":
        raise ConfigError("a Discriminator with spectral normalisation has no PyTorch twin")
    try:
        return _MODULES[type(model)]
    except KeyError:
        raise ConfigError(
            f"{type(model).__name__} has no PyTorch twin; those that have one: "
            f"{', '.join(kind.__name__ for kind in _MODULES)}"
        ) from None


def _kind_and_number(layer: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\w+)_(\d+)", layer)
    return (match[1], int(match[2])) if match else (layer, 0)


def _layout(model: linen.Module, kind: str, number: int) -> Layout:
    if isinstance(model, CNN) and kind == "dense" and number == 0:
        side = model.final_size()
        return flattened_dense(side, side, model.widths[-1])
    return _KERNELS[kind]


def _expected_shapes(entries: list[Entry], shapes: Variables) -> dict[str, tuple[int, ...]]:
    expected = {}
    for name, collection, layer, leaf, layout in entries:
        here = np.broadcast_to(np.float32(0), shapes[collection][layer][leaf].shape)
        expected[name] = layout.to_torch(here).shape
    return expected


def _problems(arrays: dict[str, np.ndarray], expected: dict[str, tuple[int, ...]]) -> Iterator[str]:
    """Yields what keeps the arrays from fitting, in the network's order."""
    optional = {_counter(name) for name in expected if name.endswith("running_var")}
    missing = [name for name in expected if name not in arrays]
    unexpected = [name for name in arrays if name not in expected and name not in optional]
    if missing:
        yield f"missing {', '.join(missing)}"
    if unexpected:
        quoted = [brief(repr(name)) for name in unexpected[:_MOST_QUOTED]]
        more = len(unexpected) - len(quoted)
        yield f"unexpected {', '.join(quoted)}" + (f" and {more} more" if more else "")
    for name in (name for name in expected if name in arrays):
        array = arrays[name]
        if array.shape != expected[name]:
            yield f"{name} has shape {array.shape}, expected {expected[name]}"
        elif not jnp.issubdtype(array.dtype, jnp.floating):
            yield f"{name} has type {array.dtype}, expected floating-point numbers"


def _counter(name: str) -> str:
    return name.removesuffix("running_var") + "num_batches_tracked"


def _without_prefix(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Strips the `module.` that DataParallel puts before every name."""
    if not all(name.startswith("module.") for name in arrays):
        return arrays
    return {name.removeprefix("module."): array for name, array in arrays.items()}
