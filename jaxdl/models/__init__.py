"""Networks, one file each, as Flax linen modules.

Every module is called as ``model.apply(variables, x, train=..., axis_name=...)``: whether it
trains and which axis of a parallel map it reduces over are arguments, never hidden state.
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
