"""PyTorch weights in and out, without PyTorch and without running code from a file.

A *state dict* is what PyTorch calls a network's weights: a mapping of names to arrays. It comes
from a file and goes into a file (:func:`load_state_dict`, :func:`save_state_dict`), and it becomes
a network's variables and comes from them (:func:`import_weights`, :func:`export_weights`).
"""

from jaxdl._face import face
from jaxdl.interop import (
    archive,
    layouts,
    npz,
    restricted_pickle,
    safetensors,
    torch,
    torch_file,
    views,
)
from jaxdl.interop.state_dict import load_state_dict, save_state_dict
from jaxdl.interop.torch import export_weights, import_weights

__all__ = [
    "archive",
    "export_weights",
    "import_weights",
    "layouts",
    "load_state_dict",
    "npz",
    "restricted_pickle",
    "safetensors",
    "save_state_dict",
    "torch",
    "torch_file",
    "views",
]

__getattr__, __dir__ = face(__name__, __all__)
