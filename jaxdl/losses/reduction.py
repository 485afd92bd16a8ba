"""What the losses share: reduction, shape and label checks, the convention 0 · log 0 = 0."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxdl.errors import ConfigError, DataError, ShapeError, brief


def reduce(losses: jax.Array, reduction: str, weights: jax.Array | None = None) -> jax.Array:
    """Reduces elementwise losses; the mean of nothing is NaN.

    Args:
        losses: any shape, already multiplied by their weights if there are any.
        reduction: "none", "mean" or "sum".
        weights: the mean divides by their sum; None divides by the number of losses.

    Example:
        >>> print(reduce(jnp.array([1.0, 3.0]), "mean"))
        2.0
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / (losses.size if weights is None else weights.sum())
    raise ConfigError(f"reduction {reduction!r} is unknown: use 'none', 'mean' or 'sum'")


def top_k(losses: ArrayLike, k: int, *, reduction: str = "mean") -> jax.Array:
    """Mean of the k largest losses: only the hardest samples train the network.

    The gradient is 1/k for the k largest losses and 0 for the others.

    Args:
        losses: per-sample losses (N,).
        k: 1 to N; a Python int, since it fixes a shape.
        reduction: "mean"; or "none" for a term of each sample, (N,), whose mean over all N is the
            same: N/k · ℓ for the k largest, 0 for the others.

    Example:
        >>> losses = jnp.array([0.1, 3.0, 0.2, 1.0])
        >>> print(top_k(losses, k=2), top_k(losses, k=2, reduction="none"))
        2.0 [0. 6. 0. 2.]

    References:
        course document 002, section 9.8.
    """
    losses = as_float(losses, "losses")
    if losses.ndim != 1:
        raise ShapeError(f"top_k takes per-sample losses (N,), got {losses.shape}: reduce first")
    if not 1 <= k <= losses.size:
        raise ConfigError(f"top_k with k = {k} of {losses.size} losses: k must be 1 to that number")
    largest, places = lax.top_k(losses, k)
    if reduction == "mean":
        return largest.mean()
    if reduction == "none":
        return jnp.zeros_like(losses).at[places].set(largest * (losses.size / k))
    raise ConfigError(f"reduction {reduction!r} is unknown: top_k knows 'mean' and 'none'")


def as_array(values: ArrayLike | Sequence, name: str) -> jax.Array:
    """Converts an array, a number or nested lists to an array; ``name`` is for the error.

    Raises:
        ShapeError: they are ragged, or not numbers.

    Example:
        >>> print(as_array([[1, 2], [3, 4]], "labels").shape)
        (2, 2)
    """
    try:
        return jnp.asarray(values)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} cannot become an array of numbers: {brief(error)}") from error


def as_labels(labels: ArrayLike | Sequence) -> ArrayLike:
    """Converts nested lists to arrays, in NumPy if possible: JAX hides values under jit."""
    if not isinstance(labels, list | tuple):
        return labels
    array = as_array(labels, "labels")
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(labels))
    return array if traced else np.asarray(labels)


def as_float(values: ArrayLike | Sequence, name: str = "values") -> jax.Array:
    """Returns floating ``values`` unchanged, others in the default floating type."""
    values = as_array(values, name)
    if jnp.issubdtype(values.dtype, jnp.floating):
        return values
    return values.astype(jnp.result_type(float))


def same_shape(predictions: ArrayLike, targets: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Returns both as arrays of the predictions' floating type; ShapeError if shapes differ."""
    predictions, targets = as_float(predictions, "predictions"), as_array(targets, "targets")
    if predictions.shape != targets.shape:
        raise ShapeError(
            f"predictions {predictions.shape} and targets {targets.shape} must have the same "
            "shape: reshape one of them; (B, 1) and (B,) differ"
        )
    return predictions, targets.astype(predictions.dtype)


def broadcast_weights(name: str, weights: ArrayLike, like: jax.Array, last_axis: int) -> jax.Array:
    """Broadcasts weights, a scalar or the ``last_axis`` trailing axes of ``like``, to its shape.

    ``name`` is what an error calls them.
    """
    weights = jnp.asarray(weights, like.dtype)
    trailing = like.shape[like.ndim - last_axis :]
    if weights.shape not in ((), trailing):
        raise ShapeError(f"{name} {weights.shape} must be a scalar or {trailing} for {like.shape}")
    return jnp.broadcast_to(weights, like.shape)


def check_labels(
    labels: ArrayLike, shape: tuple[int, ...], num_classes: int, ignore_index: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Checks integer labels before any arithmetic, as far as they can be seen.

    A traced array (under jit or vmap) has no values yet. There the caller must turn labels out of
    range into NaN; plain indexing would silently train towards some class.

    Args:
        labels: integers.
        shape: the shape they must have.
        num_classes: C; valid labels are 0..C-1.
        ignore_index: one more allowed value.

    Returns:
        The labels in at least 32 bits (uint8 cannot even be compared with −100), and a boolean mask
        of those equal to ``ignore_index``.

    Raises:
        ShapeError: the labels are not integers or have another shape.
        DataError: a concrete label is neither in 0..C-1 nor ``ignore_index``.
    """
    labels = as_labels(labels)
    dtype = jnp.result_type(labels)
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ShapeError(f"labels must be integers, got {dtype}: use astype('int32')")
    if jnp.shape(labels) != shape:
        raise ShapeError(f"labels {jnp.shape(labels)} must have shape {shape}, one per sample")
    if not isinstance(labels, jax.core.Tracer):
        # NumPy, because jnp would trace these comparisons under jit.
        values = np.asarray(labels)
        wrong = ((values < 0) | (values >= num_classes)) & (values != ignore_index)
        if wrong.any():
            raise DataError(
                f"label {values[wrong][0]} is outside 0..{num_classes - 1}: check the data, or "
                "name the label to leave out with ignore_index"
            )
    labels = jnp.asarray(labels, jnp.promote_types(dtype, jnp.int32))
    ignored = jnp.zeros(shape, bool) if ignore_index is None else labels == ignore_index
    return labels, ignored


def times_log(weight: jax.Array, log_value: jax.Array) -> jax.Array:
    """Returns weight · log_value with 0 · (±∞) = 0, and gradient 0 for that term."""
    # Masking the infinite factor, not the product, keeps d/d weight = log_value elsewhere.
    return weight * jnp.where((weight == 0) & jnp.isinf(log_value), 0, log_value)


def absolute(values: jax.Array) -> jax.Array:
    """Absolute values with slope 0 at 0, as in PyTorch; ``jnp.abs`` has slope 1 there."""
    return values * lax.stop_gradient(jnp.sign(values))
