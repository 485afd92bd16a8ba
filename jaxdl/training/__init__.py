"""Training: state, steps, streams of random numbers, data parallelism, loop, log, checkpoints."""

import importlib
from types import ModuleType

__all__ = [
    "checkpoint",
    "devices",
    "fit",
    "gan",
    "loop",
    "parallel",
    "run_log",
    "state",
    "streams",
]


def __getattr__(name: str) -> ModuleType:
    """Loads a part on first use."""
    if name in __all__:
        return importlib.import_module(f"jaxdl.training.{name}")
    raise AttributeError(f"module 'jaxdl.training' has no attribute {name!r}; it has {__all__}")
