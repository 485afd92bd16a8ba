"""Scores of generated samples, from features that a classifier computes of them.

``features`` are those of the generated samples, ``reference`` (or ``train`` and ``test``) those of
real ones, arrays or lists of shape (samples, features). A score says something only beside the
same score of as many other real samples. Shapes that do not fit raise ShapeError, NaN features
ConfigError. Distances are computed blockwise: memory grows with the samples, not with their square.
"""

from jaxdl._face import face
from jaxdl.metrics.generative.classes import (
    ClassHistogram,
    ModeCoverage,
    class_histogram,
    mode_coverage,
)
from jaxdl.metrics.generative.frechet import (
    FeatureStatistics,
    feature_statistics,
    frechet_distance,
)
from jaxdl.metrics.generative.kernel import KernelDistance, kernel_distance
from jaxdl.metrics.generative.likelihood import (
    FLD,
    feature_likelihood_divergence,
    likelihood_baseline,
)
from jaxdl.metrics.generative.memorization import authenticity, data_copying
from jaxdl.metrics.generative.neighbors import PRDC, Neighbors, nearest_neighbors, prdc
from jaxdl.metrics.generative.sliced_wasserstein import SlicedWasserstein, sliced_wasserstein

__all__ = [
    "FLD",
    "PRDC",
    "ClassHistogram",
    "FeatureStatistics",
    "KernelDistance",
    "ModeCoverage",
    "Neighbors",
    "SlicedWasserstein",
    "authenticity",
    "class_histogram",
    "data_copying",
    "feature_likelihood_divergence",
    "feature_statistics",
    "frechet_distance",
    "kernel_distance",
    "likelihood_baseline",
    "mode_coverage",
    "nearest_neighbors",
    "prdc",
    "sliced_wasserstein",
]

__getattr__, __dir__ = face(__name__, __all__)
