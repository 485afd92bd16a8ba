"""Optimisers: PyTorch's conventions in optax, and steepest descent with a line search."""

from jaxdl._face import face
from jaxdl.optim.line_search import Descent, steepest_descent
from jaxdl.optim.partial import train_only
from jaxdl.optim.plateau import reduce_on_plateau
from jaxdl.optim.torch_style import adadelta, adam, add_l1, sgd

__all__ = [
    "Descent",
    "adadelta",
    "adam",
    "add_l1",
    "reduce_on_plateau",
    "sgd",
    "steepest_descent",
    "train_only",
]

__getattr__, __dir__ = face(__name__, __all__)
