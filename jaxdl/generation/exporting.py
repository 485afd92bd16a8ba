"""A generator as a file for other programs."""

import os
from pathlib import Path

from jaxdl.errors import ConfigError
from jaxdl.files import write_atomically
from jaxdl.generation import onnx_file, stablehlo
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.generation.weights import save_generator

FORMATS = ("stablehlo", "onnx", "safetensors", "pt")
_ENCODERS = {"stablehlo": stablehlo.encode, "onnx": onnx_file.encode}


def export_generator(
    generator: TrainedGenerator, path: str | os.PathLike, format: str | None = None
) -> Path:
    """Writes a generator atomically in one of four formats, and returns the path.

    | format | for | holds |
    |---|---|---|
    | stablehlo | JAX alone, see :mod:`jaxdl.generation.stablehlo` | the function z → images |
    | onnx | ONNX Runtime and others, see :mod:`jaxdl.generation.onnx_file` | the same |
    | safetensors | this library and others | the weights, and the architecture |
    | pt | PyTorch, see :func:`save_generator` | the weights |

    Args:
        generator: from :func:`jaxdl.generation.load_generator`.
        path: an existing file is replaced. Weights need a suffix of their format.
        format: by default the path's suffix.

    Raises:
        ConfigError: the format is unknown or not the suffix of weights, or its package is missing.
        WorkdirError: the file cannot be written.

    Example:
        >>> from jaxdl.models import Generator
        >>> model = Generator(features=1, image_size=16)
        >>> export_generator(TrainedGenerator(model, {}), "generator.h5")
        Traceback (most recent call last):
            ...
        jaxdl.errors.ConfigError: format 'h5': choose stablehlo, onnx, safetensors, pt
    """
    format = find_format(path, format)
    if format in _ENCODERS:
        write_atomically(path, _ENCODERS[format](generator))
        return Path(path)
    return save_generator(generator, path)


def find_format(path: str | os.PathLike, format: str | None = None) -> str:
    """The format of an exported file: the one given, or else the path's suffix.

    Raises:
        ConfigError: there is no such format, or the suffix of weights says another one.

    Example:
        >>> find_format("generator.onnx")
        'onnx'
    """
    suffix = Path(path).suffix.removeprefix(".")
    format = suffix if format is None else format
    if format not in FORMATS:
        raise ConfigError(f"format {format!r}: choose {', '.join(FORMATS)}")
    if suffix != format and {suffix, format} & {"safetensors", "pt"}:
        raise ConfigError(f"{path}: a file of format {format} ends in .{format}")
    return format
