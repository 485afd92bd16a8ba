"""Trained generators: load one, draw images, walk between them, hand it over.

Neither the training data nor the configuration is needed: a run's folder, or a file of weights, is
enough.

- :func:`load_generator`, and the methods of :class:`TrainedGenerator`: ``sample``, ``images``
- :func:`generate_images`: into a folder or an `.npz` file
- :func:`interpolate`: walks between z's
- :func:`save_generator`, :func:`export_generator`: weights, PyTorch, StableHLO, ONNX
"""

from jaxdl._face import face
from jaxdl.generation import (
    exporting,
    generator,
    onnx_file,
    run_folder,
    stablehlo,
    walk,
    weights,
    writing,
)
from jaxdl.generation.exporting import export_generator, find_format
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.generation.walk import Walk, interpolate, slerp
from jaxdl.generation.weights import load_generator, save_generator
from jaxdl.generation.writing import check_out, generate_images, read_noise

__all__ = [
    "TrainedGenerator",
    "Walk",
    "check_out",
    "export_generator",
    "exporting",
    "find_format",
    "generate_images",
    "generator",
    "interpolate",
    "load_generator",
    "onnx_file",
    "read_noise",
    "run_folder",
    "save_generator",
    "slerp",
    "stablehlo",
    "walk",
    "weights",
    "writing",
]

__getattr__, __dir__ = face(__name__, __all__)
