"""Losses of one class among C: negative log-likelihood, cross-entropy, focal.

Integer labels out of range raise DataError if concrete; traced ones make their loss NaN.

References:
    course document 002, sections 9.1, 9.5 and 9.7.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError
from jaxdl.losses.reduction import (
    as_float,
    as_labels,
    broadcast_weights,
    check_labels,
    reduce,
    times_log,
)


def negative_log_likelihood(
    log_probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> jax.Array:
    """Minus the value at the label, like PyTorch's `NLLLoss`: ℓ = −w[y] · x[y].

    It takes no logarithm itself. Classes are on axis 1, as in the course: (N, C) with labels (N,),
    or images (N, C, H, W) with labels (N, H, W).

    Args:
        log_probabilities: values x (N, C, ...), usually a log-softmax over axis 1.
        labels: integers y in 0..C-1, shape (N, ...).
        class_weights: w (C,), 1 by default.
        ignore_index: a label whose samples count neither as loss nor as weight.
        reduction: "mean" is Σ w[y]·ℓ / Σ w[y], NaN if nothing is left.

    Example:
        >>> values = jnp.array([[0.1, 0.2, 0.7], [0.1, 0.6, 0.3]])
        >>> loss = negative_log_likelihood(values, jnp.array([2, 1]), reduction="mean")
        >>> print(f"{loss:.4f}")
        -0.6500
    """
    values = as_float(log_probabilities, "log_probabilities")
    if values.ndim < 2:
        raise ShapeError(f"log_probabilities {values.shape} must have shape (N, C, ...)")
    values = jnp.moveaxis(values, 1, -1)
    labels, ignored = check_labels(labels, values.shape[:-1], values.shape[-1], ignore_index)
    losses, weights = _picked(values, labels, ignored, class_weights)
    return reduce(losses, reduction, weights)


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_weights: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "none",
) -> jax.Array:
    r"""Softmax cross-entropy of logits with integer labels or target probabilities.

    .. math:: \ell = (1 - \varepsilon)\, w_y (-\log p_y) +
              \frac{\varepsilon}{C} \sum_c w_c (-\log p_c), \quad p = \mathrm{softmax}(x)

    With target probabilities t it is −Σ w_c t'_c log p_c, t' = (1 − ε) t + ε / C.

    Args:
        logits: x (..., C), classes on the last axis.
        labels: integers y in 0..C-1 of shape (...), or floating probabilities t (..., C).
        class_weights: w (C,), 1 by default.
        ignore_index: an integer label whose samples do not count; their loss is 0.
        label_smoothing: ε in [0, 1].
        reduction: "mean" is Σℓ / Σ w[y] for integer labels (NaN if nothing is left) and
            Σℓ / number of samples for probabilities, as in PyTorch.

    Example:
        >>> print(f"{cross_entropy(jnp.array([[0.25, 0.4]]), jnp.array([1]))[0]:.4f}")
        0.6210

    References:
        Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing);
        PyTorch's CrossEntropyLoss.
    """
    if not 0 <= label_smoothing <= 1:
        raise ConfigError(f"label_smoothing = {label_smoothing} must be in [0, 1]")
    log_p = jax.nn.log_softmax(_with_classes(logits), axis=-1)
    labels = as_labels(labels)
    if jnp.issubdtype(jnp.result_type(labels), jnp.floating):
        if ignore_index is not None:
            raise ConfigError(
                f"ignore_index = {ignore_index} needs integer labels, got probabilities: "
                "a sample without a target has a row of zeros there"
            )
        losses = _soft_losses(log_p, jnp.asarray(labels), class_weights, label_smoothing)
        return reduce(losses, reduction)
    labels, ignored = check_labels(labels, log_p.shape[:-1], log_p.shape[-1], ignore_index)
    losses, weights = _picked(log_p, labels, ignored, class_weights)
    if label_smoothing:
        uniform = _soft_losses(log_p, jnp.full_like(log_p, 1 / log_p.shape[-1]), class_weights)
        losses = (1 - label_smoothing) * losses + label_smoothing * jnp.where(ignored, 0, uniform)
    return reduce(losses, reduction, weights)


def focal(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: ArrayLike | None = None,
    reduction: str = "none",
) -> jax.Array:
    r"""Focal loss: cross-entropy that down-weights samples that are already right.

    .. math:: \ell = -\alpha_y (1 - p_y)^\gamma \log p_y, \quad p = \mathrm{softmax}(x)

    Args:
        logits: x (..., C), classes on the last axis.
        labels: integers y in 0..C-1, shape (...).
        gamma: focusing exponent γ ≥ 0; 0 is cross-entropy.
        alpha: weight of each class (C,), 1 by default.
        reduction: "mean" divides by the number of samples, whatever α.

    Example:
        >>> print(f"{focal(jnp.array([[0.0, 0.0]]), jnp.array([1]))[0]:.4f}")
        0.1733

    References:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    log_p = jax.nn.log_softmax(_with_classes(logits), axis=-1)
    labels, ignored = check_labels(labels, log_p.shape[:-1], log_p.shape[-1])
    losses = focal_term(-_picked(log_p, labels, ignored)[0], gamma)
    if alpha is not None:
        losses *= _picked(log_p, labels, ignored, alpha)[1]
    return reduce(losses, reduction)


