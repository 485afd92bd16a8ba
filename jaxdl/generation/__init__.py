"""Trained generators: load one, draw images, walk between them, hand it over.

Neither the training data nor the configuration is needed: a run's folder, or a file of weights, is
enough.

Example:
    >>> import jaxdl
    >>> generator = jaxdl.generation.load_generator("model.pt")           # doctest: +SKIP
    >>> jaxdl.plot.image_grid(generator.sample(100, seed=0))              # doctest: +SKIP
"""

from jaxdl._face import face
from jaxdl.generation import generator, run_folder, weights, writing
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.generation.weights import load_generator, save_generator
from jaxdl.generation.writing import check_out, generate_images, read_noise

__all__ = [
    "TrainedGenerator",
    "check_out",
    "generate_images",
    "generator",
    "load_generator",
    "read_noise",
    "run_folder",
    "save_generator",
    "weights",
    "writing",
]

__getattr__, __dir__ = face(__name__, __all__)
