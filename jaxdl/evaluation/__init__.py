"""Generated images judged: by a trained classifier, against real images, with a verdict.

A :class:`Judge` turns images into features and class scores. :func:`quick_scores` compares a few
thousand of them with real ones during training, :func:`evaluate_images` does so at length.
"""

from jaxdl._face import face
from jaxdl.evaluation import copies, findings, judge, pixels, references, report, scores
from jaxdl.evaluation.findings import verdict
from jaxdl.evaluation.judge import (
    PACKAGED,
    Judge,
    Seen,
    find_judge,
    load_judge,
    make_judge,
    save_judge,
    to_judge_size,
)
from jaxdl.evaluation.network import JudgeNetwork
from jaxdl.evaluation.reading import read_images
from jaxdl.evaluation.references import References, look_at_dataset
from jaxdl.evaluation.report import Evaluation, evaluate_images
from jaxdl.evaluation.scores import (
    Reference,
    class_accuracy,
    make_reference,
    quick_scores,
    variety,
)

__all__ = [
    "PACKAGED",
    "Evaluation",
    "Judge",
    "JudgeNetwork",
    "Reference",
    "References",
    "Seen",
    "class_accuracy",
    "copies",
    "evaluate_images",
    "find_judge",
    "findings",
    "judge",
    "load_judge",
    "look_at_dataset",
    "make_judge",
    "make_reference",
    "pixels",
    "quick_scores",
    "read_images",
    "references",
    "report",
    "save_judge",
    "scores",
    "to_judge_size",
    "variety",
    "verdict",
]

__getattr__, __dir__ = face(__name__, __all__)
