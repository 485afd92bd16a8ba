"""Mergeable metrics: made from a batch, merged by addition, divided only at the end.

``from_batch`` takes arrays or lists, and ``weights`` of the shape of the samples: 1 each by
default, 0 for padding, whose values may be anything. Shapes that do not fit raise ShapeError.
"""

from jaxdl._face import face
from jaxdl.metrics import accumulation
from jaxdl.metrics.accumulation import Mean, Metric
from jaxdl.metrics.classification import Accuracy, ConfusionMatrix, TopKAccuracy
from jaxdl.metrics.detection import (
    MeanAveragePrecision,
    average_precision,
    box_iou,
    mask_iou,
    match_detections,
    precision_recall_curve,
)
from jaxdl.metrics.regression import (
    MAE,
    MSE,
    R2,
    RMSE,
    CourseRMSE,
    course_rmse,
    mae,
    mse,
    r2,
    rmse,
)
from jaxdl.metrics.statistics import (
    PairedDifference,
    Summary,
    paired_difference,
    summarize,
    verdict,
)

__all__ = [
    "MAE",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "ConfusionMatrix",
    "CourseRMSE",
    "Mean",
    "MeanAveragePrecision",
    "Metric",
    "PairedDifference",
    "Summary",
    "TopKAccuracy",
    "accumulation",
    "average_precision",
    "box_iou",
    "course_rmse",
    "generative",
    "mae",
    "mask_iou",
    "match_detections",
    "mse",
    "paired_difference",
    "precision_recall_curve",
    "r2",
    "rmse",
    "summarize",
    "verdict",
]

__getattr__, __dir__ = face(__name__, __all__)
