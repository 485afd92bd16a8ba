"""Runs diagnosed: from what a run recorded to causes, evidence and remedies."""

from jaxdl._face import face
from jaxdl.diagnosis import data_causes, generalization_causes, training_causes
from jaxdl.diagnosis.classifier import diagnose_classifier
from jaxdl.diagnosis.finding import CAUSES, HEALTHY, Diagnosis, Finding, Remedy
from jaxdl.diagnosis.gan import diagnose_gan
from jaxdl.diagnosis.record import (
    ClassifierRecord,
    read_config,
    read_divergence,
    read_json,
    read_record,
    read_records,
)

__all__ = [
    "CAUSES",
    "HEALTHY",
    "ClassifierRecord",
    "Diagnosis",
    "Finding",
    "Remedy",
    "data_causes",
    "diagnose_classifier",
    "diagnose_gan",
    "generalization_causes",
    "read_config",
    "read_divergence",
    "read_json",
    "read_record",
    "read_records",
    "training_causes",
]

__getattr__, __dir__ = face(__name__, __all__)
