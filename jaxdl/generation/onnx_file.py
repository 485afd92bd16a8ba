"""A generator as ONNX, for ONNX Runtime and other programs.

The graph is written layer by layer from PyTorch's names and layouts, which ONNX shares.

References:
    https://onnx.ai/onnx/operators/
"""

from typing import Any

from jaxdl.errors import ConfigError
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.interop import export_weights
from jaxdl.models.dcgan import image_pyramid

OPSET, IR_VERSION = 17, 8  # of 2022, so that older programs read the file
EPSILON = 1e-5  # of BatchNorm


def encode(generator: TrainedGenerator) -> bytes:
    """Returns a model with input ``z``, (N, latent_dim), and output ``images``, (N, H, W, C).

    Both are float32, the images in [-1, 1] and in the order of axes they have here.

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
        "z": ["N", model.latent_dim],
        "images": ["N", side, side, model.channels],
    }
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    constants.append(helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]))
    nodes = _nodes(helper, side, model.normalization == "batch")
    graph = helper.make_graph(nodes, "DCGAN generator", [infos["z"]], [infos["images"]], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    file = helper.make_model(
        graph, producer_name="jaxdl", opset_imports=opsets, ir_version=IR_VERSION
    )
    checker.check_model(file, full_check=True)
    return file.SerializeToString(deterministic=True)


def _nodes(helper: Any, image_size: int, normalized: bool) -> list[Any]:
    """The layers of :class:`jaxdl.models.Generator` in evaluation mode."""
    base, doublings = image_pyramid(image_size)
    nodes, x = [helper.make_node("Unsqueeze", ["z", "axes"], ["maps"])], "maps"

    def add(kind: str, *constants: str, **attributes: Any) -> None:
        nonlocal x
        name = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, [x, *constants], [name], **attributes))
        x = name

    for layer in range(doublings + 1):
        kernel, stride, padding = (base, 1, 0) if layer == 0 else (4, 2, 1)
        add(
            "ConvTranspose",
            f"main.{3 * layer}.weight",
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[padding] * 4,
        )
        if layer < doublings and normalized:
            leaves = ("weight", "bias", "running_mean", "running_var")
            norm = [f"main.{3 * layer + 1}.{leaf}" for leaf in leaves]
            add("BatchNormalization", *norm, epsilon=EPSILON)
        if layer < doublings:
            add("Relu")
    add("Tanh")
    nodes.append(helper.make_node("Transpose", [x], ["images"], perm=[0, 2, 3, 1]))
    return nodes
