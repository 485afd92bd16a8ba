"""Generators from files and run folders, and to files.

A weight file has PyTorch's names (see :mod:`jaxdl.interop.twins`). The architecture is read off the
shapes of the kernels, so nothing else has to be known about it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxdl.errors import WeightsError
from jaxdl.files import write_atomically
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.generation.run_folder import load_run
from jaxdl.interop import (
    export_weights,
    import_weights,
    load_state_dict,
    safetensors,
    save_state_dict,
)
from jaxdl.models import Generator
from jaxdl.models.dcgan import possible_image_sizes

_KERNEL = re.compile(r"(?:module\.)?main\.(\d+)\.weight")


def load_generator(path: str | os.PathLike) -> TrainedGenerator:
    """Loads a DCGAN generator; neither its configuration nor its data set is needed.

    Args:
        path: the folder of a run, also of one that was interrupted; or a `.safetensors`, `.npz`,
            `.pt` or `.pth` file with the weights, such as the course's `model.pt`.

    Raises:
        WeightsError: the file is missing, damaged, or holds something else than a generator.
        CheckpointError: the run has no undamaged checkpoint, or is of another program.
        WorkdirError: the folder is not a run's.
    """
    path = Path(path)
    if path.is_dir():
        return load_run(path)
    if not path.exists():
        raise WeightsError(
            f"{path}: no such file or folder; give the folder of a run or a file of weights"
        )
    arrays = load_state_dict(path)
    try:
        model = _model(arrays)
        return TrainedGenerator(model, import_weights(model, arrays), str(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def save_generator(generator: TrainedGenerator, path: str | os.PathLike) -> Path:
    """Writes a generator's weights atomically, with PyTorch's names, and returns the path.

    A `.safetensors` file also says which architecture it is, as metadata. A `.pt` file is for
    ``torch.load(path, weights_only=True)`` and the course's own class.

    Args:
        generator: from :func:`load_generator`, or made of a model and its variables.
        path: a `.safetensors`, `.npz`, `.pt` or `.pth` file. An existing one is replaced.

    Raises:
        WeightsError: the suffix is none of these.
        WorkdirError: the file cannot be written.

    Example:
        >>> import jax, jax.numpy as jnp, tempfile
        >>> model = Generator(features=4, image_size=16)
        >>> init = jax.jit(lambda key: model.init(key, jnp.zeros((1, 100)), train=False))
        >>> variables = init(jax.random.key(0))
        >>> path = Path(tempfile.mkdtemp(), "generator.safetensors")
        >>> load_generator(save_generator(TrainedGenerator(model, variables), path)).model.features
        4
    """
    path = Path(path)
    weights = export_weights(generator.model, generator.variables)
    if path.suffix == ".safetensors":
        write_atomically(path, safetensors.encode(weights, _metadata(generator.model)))
    else:
        save_state_dict(path, weights)
    return path


def _metadata(model: Generator) -> dict[str, str]:
    names = ["features", "latent_dim", "image_size", "channels"]
    names += ["normalization"] * (model.normalization != "batch")
    names += ["num_classes"] * (model.num_classes > 0)
    return {"model": "DCGAN generator", **{name: str(getattr(model, name)) for name in names}}


def _model(arrays: Mapping[str, np.ndarray]) -> Generator:
    """The generator that such weights belong to, by the shapes of its kernels."""
    kernels = {
        int(match[1]): array.shape
        for name, array in arrays.items()
        if (match := _KERNEL.fullmatch(name)) and array.ndim == 4 and array.size
    }
    if 0 in kernels and 2 in kernels:
        raise WeightsError(
            "it holds the weights of a discriminator, which draws nothing; give the generator's"
        )
    if 0 not in kernels:
        raise WeightsError(
            "it does not hold a DCGAN generator's weights, main.0.weight and so on, as "
            "torch.save(netG.state_dict(), 'model.pt') writes them"
        )
    latent_dim, _, base, _ = kernels[0]
    features, channels, _, _ = kernels[max(kernels)]
    size = base * 2 ** min(len(kernels) - 1, 10)
    if size not in possible_image_sizes() or channels not in (1, 3):
        raise WeightsError(
            f"its {len(kernels)} transposed convolutions would draw images of {size} pixels with "
            f"{channels} channels; known are 1 or 3 channels and the sizes "
            f"{', '.join(map(str, possible_image_sizes()))}"
        )
    arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    normalization = "batch" if "main.1.weight" in arrays else "none"
    classes = 0
    if "class_scale.0.weight" in arrays and arrays["class_scale.0.weight"].ndim == 2:
        classes = arrays["class_scale.0.weight"].shape[1]
    return Generator(
        features, latent_dim, size, channels, normalization=normalization, num_classes=classes
    )
