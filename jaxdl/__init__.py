"""Deep learning by doing, in JAX: a small functional library.

Subpackages load on first use: ``import jaxdl`` starts no device, reads no file and adds almost
nothing to the time of ``import jax``.

- ``jaxdl.nn``: layers and their arithmetic
- ``jaxdl.models``: the networks, one file each
- ``jaxdl.exercises``: the course's hand-built networks
- ``jaxdl.losses``: elementwise losses on logits
- ``jaxdl.metrics``: mergeable metrics
- ``jaxdl.optim``: optimisers with the course's conventions
- ``jaxdl.data``: sources, transforms, splits, batches
- ``jaxdl.training``: states, random streams, training steps
- ``jaxdl.run``: runs: fit, log, checkpoints
- ``jaxdl.distributed``: devices, data parallelism, several processes
- ``jaxdl.plot``: grids, curves, animation
- ``jaxdl.interop``: PyTorch weights in and out
- ``jaxdl.evaluation``: generated images judged by a trained classifier
- ``jaxdl.diagnosis``: from what a run recorded to causes and remedies
- ``jaxdl.generation``: trained generators: load, draw, walk, export
- ``jaxdl.errors``, ``jaxdl.files``: exceptions, atomic writes

Example:
    >>> import jaxdl
    >>> jaxdl.models.Generator().features
    64
"""

from typing import TYPE_CHECKING

from jaxdl._face import face

if TYPE_CHECKING:
    from jaxdl import (
        classification,
        data,
        diagnosis,
        distributed,
        errors,
        evaluation,
        exercises,
        files,
        generation,
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
    "classification",
    "data",
    "diagnosis",
    "distributed",
    "errors",
    "evaluation",
    "exercises",
    "files",
    "generation",
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
