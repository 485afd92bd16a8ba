"""Runs: fit a task, log metrics, save checkpoints, handle signals, diagnose divergence."""

from jaxdl._face import face
from jaxdl.run import (
    checkpoint,
    classifiers,
    divergence,
    feed,
    gan_inputs,
    lock,
    log,
    loop,
    manifest,
    microscope,
    opening,
    progress,
    reading,
    saving,
    schedule,
    signals,
    step_metrics,
    task,
)
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.classifiers import FittedClassifier, fit_classifier
from jaxdl.run.feed import Feed, Pieces
from jaxdl.run.fit import Fitted, best_state, fit
from jaxdl.run.layers import layer_hook
from jaxdl.run.log import RunLog
from jaxdl.run.replay import replay
from jaxdl.run.saving import SavePolicy
from jaxdl.run.schedule import Point, Schedule
from jaxdl.run.task import Best, Hook, Monitor, RunOptions, Task

__all__ = [
    "Best",
    "ClassifierOptions",
    "Feed",
    "Fitted",
    "FittedClassifier",
    "Hook",
    "Monitor",
    "Pieces",
    "Point",
    "RunLog",
    "RunOptions",
    "SavePolicy",
    "Schedule",
    "Task",
    "best_state",
    "checkpoint",
    "classifier_task",
    "classifiers",
    "divergence",
    "feed",
    "fit",
    "fit_classifier",
    "gan_inputs",
    "layer_hook",
    "lock",
    "log",
    "loop",
    "manifest",
    "microscope",
    "opening",
    "progress",
    "reading",
    "replay",
    "saving",
    "schedule",
    "signals",
    "step_metrics",
    "task",
]

__getattr__, __dir__ = face(__name__, __all__)
