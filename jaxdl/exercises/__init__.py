"""The course's hand-built networks, with training steps of their own."""

from jaxdl._face import face
from jaxdl.exercises import perceptron, tinynet, two_layer
from jaxdl.exercises.tinynet import TinyNet
from jaxdl.exercises.two_layer import TwoLayerNet

__all__ = [
    "TinyNet",
    "TwoLayerNet",
    "perceptron",
    "tinynet",
    "two_layer",
]

__getattr__, __dir__ = face(__name__, __all__)
