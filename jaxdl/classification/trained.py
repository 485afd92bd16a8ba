"""``TrainedClassifier``: a network with its weights and the scaling of its inputs."""

from typing import Any, NamedTuple

import flax.linen as linen
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxdl.classification.inputs import Inputs
from jaxdl.training.predict import predict, predict_probabilities
from jaxdl.training.reprs import short_repr
from jaxdl.training.state import NetworkState


class TrainedClassifier(NamedTuple):
    """A classifier that is ready for use.

    Attributes:
        model: a :class:`jaxdl.models.CNN`, or a :class:`jaxdl.models.MLP`, which without hidden
            layers is a linear model.
        variables: its weights: ``params`` and, with BatchNorm, ``batch_stats``.
        inputs: maps uint8 images to its inputs.
        record: where it comes from: ``dataset``, ``seed``, … as plain values.

    Example:
        >>> import jax
        >>> from jaxdl.models import MLP
        >>> images, inputs = np.zeros((3, 4, 4, 1), np.uint8), Inputs()
        >>> variables = MLP(hidden=()).init(jax.random.key(0), inputs(images), train=False)
        >>> classifier = TrainedClassifier(MLP(hidden=()), variables, inputs)
        >>> classifier.predict(images).shape, classifier.probabilities(images).shape
        ((3,), (3, 10))
    """

    model: linen.Module
    variables: dict[str, Any]
    inputs: Inputs
    record: dict[str, Any] = {}  # noqa: RUF012 - never changed

    __repr__ = short_repr

    @property
    def network(self) -> NetworkState:
        """The network in the library's form, without an optimiser."""
        statistics = self.variables.get("batch_stats", {})
        params = self.variables["params"]
        return NetworkState(params, statistics, (), self.model, optax.identity())

    def predict(self, images: ArrayLike) -> np.ndarray:
        """The most probable class of each image (N, H, W, C), int32 (N,)."""
        return predict(self.network, images, self.inputs)

    def probabilities(self, images: ArrayLike) -> np.ndarray:
        """Each class's probability for each image, float32 (N, classes)."""
        return predict_probabilities(self.network, images, self.inputs)
