"""Deep learning by doing, in JAX: a small functional library.

The rooms are attributes, loaded when they are first used, so that ``import jaxdl`` starts no
device, reads no file and costs next to nothing beyond ``import jax``:

- ``jaxdl.nn``: layers and their arithmetic
- ``jaxdl.models``: the networks, one file each
- ``jaxdl.exercises``: the course's hand-built networks
- ``jaxdl.losses``: elementwise losses on logits
- ``jaxdl.metrics``: mergeable metrics
- ``jaxdl.optim``: optimisers with the course's conventions
- ``jaxdl.data``: sources, transforms, splits, batches
- ``jaxdl.training``: what is trained: states, random streams, steps
- ``jaxdl.run``: one run from start to end: fit, log, checkpoints
- ``jaxdl.distributed``: devices, data parallelism, several processes
- ``jaxdl.plot``: grids, curves, animation
- ``jaxdl.interop``: PyTorch weights in and out

Example:
    >>> import jaxdl
    >>> jaxdl.models.Generator().features
    64
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxdl import (
        data,
        distributed,
        errors,
        exercises,
        interop,
        losses,
        metrics,
        models,
        nn,
        optim,
        plot,
        run,
        training,
    )

__version__ = "0.1.0"

__all__ = [
    "data",
    "distributed",
    "errors",
    "exercises",
    "interop",
    "losses",
    "metrics",
    "models",
    "nn",
    "optim",
    "plot",
    "run",
    "training",
]


def __getattr__(name: str) -> ModuleType:
    """Loads a room on first use (PEP 562)."""
    if name in __all__:
        return importlib.import_module(f"jaxdl.{name}")
    raise AttributeError(f"module 'jaxdl' has no attribute {name!r}; its rooms: {__all__}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
