"""Where data sets come from: IDX folders, tensorflow-datasets, and what packages carry."""

from jaxdl._face import face

__all__ = [
    "boston",
    "embedded",
    "idx",
    "loading",
    "published",
    "tfds",
    "tfds_prepare",
]

__getattr__, __dir__ = face(__name__, __all__)
