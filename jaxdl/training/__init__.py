"""What is trained: states, random streams, the steps of a GAN and of a classifier."""

from jaxdl.training import (
    classifier,
    collapse,
    early_stopping,
    gan,
    leaves,
    objective,
    rngs,
    several_seeds,
    state,
)
from jaxdl.training.classifier import ClassifierState
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.gan import GANState
from jaxdl.training.objective import Objective
from jaxdl.training.state import NetworkState, num_parameters

__all__ = [
    "ClassifierState",
    "EarlyStopping",
    "GANState",
    "NetworkState",
    "Objective",
    "classifier",
    "collapse",
    "early_stopping",
    "gan",
    "leaves",
    "num_parameters",
    "objective",
    "rngs",
    "several_seeds",
    "state",
]
