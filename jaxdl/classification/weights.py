"""Classifiers from files and to files.

Weights have PyTorch's names (see :mod:`jaxdl.interop.twins`). A `.safetensors` file also holds the
architecture and the scaling of the inputs. Other formats do not: the sizes are then read off the
shapes of the weights, activations are taken to be ReLU (or PReLU, which has weights), residual
connections to be absent, and the scaling must be given.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as linen
import numpy as np

from jaxdl.classification.inputs import Inputs
from jaxdl.classification.trained import TrainedClassifier
from jaxdl.errors import WeightsError
from jaxdl.files import open_regular, write_atomically
from jaxdl.interop import (
    export_weights,
    import_weights,
    load_state_dict,
    safetensors,
    save_state_dict,
)
from jaxdl.models import CNN, MLP
from jaxdl.nn import ACTIVATIONS

METADATA_KEY = "classifier"
SIZES: dict[str, tuple[str, ...]] = {
    "CNN": ("widths", "hidden", "num_classes", "image_size", "pool"),
    "MLP": ("hidden", "num_classes"),
}
# What else a network of these sizes can have.
LAYERS = {"CNN": ("activation", "normalize"), "MLP": ("activation", "normalize", "residual")}
KINDS = {"CNN": CNN, "MLP": MLP}


def save_classifier(classifier: TrainedClassifier, path: str | os.PathLike) -> Path:
    """Writes a classifier atomically and returns the path.

    Args:
        classifier: the classifier.
        path: a `.safetensors`, `.npz`, `.pt` or `.pth` file. An existing one is replaced.

    Raises:
        WeightsError: the suffix is none of these.
        WorkdirError: the file cannot be written.

    Example:
        >>> import jax, tempfile
        >>> model, inputs = MLP(hidden=(5,)), Inputs((0.5,), (0.5,))
        >>> variables = model.init(jax.random.key(0), np.zeros((1, 8)), train=False)
        >>> path = Path(tempfile.mkdtemp(), "model.safetensors")
        >>> load_classifier(
        ...     save_classifier(TrainedClassifier(model, variables, inputs), path)).model.hidden
        (5,)
    """
    path = Path(path)
    weights = export_weights(classifier.model, classifier.variables)
    if path.suffix == ".safetensors":
        metadata = {METADATA_KEY: json.dumps(_about(classifier), sort_keys=True)}
        write_atomically(path, safetensors.encode(weights, metadata))
    else:
        save_state_dict(path, weights)
    return path


def load_classifier(path: str | os.PathLike, inputs: Inputs | None = None) -> TrainedClassifier:
    """Loads a classifier from a file.

    Args:
        path: a file that :func:`save_classifier` wrote, or any other with the weights of a CNN's
            or an MLP's PyTorch twin.
        inputs: the scaling, for a file that does not say it.

    Raises:
        WeightsError: the file is missing or damaged, holds something else than a classifier, or
            does not say how its inputs are scaled, and ``inputs`` is None.
    """
    path = Path(path)
    arrays = load_state_dict(path)
    try:
        model, inputs, record = _described(path, arrays, inputs)
        return TrainedClassifier(model, import_weights(model, arrays), inputs, record)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _about(classifier: TrainedClassifier) -> dict[str, Any]:
    kind, inputs = type(classifier.model).__name__, classifier.inputs
    sizes, layers = (
        {name: getattr(classifier.model, name) for name in names[kind]} for names in (SIZES, LAYERS)
    )
    scaling = {"mean": inputs.mean, "std": inputs.std, "side": inputs.side}
    about = {"model": kind, "sizes": sizes, "layers": layers}
    return about | {"inputs": scaling, "record": classifier.record}


def _described(
    path: Path, arrays: Mapping[str, np.ndarray], inputs: Inputs | None
) -> tuple[linen.Module, Inputs, dict[str, Any]]:
    """The model, inputs and record that a file states, or what its shapes tell."""
    text = None
    if path.suffix == ".safetensors":
        with open_regular(path) as file:
            text = safetensors.read_metadata(file.read()).get(METADATA_KEY)
    if text is not None:
        try:
            return _read(json.loads(text))
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"its description of the classifier is damaged: {error!r}") from None
    if inputs is None:
        raise WeightsError("it does not say how images are scaled: give the inputs")
    return _model_of(arrays), inputs, {}


def _read(about: dict[str, Any]) -> tuple[linen.Module, Inputs, dict[str, Any]]:
    sizes = {name: _frozen(about["sizes"][name]) for name in SIZES[about["model"]]}
    layers = {name: about["layers"][name] for name in LAYERS[about["model"]]}
    if layers["activation"] not in ACTIVATIONS:
        raise ValueError(f"activation {layers['activation']!r} is unknown")
    stated = about["inputs"]
    side = stated["side"] if stated["side"] is None else int(stated["side"])
    inputs = Inputs(tuple(map(float, stated["mean"])), tuple(map(float, stated["std"])), side)
    return KINDS[about["model"]](**sizes, **layers), inputs, dict(about["record"])


def _frozen(size: Any) -> Any:
    """A size as the modules take it: a whole number, a truth value, or several numbers."""
    numbers = size if isinstance(size, list) else [size]
    if not all(isinstance(number, int) and 0 <= number < 2**31 for number in numbers):
        raise ValueError(f"{size!r} is no size")
    return tuple(size) if isinstance(size, list) else size


def _model_of(arrays: Mapping[str, np.ndarray]) -> linen.Module:
    """The network that such weights belong to, by the shapes of its kernels."""
    names = {name.removeprefix("module."): array for name, array in arrays.items()}
    shapes = {
        match[1]: array.shape
        for name, array in names.items()
        if (match := re.fullmatch(r"((?:conv|fc)\d+)\.weight", name)) and array.size
    }
    dense = [shapes[f"fc{i + 1}"] for i in range(len(shapes)) if f"fc{i + 1}" in shapes]
    blocks = [shapes[f"conv{i + 1}"] for i in range(len(shapes)) if f"conv{i + 1}" in shapes]
    if not dense or len(dense) + len(blocks) < len(shapes) or any(len(s) != 2 for s in dense):
        raise WeightsError(
            "it does not hold a classifier's weights, fc1.weight and so on, as "
            "experiments.classifier writes them"
        )
    *hidden, num_classes = (outputs for outputs, _ in dense)
    layers = {
        "activation": "prelu" if "prelu1.weight" in names else "relu",
        "normalize": "bn1.weight" in names,
    }
    if not blocks:
        return MLP(hidden=tuple(hidden), num_classes=num_classes, **layers)
    if any(len(shape) != 4 for shape in blocks) or len(hidden) != 1:
        raise WeightsError("its convolutions are not those of jaxdl.models.CNN")
    side = math.isqrt(dense[0][1] // blocks[-1][0]) * 2 ** len(blocks)
    return CNN(
        widths=tuple(shape[0] for shape in blocks),
        hidden=hidden[0],
        num_classes=num_classes,
        image_size=side,
        pool=blocks[0][2] == 3,
        **layers,
    )
