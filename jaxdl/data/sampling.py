"""Batches of samples as pure functions of (key, epoch, step).

Resumed runs, and runs on other numbers of devices, therefore see the same batches.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.errors import ConfigError, check_positive


def epoch_permutation(key: jax.Array, epoch: jax.typing.ArrayLike, num_examples: int) -> jax.Array:
    """The order of an epoch's samples: a permutation of 0..num_examples - 1, int32.

    ``epoch`` may be traced; ``num_examples`` is static. Use the same key for all epochs.

    Example:
        >>> first = epoch_permutation(jax.random.key(0), 1, 5)
        >>> sorted(first.tolist())
        [0, 1, 2, 3, 4]
        >>> first.tolist() == epoch_permutation(jax.random.key(0), 1, 5).tolist()
        True
    """
    check_positive(num_examples=num_examples)
    indices = jnp.arange(num_examples, dtype=jnp.int32)
    return jax.random.permutation(jax.random.fold_in(key, epoch), indices)


def weighted_sampler(
    weights: jax.typing.ArrayLike, count: int | None = None
) -> Callable[[jax.Array, jax.typing.ArrayLike], jax.Array]:
    """Draws an epoch's examples with replacement, in proportion to their weights.

    With ``weights = 1 / np.bincount(labels)[labels]`` every class is drawn equally often.

    Args:
        weights: each example's weight (N,), at least 0.
        count: examples in an epoch; None for N.

    Returns:
        ``sampler(key, epoch)``, which returns indices (count,).

    Raises:
        ConfigError: a weight is negative or not finite, or all are 0.

    Example:
        >>> sampler = weighted_sampler([0.0, 1.0, 0.0], count=2)
        >>> sampler(jax.random.key(0), 1).tolist()
        [1, 1]
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 1 or not np.isfinite(weights).all() or weights.min(initial=1) < 0:
        raise ConfigError("weights must be finite and at least 0, one per example")
    if not weights.sum() > 0:
        raise ConfigError("weights are all 0: no example could be drawn")
    shares = jnp.asarray(weights / weights.sum(), jnp.float32)
    size = len(weights) if count is None else count
    check_positive(count=size)

    def sampler(key: jax.Array, epoch: jax.typing.ArrayLike) -> jax.Array:
        key = jax.random.fold_in(key, epoch)
        return jax.random.choice(key, len(weights), (size,), p=shares).astype(jnp.int32)

    return sampler


