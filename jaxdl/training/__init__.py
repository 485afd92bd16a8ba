"""Training: states, random streams, and the training steps of a classifier and a GAN."""

from jaxdl._face import face
from jaxdl.training import (
    averaging,
    classifier,
    collapse,
    domain_adversarial,
    early_stopping,
    epoch_evaluator,
    gan,
    gan_state,
    gan_step,
    layers,
    leaves,
    objective,
    reprs,
    rngs,
    several_seeds,
    state,
)
from jaxdl.training.classifier import ClassifierState
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.gan_state import GANState
from jaxdl.training.layers import layer_statistics
from jaxdl.training.objective import Objective
from jaxdl.training.predict import predict, predict_probabilities
from jaxdl.training.state import NetworkState, num_parameters

__all__ = [
    "ClassifierState",
    "EarlyStopping",
    "GANState",
    "NetworkState",
    "Objective",
    "averaging",
    "classifier",
    "collapse",
    "domain_adversarial",
    "early_stopping",
    "epoch_evaluator",
    "gan",
    "gan_state",
    "gan_step",
    "layer_statistics",
    "layers",
    "leaves",
    "num_parameters",
    "objective",
    "predict",
    "predict_probabilities",
    "reprs",
    "rngs",
    "several_seeds",
    "state",
]

__getattr__, __dir__ = face(__name__, __all__)
