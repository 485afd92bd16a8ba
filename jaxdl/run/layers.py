"""Adds statistics of the layers to every epoch's record."""

from typing import Any

import jax
import numpy as np

from jaxdl.data.dataset import Split
from jaxdl.run.task import Hook
from jaxdl.training.classifier import ClassifierState, Transform
from jaxdl.training.layers import in_forward_order, layer_statistics
from jaxdl.training.objective import Objective
from jaxdl.training.several_seeds import over_seeds


def layer_hook(part: Split, transform: Transform, objective: Objective) -> Hook:
    """A hook of a classifier's run; see :func:`jaxdl.training.layer_statistics`.

    Args:
        part: some hundred training examples.
        transform: maps images to the networks' inputs.
        objective: the loss and the metrics.

    Returns:
        The hook. Its ``call(None, state)`` also looks at a state outside a run. Each value is a
        list with one number per seed.
    """

    def look(state: ClassifierState, images: jax.Array, labels: jax.Array) -> dict[str, Any]:
        def one(network: Any) -> dict[str, Any]:
            return layer_statistics(network, transform(images), labels, objective)

        return over_seeds(one, jax.default_backend() == "cpu")(state.network)

    compiled = jax.jit(look)

    def call(point: Any, state: ClassifierState) -> dict[str, Any]:
        del point
        found = compiled(state, part.images, part.labels)
        values = jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), found)
        layers = values["layers"]
        return values | {"layers": {name: layers[name] for name in in_forward_order(layers)}}

    return Hook(call)
