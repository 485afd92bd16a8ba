"""Trained classifiers: inputs, files, judgements of single images."""

from jaxdl._face import face
from jaxdl.classification.inputs import Inputs, inputs_for
from jaxdl.classification.trained import TrainedClassifier
from jaxdl.classification.weights import load_classifier, save_classifier

__all__ = ["Inputs", "TrainedClassifier", "inputs_for", "load_classifier", "save_classifier"]

__getattr__, __dir__ = face(__name__, __all__)
