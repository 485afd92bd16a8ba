"""Runs diagnosed: from what a run recorded to causes, evidence and remedies."""

from jaxdl._face import face
from jaxdl.diagnosis.finding import HEALTHY, Diagnosis, Finding, Remedy
from jaxdl.diagnosis.gan import diagnose_gan

__all__ = ["HEALTHY", "Diagnosis", "Finding", "Remedy", "diagnose_gan"]

__getattr__, __dir__ = face(__name__, __all__)
