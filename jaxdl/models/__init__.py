"""Networks as Flax linen modules, one per file.

Call them as ``model.apply(variables, x, train=..., axis_name=...)``. In training, networks with
BatchNorm normalise with the batch's statistics and update the running ones, so the collection
``batch_stats`` must be mutable. ``axis_name`` is the pmap axis the batch is spread over, if any.
Inputs of the wrong shape raise ShapeError.
"""

from jaxdl._face import face
from jaxdl.models.cnn import CNN
from jaxdl.models.dcgan import (
    Discriminator,
    Generator,
    Pyramid,
    class_shares,
    image_pyramid,
    possible_image_sizes,
)
from jaxdl.models.domain_adversarial import DomainAdversarial
from jaxdl.models.fusion import FUSIONS, Fusion
from jaxdl.models.linear import LinearRegression, least_squares
from jaxdl.models.mlp import MLP

__all__ = [
    "CNN",
    "FUSIONS",
    "MLP",
    "Discriminator",
    "DomainAdversarial",
    "Fusion",
    "Generator",
    "LinearRegression",
    "Pyramid",
    "class_shares",
    "image_pyramid",
    "least_squares",
    "possible_image_sizes",
]

__getattr__, __dir__ = face(__name__, __all__)