def focal_term(log_p: jax.Array, gamma: float) -> jax.Array:
    """−(1 − p)^γ log p from log p ≤ 0, with its limits and finite slopes at p = 0 and p = 1."""
    if gamma < 0:
        raise ConfigError(f"gamma = {gamma} must not be negative: 0 is plain cross-entropy")
    # Two where() calls keep power and expm1 away from the ends, with slopes ∞ or 0 · ∞. Below
    # log p = −80, 1 − p is exactly 1 in float32 and float64.
    inside = (log_p > -80) & (log_p < 0)
    one_minus_p = -jnp.expm1(jnp.where(inside, log_p, -1))
    at_the_ends = jnp.where(log_p < 0, 1, 0.0**gamma)
    return -jnp.where(inside, one_minus_p**gamma, at_the_ends) * log_p


def _with_classes(logits: ArrayLike) -> jax.Array:
    logits = as_float(logits, "logits")
    if logits.ndim < 1 or logits.shape[-1] < 1:
        raise ShapeError(f"logits {logits.shape} must have the classes on the last axis, (..., C)")
    return logits


def _picked(
    values: jax.Array,
    labels: jax.Array,
    ignored: jax.Array,
    class_weights: ArrayLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Returns −w[y] · values[y] and w[y], both 0 where ignored and NaN where y is invalid."""
    valid = (labels >= 0) & (labels < values.shape[-1])
    index = jnp.where(valid, labels, 0)[..., None]
    # NaN as a factor makes the gradient NaN too, so an invalid label cannot train anything.
    weight = jnp.where(valid | ignored, 1, jnp.nan)
    if class_weights is not None:
        weights = broadcast_weights("class_weights", class_weights, values, 1)
        weight *= jnp.take_along_axis(weights, index, axis=-1)[..., 0]
    loss = -weight * jnp.take_along_axis(values, index, axis=-1)[..., 0]
    return jnp.where(ignored, 0, loss), jnp.where(ignored, 0, weight)


def _soft_losses(
    log_p: jax.Array,
    targets: jax.Array,
    class_weights: ArrayLike | None,
    label_smoothing: float = 0.0,
) -> jax.Array:
    if targets.shape != log_p.shape:
        raise ShapeError(
            f"target probabilities {targets.shape} must have the logits' shape {log_p.shape}: "
            "labels that are class numbers must be integers"
        )
    targets = targets.astype(log_p.dtype)
    if label_smoothing:
        targets = (1 - label_smoothing) * targets + label_smoothing / log_p.shape[-1]
    if class_weights is not None:
        targets *= broadcast_weights("class_weights", class_weights, log_p, 1)
    return -times_log(targets, log_p).sum(-1)
