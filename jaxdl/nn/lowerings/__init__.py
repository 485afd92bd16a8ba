"""Ways to compute the same convolution, and the rule that picks one (:mod:`.rule`)."""

from jaxdl._face import face

__all__ = [
    "bilinear",
    "patches",
    "rule",
    "winograd",
]

__getattr__, __dir__ = face(__name__, __all__)
