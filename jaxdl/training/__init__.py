"""Training: state, steps, streams of random numbers, data parallelism, loop, log, checkpoints."""

import importlib
from typing import Any

_FUNCTIONS = {"EarlyStopping": "early_stopping", "fit_classifier": "classifier_fit"}

__all__ = [
    "EarlyStopping",
    "agreement",
    "checkpoint",
    "classifier",
    "classifier_fit",
    "collapse",
    "compilation",
    "devices",
    "divergence",
    "early_stopping",
    "fit",
    "fit_classifier",
    "gan",
    "keeper",
    "leaves",
    "loop",
    "manifest",
    "microscope",
    "parallel",
    "replay",
    "run_lock",
    "run_log",
    "signals",
    "state",
    "streams",
]


def __getattr__(name: str) -> Any:
    """Loads a part on first use."""
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"jaxdl.training.{_FUNCTIONS[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"jaxdl.training.{name}")
    raise AttributeError(f"module 'jaxdl.training' has no attribute {name!r}; it has {__all__}")
