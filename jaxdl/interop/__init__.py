"""PyTorch weights in and out, without PyTorch and without running code from a file.

A *state dict* is PyTorch's name for a network's weights: a mapping from names to arrays.

- Files: :func:`load_state_dict` and :func:`save_state_dict`. For bytes in memory, use `decode` and
  `encode` in :mod:`npz`, :mod:`safetensors` and :mod:`torch_file`.
- Networks: :func:`import_weights` and :func:`export_weights`.
"""

from jaxdl._face import face
from jaxdl.interop import (
    archive,
    arrays,
    layouts,
    npz,
    restricted_pickle,
    safetensors,
    torch_file,
    twins,
)
from jaxdl.interop.state_dict import load_state_dict, save_state_dict
from jaxdl.interop.twins import export_weights, import_weights

__all__ = [
    "archive",
    "arrays",
    "export_weights",
    "import_weights",
    "layouts",
    "load_state_dict",
    "npz",
    "restricted_pickle",
    "safetensors",
    "save_state_dict",
    "torch_file",
    "twins",
]

__getattr__, __dir__ = face(__name__, __all__)
