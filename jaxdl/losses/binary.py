"""Losses of binary outputs: variants of binary cross-entropy.

References:
    course document 002, sections 9.6 and 9.7.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError
from jaxdl.losses.multiclass import focal_term
from jaxdl.losses.reduction import broadcast_weights, reduce, same_shape, times_log


def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    pos_weight: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    reduction: str = "none",
) -> jax.Array:
    r"""Binary cross-entropy of logits of any size, like PyTorch's `BCEWithLogitsLoss`.

    .. math:: \ell = -w\,[\,p_w\, t \log \sigma(x) + (1 - t) \log \sigma(-x)\,]

    At ±∞ it takes its limit: 0 if the sign agrees with a target of 0 or 1, ∞ if not, with gradient
    σ(x) − t in both cases.

    Args:
        logits: log-odds x, any shape.
        targets: probabilities t in [0, 1] (or integers 0 and 1), same shape.
        pos_weight: factor p_w of the positive term, a scalar or one value per entry of the last
            axis.
        weights: factor w of each loss, a scalar or an array of the logits' shape.
        reduction: "mean" divides by the number of losses, whatever the weights.

    Example:
        >>> losses = binary_cross_entropy_with_logits(jnp.array([0.0, 100.0]), jnp.array([1, 1]))
        >>> [f"{loss:.4f}" for loss in losses]
        ['0.6931', '0.0000']
    """
    logits, targets = same_shape(logits, targets)
    # log σ(−x), not log(1 − σ(x)), which rounds to log 0 from x = 17 on.
    positive = times_log(targets, jax.nn.log_sigmoid(logits))
    negative = times_log(1 - targets, jax.nn.log_sigmoid(-logits))
    if pos_weight is not None:
        positive *= broadcast_weights("pos_weight", pos_weight, logits, min(logits.ndim, 1))
    losses = -(positive + negative)
    if weights is not None:
        losses *= broadcast_weights("weights", weights, logits, logits.ndim)
    return reduce(losses, reduction)


def binary_cross_entropy(
    probabilities: ArrayLike,
    targets: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    reduction: str = "none",
) -> jax.Array:
    r"""Binary cross-entropy of probabilities, with the two guards of PyTorch's `BCELoss`.

    .. math:: \ell = -w\,[\,t \max(\log p, -100) + (1 - t) \max(\log(1 - p), -100)\,]

    with the derivative (p − t) / max(p(1 − p), 10⁻¹²), so value and gradient stay finite at p = 0
    and p = 1. A sigmoid that has rounded to 0 or 1 loses its gradient; prefer
    :func:`binary_cross_entropy_with_logits`.

    Args:
        probabilities: p in [0, 1], any shape; elsewhere the loss is NaN.
        targets: t in [0, 1], same shape.
        weights: factor w of each loss, a scalar or an array of the same shape.

    Example:
        >>> p = jax.nn.softmax(jnp.array([[0.25, 0.4]]))
        >>> print(f"{binary_cross_entropy(p, jnp.array([[0, 1]]), reduction='mean'):.4f}")
        0.6210
    """
    probabilities, targets = same_shape(probabilities, targets)
    losses = _clamped_cross_entropy(probabilities, targets)
    if weights is not None:
        losses *= broadcast_weights("weights", weights, losses, losses.ndim)
    return reduce(losses, reduction)


@jax.custom_jvp
def _clamped_cross_entropy(p: jax.Array, t: jax.Array) -> jax.Array:
    log_p, log_not_p = _clamped_logs(p)
    return -(t * log_p + (1 - t) * log_not_p)


@_clamped_cross_entropy.defjvp
def _clamped_cross_entropy_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (p, t), (dp, dt) = primals, tangents
    log_p, log_not_p = _clamped_logs(p)
    slope = (p - t) / jnp.maximum(p * (1 - p), 1e-12)
    return _clamped_cross_entropy(p, t), slope * dp + (log_not_p - log_p) * dt


def _clamped_logs(p: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.maximum(jnp.log(p), -100), jnp.maximum(jnp.log1p(-p), -100)


def weighted_binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    positives: float,
    negatives: float,
    reduction: str = "none",
) -> jax.Array:
    r"""Binary cross-entropy that gives a rare and a frequent class equal total weight.

    With n₊ positives and n₋ negatives, n = n₊ + n₋,

    .. math:: \ell = \frac{n}{2 n_+}\, t\,(-\log \sigma(x)) +
              \frac{n}{2 n_-}\,(1 - t)\,(-\log \sigma(-x))

    At 1 : 10 a positive weighs ten times a negative. The course gets there by multiplying each
    class by the other's count; here the mean weight is 1, so the learning rate keeps its meaning.
    To weight single samples use ``weights`` of :func:`binary_cross_entropy_with_logits`.

    Args:
        logits: log-odds x, any shape.
        targets: t in [0, 1], same shape.
        positives: n₊ > 0, number (or share) of positives in the whole training set.
        negatives: n₋ > 0, likewise.

    Example:
        >>> losses = weighted_binary_cross_entropy(
        ...     jnp.zeros(2), jnp.array([1, 0]), positives=1, negatives=10
        ... )
        >>> print(f"{losses[0] / losses[1]:.4f}")
        10.0000
    """
    if positives <= 0 or negatives <= 0:
        raise ConfigError(
            f"positives = {positives} and negatives = {negatives} must both be above 0: "
            "a class that never occurs cannot be balanced"
        )
    scale = (positives + negatives) / (2 * negatives)
    return binary_cross_entropy_with_logits(
        logits, targets, pos_weight=negatives / positives, weights=scale, reduction=reduction
    )


def binary_focal(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    reduction: str = "none",
) -> jax.Array:
    r"""Focal loss of binary outputs: down-weights samples that are already right.

    .. math:: \ell = -\alpha\, t\,(1 - p)^\gamma \log p -
              (1 - \alpha)(1 - t)\, p^\gamma \log(1 - p), \quad p = \sigma(x)

    For targets strictly between 0 and 1 this is the expectation over the target; textbooks that put
    the mixed p_t into (1 − p_t)^γ differ there. α = None leaves out both α and 1 − α.

    Args:
        logits: log-odds x, any shape.
        targets: t in [0, 1], same shape.
        gamma: focusing exponent γ ≥ 0; 0 is binary cross-entropy.
        alpha: weight of positives in [0, 1]; negatives weigh 1 − α.
        reduction: "mean" divides by the number of all samples, not of positives.

    Example:
        >>> print(f"{binary_focal(jnp.array([0.0]), jnp.array([1]))[0]:.4f}")
        0.1733

    References:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise ConfigError(f"alpha = {alpha} must be in [0, 1]: it is the share of positives")
    logits, targets = same_shape(logits, targets)
    positive = times_log(targets, focal_term(jax.nn.log_sigmoid(logits), gamma))
    negative = times_log(1 - targets, focal_term(jax.nn.log_sigmoid(-logits), gamma))
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    return reduce(positive + negative, reduction)
