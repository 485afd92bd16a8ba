"""Generated images judged: by a trained classifier, against real images, with a verdict.

A :class:`Judge` turns images into features and class scores.
"""

from jaxdl._face import face
from jaxdl.evaluation import judge
from jaxdl.evaluation.judge import Judge, Seen, load_judge, make_judge, save_judge, to_judge_size
from jaxdl.evaluation.network import JudgeNetwork
from jaxdl.evaluation.reading import read_images

__all__ = [
    "Judge",
    "JudgeNetwork",
    "Seen",
    "judge",
    "load_judge",
    "make_judge",
    "read_images",
    "save_judge",
    "to_judge_size",
]

__getattr__, __dir__ = face(__name__, __all__)
