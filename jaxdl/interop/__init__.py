"""PyTorch weights in and out, without PyTorch and without running code from a file.

A *state dict* is what PyTorch calls a network's weights: a mapping of names to arrays.

- Files: :func:`load_state_dict` and :func:`save_state_dict`; for content in memory, the formats'
  modules :mod:`npz`, :mod:`safetensors` and :mod:`torch_file` with `decode` and `encode`.
- Networks: :func:`import_weights` and :func:`export_weights`.
"""

from jaxdl.interop import npz, safetensors, torch_file
from jaxdl.interop.state_dict import load_state_dict, save_state_dict
from jaxdl.interop.twins import export_weights, import_weights

__all__ = [
    "export_weights",
    "import_weights",
    "load_state_dict",
    "npz",
    "safetensors",
    "save_state_dict",
    "torch_file",
]
