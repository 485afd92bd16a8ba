"""One run from start to end: loop, log, checkpoints, signals, and what is not finite."""

from jaxdl._face import face
from jaxdl.run import (
    checkpoint,
    classifiers,
    divergence,
    epoch_means,
    leaves,
    lock,
    log,
    loop,
    manifest,
    microscope,
    progress,
    replay,
    save_policy,
    signals,
)
from jaxdl.run.classifiers import FittedClassifier, fit_classifier
from jaxdl.run.fit import Fitted, fit
from jaxdl.run.log import RunLog
from jaxdl.run.loop import Hook, Point, Schedule

__all__ = [
    "Fitted",
    "FittedClassifier",
    "Hook",
    "Point",
    "RunLog",
    "Schedule",
    "checkpoint",
    "classifiers",
    "divergence",
    "epoch_means",
    "fit",
    "fit_classifier",
    "leaves",
    "lock",
    "log",
    "loop",
    "manifest",
    "microscope",
    "progress",
    "replay",
    "save_policy",
    "signals",
]

__getattr__, __dir__ = face(__name__, __all__)
