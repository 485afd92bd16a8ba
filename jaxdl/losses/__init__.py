"""Losses, elementwise or per sample; they take logits where there is a choice.

Every loss takes ``reduction``: "none" (default) returns losses in the shape of the samples, "mean"
and "sum" a scalar. Arguments may be arrays or lists; any shape is checked before arithmetic. Shapes
that do not fit raise ShapeError; numbers out of range and unknown reductions raise ConfigError.
All losses work under jit, vmap and grad.
"""

from jaxdl._face import face
from jaxdl.losses import adversarial, gradient_penalties, reduction
from jaxdl.losses.adversarial import (
    HINGE,
    NON_SATURATING,
    RELATIVISTIC,
    WASSERSTEIN,
    AdversarialLoss,
)
from jaxdl.losses.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_focal,
    weighted_binary_cross_entropy,
)
from jaxdl.losses.gradient_penalties import slopes
from jaxdl.losses.multiclass import cross_entropy, focal, focal_term, negative_log_likelihood
from jaxdl.losses.penalties import l1_penalty, l2_penalty
from jaxdl.losses.reduction import top_k
from jaxdl.losses.regression import absolute_error, mean_squared_error, smooth_l1, squared_error
from jaxdl.losses.wasserstein import wasserstein

__all__ = [
    "HINGE",
    "NON_SATURATING",
    "RELATIVISTIC",
    "WASSERSTEIN",
    "AdversarialLoss",
    "absolute_error",
    "adversarial",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal",
    "cross_entropy",
    "focal",
    "focal_term",
    "gradient_penalties",
    "l1_penalty",
    "l2_penalty",
    "mean_squared_error",
    "negative_log_likelihood",
    "reduction",
    "slopes",
    "smooth_l1",
    "squared_error",
    "top_k",
    "wasserstein",
    "weighted_binary_cross_entropy",
]

__getattr__, __dir__ = face(__name__, __all__)
