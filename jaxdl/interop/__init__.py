"""PyTorch weights in and out, without PyTorch and without running code from a file.

A *state dict* is what PyTorch calls a network's weights: a mapping of names to arrays. It comes
from a file and goes into a file (:func:`load_state_dict`, :func:`save_state_dict`), and it becomes
a network's variables and comes from them (:func:`import_weights`, :func:`export_weights`).
"""

from jaxdl.interop.state_dict import load_state_dict, save_state_dict
from jaxdl.interop.twins import export_weights, import_weights

__all__ = ["export_weights", "import_weights", "load_state_dict", "save_state_dict"]
