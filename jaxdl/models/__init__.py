"""Networks, one file each, as Flax linen modules.

Every network is called as ``model.apply(variables, x, train=..., axis_name=...)``. In training it
normalises with the batch's statistics and updates the running ones, if it has any: the collection
``batch_stats`` must then be mutable. ``axis_name`` is the axis of the parallel map over which the
batch is spread, if any.
"""

from jaxdl._face import face
from jaxdl.models.cnn import CNN
from jaxdl.models.dcgan import (
    Discriminator,
    Generator,
    Pyramid,
    image_pyramid,
    possible_image_sizes,
)
from jaxdl.models.linear import LinearRegression, least_squares
from jaxdl.models.mlp import MLP

__all__ = [
    "CNN",
    "MLP",
    "Discriminator",
    "Generator",
    "LinearRegression",
    "Pyramid",
    "image_pyramid",
    "least_squares",
    "possible_image_sizes",
]

__getattr__, __dir__ = face(__name__, __all__)