def few_per_class_sampler(
    labels: jax.typing.ArrayLike, per_class: int, count: int
) -> Callable[[jax.Array, jax.typing.ArrayLike], jax.Array]:
    """Draws every epoch from the same few examples of each class, as if no others had a label.

    Which they are depends on the key alone, so every seed has its own few.

    Args:
        labels: integers (N,).
        per_class: examples of each class that occurs.
        count: examples in an epoch; each of the few occurs as often as any other, or once more.

    Returns:
        ``sampler(key, epoch)``, which returns indices (count,).

    Raises:
        ConfigError: a class has fewer examples, or a number is not positive.

    Example:
        >>> sampler = few_per_class_sampler(np.array([0, 0, 0, 1, 1]), per_class=1, count=6)
        >>> drawn = sampler(jax.random.key(0), 1)
        >>> np.unique(drawn, return_counts=True)[1].tolist()
        [3, 3]
    """
    check_positive(per_class=per_class, count=count)
    labels = np.asarray(labels)
    classes, sizes = np.unique(labels, return_counts=True)
    if min(sizes, default=per_class) < per_class:
        raise ConfigError(
            f"class {classes[sizes.argmin()]} has {sizes.min()} examples: there are no {per_class} "
            "to draw from"
        )
    # Sorted by class, then at random: each class's first places are the few.
    places = (np.cumsum(sizes) - sizes)[:, np.newaxis] + np.arange(per_class)[np.newaxis]

    def sampler(key: jax.Array, epoch: jax.typing.ArrayLike) -> jax.Array:
        scores = jax.random.uniform(jax.random.fold_in(key, 0), labels.shape)
        few = jnp.lexsort((scores, labels))[places.ravel()]
        key = jax.random.fold_in(key, epoch)
        rounds = jax.random.split(key, -(-count // len(few)))
        shuffled = jax.vmap(lambda key: jax.random.permutation(key, few))(rounds)
        return shuffled.ravel()[:count].astype(jnp.int32)

    return sampler


def shuffled_sampler(
    num_examples: int, count: int
) -> Callable[[jax.Array, jax.typing.ArrayLike], jax.Array]:
    """Draws an epoch of any length from shuffled passes over the examples.

    An epoch of fewer examples than there are draws without replacement; a longer one takes whole
    passes, each in an order of its own, and a part of another. So runs on parts of different sizes
    can have epochs, and then steps, of equal number.

    Args:
        num_examples: N.
        count: examples in an epoch.

    Returns:
        ``sampler(key, epoch)``, which returns indices (count,).

    Example:
        >>> drawn = shuffled_sampler(3, count=7)(jax.random.key(0), 1)
        >>> sorted(drawn[:3].tolist()), sorted(drawn[3:6].tolist()), len(drawn)
        ([0, 1, 2], [0, 1, 2], 7)
    """
    check_positive(num_examples=num_examples, count=count)
    passes = jnp.arange(-(-count // num_examples))

    def sampler(key: jax.Array, epoch: jax.typing.ArrayLike) -> jax.Array:
        key = jax.random.fold_in(key, epoch)
        orders = jax.vmap(lambda i: epoch_permutation(key, i, num_examples))(passes)
        return orders.ravel()[:count]

    return sampler


def balanced_class_weights(labels: jax.typing.ArrayLike, num_classes: int) -> np.ndarray:
    """Weights that make every class count alike: w_c = N / (C · N_c), float32 (C,).

    The weights' mean over the examples is 1. As in scikit-learn's "balanced", but C counts only
    the classes that occur; one that does not gets the weight 1.

    Example:
        >>> balanced_class_weights(np.array([0, 0, 0, 1]), 2).tolist()
        [0.666..., 2.0]
    """
    counts = np.bincount(np.asarray(labels), minlength=num_classes)
    occurring = np.count_nonzero(counts)
    return np.where(counts > 0, counts.sum() / (occurring * np.maximum(counts, 1)), 1).astype(
        np.float32
    )


def steps_per_epoch(num_examples: int, batch_size: int, drop_last: bool) -> int:
    """Number of batches in an epoch, without or with a last batch that is not full.

    Raises:
        ConfigError: an argument is not positive, or no full batch remains.

    Example:
        >>> steps_per_epoch(70_000, 100, drop_last=True), steps_per_epoch(10, 4, drop_last=False)
        (700, 3)
    """
    check_positive(num_examples=num_examples, batch_size=batch_size)
    if not drop_last:
        return -(-num_examples // batch_size)
    if batch_size > num_examples:
        raise ConfigError(
            f"batch_size is {batch_size} and there are {num_examples} samples: no full batch; "
            f"choose at most {num_examples}"
        )
    return num_examples // batch_size


def batch_indices(
    permutation: jax.Array, step_in_epoch: jax.typing.ArrayLike, batch_size: int
) -> jax.Array:
    """The samples of a full batch, indices (batch_size,).

    Args:
        permutation: the epoch's order, shape (N,).
        step_in_epoch: 0..steps_per_epoch(N, batch_size, drop_last=True) - 1, may be traced. Beyond
            that, a traced step repeats the last samples (slices are clamped); a Python integer is
            an error.
        batch_size: static.

    Raises:
        ConfigError: the batch lies outside the epoch.

    Example:
        >>> batch_indices(jnp.array([3, 1, 2, 0, 4]), 1, 2).tolist()
        [2, 0]
    """
    num_steps = steps_per_epoch(len(permutation), batch_size, drop_last=True)
    _check_step(step_in_epoch, num_steps)
    return jax.lax.dynamic_slice_in_dim(permutation, step_in_epoch * batch_size, batch_size)


def padded_batch_indices(
    permutation: jax.Array, step_in_epoch: jax.typing.ArrayLike, batch_size: int
) -> tuple[jax.Array, jax.Array]:
    """The samples of a batch, with the last batch padded to full size.

    Args:
        permutation: the epoch's order, shape (N,).
        step_in_epoch: 0..steps_per_epoch(N, batch_size, drop_last=False) - 1, may be traced. Beyond
            that, a traced step has only weights of 0; a Python integer is an error.
        batch_size: static.

    Returns:
        Indices (batch_size,) and float32 weights (batch_size,): 1 for a sample, 0 for padding
        (which repeats the epoch's last sample). A mean with these weights counts each sample once.

    Raises:
        ConfigError: the batch lies outside the epoch.

    Example:
        >>> indices, weights = padded_batch_indices(jnp.array([3, 1, 2, 0, 4]), 2, 2)
        >>> indices.tolist(), weights.tolist()
        ([4, 4], [1.0, 0.0])
    """
    num_examples = len(permutation)
    _check_step(step_in_epoch, steps_per_epoch(num_examples, batch_size, drop_last=False))
    positions = step_in_epoch * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    weights = (positions < num_examples).astype(jnp.float32)
    return permutation[jnp.minimum(positions, num_examples - 1)], weights


def padded_batches(images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Splits images into batches of one shape, so that a function of them compiles once.

    Zeros fill the last batch; cut what is computed of it. No images give one batch of zeros.

    Example:
        >>> [batch.tolist() for batch in padded_batches(np.array([1, 2, 3]), 2)]
        [[1, 2], [3, 0]]
    """
    check_positive(batch_size=batch_size)
    for first in range(0, max(len(images), 1), batch_size):
        batch = images[first : first + batch_size]
        if missing := batch_size - len(batch):
            filling = np.zeros((missing, *batch.shape[1:]), batch.dtype)
            batch = np.concatenate([batch, filling])
        yield batch


def _check_step(step_in_epoch: jax.typing.ArrayLike, num_steps: int) -> None:
    if isinstance(step_in_epoch, int) and not 0 <= step_in_epoch < num_steps:
        raise ConfigError(f"step_in_epoch is {step_in_epoch}: it must be in 0..{num_steps - 1}")
