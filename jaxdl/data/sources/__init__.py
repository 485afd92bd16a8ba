"""Sources of data sets: IDX folders, tensorflow-datasets, and samples inside packages."""

from jaxdl._face import face

__all__ = [
    "boston",
    "embedded",
    "idx",
    "image_files",
    "image_folder",
    "loading",
    "published",
    "tfds",
    "tfds_prepare",
]

__getattr__, __dir__ = face(__name__, __all__)
