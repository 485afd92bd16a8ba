"""Training: state, steps, streams of random numbers, data parallelism, loop, log, checkpoints."""

import importlib
from typing import Any

_FUNCTIONS = {"EarlyStopping": "early_stopping", "fit_classifier": "classifier_fit"}

__all__ = [
    "EarlyStopping",
    "checkpoint",
    "classifier",
    "classifier_fit",
    "compilation",
    "devices",
    "early_stopping",
    "fit",
    "fit_classifier",
    "gan",
    "loop",
    "parallel",
    "run_log",
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
