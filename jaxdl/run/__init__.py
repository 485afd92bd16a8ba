"""One run from start to end: loop, log, checkpoints, signals, and what is not finite."""

from jaxdl.run import (
    checkpoint,
    classifiers,
    divergence,
    lock,
    log,
    loop,
    manifest,
    microscope,
    saving,
    schedule,
    signals,
)
from jaxdl.run.classifiers import (
    ClassifierOptions,
    FittedClassifier,
    classifier_task,
    fit_classifier,
)
from jaxdl.run.fit import Fitted, fit
from jaxdl.run.log import RunLog
from jaxdl.run.replay import replay
from jaxdl.run.saving import SavePolicy
from jaxdl.run.schedule import Point, Schedule
from jaxdl.run.task import Hook, RunOptions, Task

__all__ = [
    "ClassifierOptions",
    "Fitted",
    "FittedClassifier",
    "Hook",
    "Point",
    "RunLog",
    "RunOptions",
    "SavePolicy",
    "Schedule",
    "Task",
    "checkpoint",
    "classifier_task",
    "classifiers",
    "divergence",
    "fit",
    "fit_classifier",
    "lock",
    "log",
    "loop",
    "manifest",
    "microscope",
    "replay",
    "saving",
    "schedule",
    "signals",
]
