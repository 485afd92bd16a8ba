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
- ``jaxdl.errors``, ``jaxdl.files``: the exceptions, and writing files whole or not at all

Example:
    >>> import jaxdl
    >>> jaxdl.models.Generator().features
    64
"""

from typing import TYPE_CHECKING

from jaxdl._face import face

if TYPE_CHECKING:
    from jaxdl import (
        data,
        distributed,
        errors,
        exercises,
        files,
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
    "files",
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

__getattr__, __dir__ = face(__name__, __all__)
