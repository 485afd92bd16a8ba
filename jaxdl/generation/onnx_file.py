"""A generator as ONNX, for ONNX Runtime and other programs.

The graph is written layer by layer from PyTorch's names and layouts, which ONNX shares.

References:
    https://onnx.ai/onnx/operators/
"""

from typing import Any

from jaxdl.errors import ConfigError
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.interop import export_weights
from jaxdl.models.dcgan import Generator, image_pyramid

OPSET, IR_VERSION = 17, 8  # of 2022, so that older programs read the file
EPSILON = 1e-5  # of BatchNorm


def encode(generator: TrainedGenerator) -> bytes:
    """Returns a model with input ``z``, (N, latent_dim), and output ``images``, (N, H, W, C).

    For a generator of classes each z is followed by the shares of the classes, such as a one-hot
    vector: (N, latent_dim + classes). Both are float32, the images in [-1, 1] and in the order of
    axes they have here.

    Raises:
        ConfigError: the package `onnx` is not installed.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise ConfigError(
            "ONNX files need the package onnx: pip install 'jaxdl[onnx]', or onnx alone"
        ) from error
    model = generator.model
    weights = {
        name: array
        for name, array in export_weights(model, generator.variables).items()
        if not name.endswith("num_batches_tracked")
    }
    side = model.image_size
    shapes = {
        "z": ["N", model.latent_dim + model.num_classes],
        "images": ["N", side, side, model.channels],
    }
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    constants.append(helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]))
    if model.num_classes:
        split = [model.latent_dim, model.num_classes]
        constants.append(helper.make_tensor("split", TensorProto.INT64, [2], split))
    nodes = _nodes(helper, model)
    graph = helper.make_graph(nodes, "DCGAN generator", [infos["z"]], [infos["images"]], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    file = helper.make_model(
        graph, producer_name="jaxdl", opset_imports=opsets, ir_version=IR_VERSION
    )
    checker.check_model(file, full_check=True)
    return file.SerializeToString(deterministic=True)


def _nodes(helper: Any, model: Generator) -> list[Any]:
    """The layers of the generator in evaluation mode."""
    base, doublings = image_pyramid(model.image_size)
    nodes, x, first = [], "maps", "z"
    if model.num_classes:
        first = "noise"
        nodes.append(helper.make_node("Split", ["z", "split"], [first, "shares"], axis=1))
    nodes.append(helper.make_node("Unsqueeze", [first, "axes"], ["maps"]))

    def add(kind: str, *constants: str, **attributes: Any) -> None:
        nonlocal x
        name = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, [x, *constants], [name], **attributes))
        x = name

    def of_class(what: str, layer: int) -> str:
        name = f"class_{what}.{layer}"
        rows = [f"{name}.rows"]
        nodes.append(helper.make_node("Gemm", ["shares", f"{name}.weight"], rows, transB=1))
        nodes.append(helper.make_node("Unsqueeze", [*rows, "axes"], [name]))
        return name

    for layer in range(doublings + 1):
        kernel, stride, padding = (base, 1, 0) if layer == 0 else (4, 2, 1)
        add(
            "ConvTranspose",
            f"main.{3 * layer}.weight",
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
        )
        if layer < doublings and model.normalization == "batch":
            leaves = ("weight", "bias", "running_mean", "running_var")
            norm = [f"main.{3 * layer + 1}.{leaf}" for leaf in leaves]
            add("BatchNormalization", *norm, epsilon=EPSILON)
        if layer < doublings and model.num_classes:
            plain = x
            add("Mul", of_class("scale", layer))
            add("Add", plain)
            add("Add", of_class("shift", layer))
        if layer < doublings:
            add("Relu")
    add("Tanh")
    nodes.append(helper.make_node("Transpose", [x], ["images"], perm=[0, 2, 3, 1]))
    return nodes
