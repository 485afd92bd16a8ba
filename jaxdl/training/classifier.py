"""The training step of a classifier, and its evaluation.

Several seeds can train together: their states are stacked along a leading axis and the same step
is mapped over it. Seed i's numbers do not depend on which others are there.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as linen
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.data.dataset import Split, check_split
from jaxdl.data.sampling import padded_batch_indices
from jaxdl.distributed.parallel import Loop, Shard
from jaxdl.losses import cross_entropy
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import Stream, stream
from jaxdl.training.state import NetworkState

Metrics = dict[str, jax.Array]
# From uint8 images (N, H, W, C) to what the network takes.
Transform = Callable[[jax.Array], jax.Array]
# augment(key, images, positions): uint8 to uint8; a sample's draw depends on its position alone.
Augmentation = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class ClassifierState(flax.struct.PyTreeNode):
    """A network and the number of steps it has trained.

    Attributes:
        step: steps done, int32 scalar.
        network: the network with its optimiser's state.
        best: parameters and statistics of the best evaluation so far, where a run keeps them.
    """

    step: jax.Array
    network: NetworkState
    best: dict | None = None

    __repr__ = short_repr


def create_state(
    key: jax.Array,
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    example: jax.Array,
    keep_best: bool = False,
) -> ClassifierState:
    """Initialises a classifier.

    Args:
        key: root key of the run's random draws; the weights have a stream of their own.
        model: the network.
        optimizer: its optimiser.
        example: an input of the right shape.
        keep_best: whether the state has a place for the best weights.

    Returns:
        The state before the first step.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from jaxdl.models import MLP
        >>> from jaxdl.training.rngs import root_key
        >>> key = root_key(0)
        >>> state = create_state(key, MLP(hidden=(8,)), optax.sgd(0.1), jnp.zeros((1, 4)))
        >>> state.network.params["dense_1"]["kernel"].shape
        (4, 8)
    """
    network = NetworkState.create(stream(key, Stream.WEIGHTS), model, optimizer, example)
    best = {"params": network.params, "batch_stats": network.batch_stats} if keep_best else None
    return ClassifierState(jnp.zeros((), jnp.int32), network, best)


def check_parts(model: linen.Module, transform: Transform, parts: Mapping[str, Split]) -> None:
    """Refuses parts that the network cannot learn from or be judged on.

    Args:
        model: the network.
        transform: from images to the network's inputs.
        parts: images and labels by name.

    Raises:
        DataError: see :func:`jaxdl.data.dataset.check_split`; labels must be the number of one of
            the network's outputs.
    """

    def outputs(images: jax.Array) -> jax.Array:
        return model.init_with_output(jax.random.key(0), transform(images), train=False)[0]

    for name, part in parts.items():
        images = np.asarray(part.images)
        num_classes = 1
        if images.size:  # a network may not exist for none; that error is check_split's
            example = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
            num_classes = jax.eval_shape(outputs, example).shape[-1]
        check_split(part, num_classes, f"{name} part")


def train_step(
    state: ClassifierState,
    x: jax.Array,
    labels: jax.Array,
    *,
    weights: jax.Array | None = None,
    masks: tuple[jax.Array, ...] | None = None,
    axis_name: str | None = None,
) -> tuple[ClassifierState, Metrics]:
    """One step on the mean cross-entropy Σ wᵢ ℓᵢ / Σ wᵢ: a pure function of its arguments.

    Args:
        state: the classifier.
        x: inputs (N, …).
        labels: classes, integers (N,).
        weights: 1 for an example, 0 for the filling of a short batch, (N,); None for all ones.
        masks: dropout masks, for a model that takes them.
        axis_name: axis of the parallel map that spreads the batch over devices; the sums are then
            over all of them.

    Returns:
        The new state, and ``loss``, ``accuracy`` (a fraction) and ``weight`` = Σ wᵢ.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from jaxdl.models import MLP
        >>> from jaxdl.training.rngs import root_key
        >>> key = root_key(0)
        >>> state = create_state(key, MLP(hidden=(8,)), optax.sgd(0.1), jnp.zeros((1, 4)))
        >>> state, metrics = train_step(state, jnp.ones((3, 4)), jnp.array([0, 1, 2]))
        >>> float(metrics["weight"])
        3.0
    """
    weights = jnp.ones(labels.shape, jnp.float32) if weights is None else weights
    add_up = functools.partial(jax.lax.psum, axis_name=axis_name) if axis_name else lambda v: v
    total = add_up(weights.sum())
    extra = {} if masks is None else {"masks": masks}

    def loss_fn(params: dict) -> tuple[jax.Array, tuple]:
        logits, updates = state.network.model.apply(
            state.network.variables(params),
            x,
            train=True,
            axis_name=axis_name,
            mutable=["batch_stats"],
            **extra,
        )
        loss = (weights * cross_entropy(logits, labels)).sum() / total
        correct = (weights * (logits.argmax(-1) == labels)).sum() / total
        return loss, (updates.get("batch_stats", {}), correct)

    (loss, (stats, correct)), gradients = jax.value_and_grad(loss_fn, has_aux=True)(
        state.network.params
    )
    network = state.network.apply_gradients(add_up(gradients), stats)
    metrics = {"loss": add_up(loss), "accuracy": add_up(correct), "weight": total}
    return state.replace(step=state.step + 1, network=network), metrics


class ClassifierInputs(NamedTuple):
    """What stays the same between the steps of an epoch; the last two have an axis of seeds.

    Attributes:
        images: the data set on the device, uint8 (N, H, W, C), shared by all seeds.
        labels: integers (N,).
        permutation: this epoch's order for each seed, integers (seeds, N).
        keys: each seed's root key, (seeds,).
    """

    images: jax.Array
    labels: jax.Array
    permutation: jax.Array
    keys: jax.Array


def batch_step(
    state: ClassifierState,
    inputs: ClassifierInputs,
    position: jax.Array,
    shard: Shard,
    *,
    batch_size: int,
    transform: Transform,
    augment: Augmentation | None,
) -> tuple[ClassifierState, Metrics]:
    """One :func:`train_step` of one seed on this device's share of the ``position``-th batch.

    ``inputs.permutation`` and ``inputs.keys`` are this seed's. The last batch of an epoch is
    filled up with examples of weight 0, so that no example is left out.
    """
    indices, weights = padded_batch_indices(inputs.permutation, position, batch_size)
    indices, weights = shard.take(indices), shard.take(weights)
    positions = shard.take(jnp.arange(batch_size))
    images = inputs.images[indices]
    if augment is not None:
        images = augment(_draw(inputs.keys, Stream.AUGMENTATION, state.step), images, positions)
    masks = None
    if getattr(state.network.model, "dropout_rate", 0) > 0:
        key = _draw(inputs.keys, Stream.DROPOUT, state.step)
        masks = state.network.model.dropout_masks(key, positions)
    return train_step(
        state,
        transform(images),
        inputs.labels[indices],
        weights=weights,
        masks=masks,
        axis_name=shard.axis_name,
    )


def _draw(key: jax.Array, name: str, step: jax.Array) -> jax.Array:
    return jax.random.fold_in(stream(key, name), step)


def over_seeds(function: Callable, in_turns: bool) -> Callable:
    """Maps a function over the leading axis of its first argument's leaves, the seeds.

    On a CPU the seeds should take turns (``lax.map``): stacking their matrices makes batched
    products, which XLA's CPU backend computes more slowly than one large product after another. On
    an accelerator they should run together (``vmap``), where a single small network leaves most of
    the device idle. Both give the same numbers up to rounding.
    """
    if in_turns:
        return lambda stacked: jax.lax.map(function, stacked)
    return jax.vmap(function)


def seeds_loop(loop: Loop, in_turns: bool) -> Loop:
    """A loop of :func:`batch_step` for every seed: the state's leaves have an axis of seeds.

    The seeds are the outer loop and the steps the inner one: the other way round, taking a seed's
    state out of the stack and putting it back costs half as much again as the step itself on a
    CPU (12.9 instead of 8.5 ms for the course's MLP on two cores).
    """

    def all_seeds(
        state: ClassifierState,
        inputs: ClassifierInputs,
        first: jax.Array,
        steps: jax.Array,
        shard: Shard,
    ) -> tuple[ClassifierState, Metrics]:
        def one(stacked: tuple) -> tuple[ClassifierState, Metrics]:
            state, permutation, key = stacked
            own = inputs._replace(permutation=permutation, keys=key)
            return loop(state, own, first, steps, shard)

        stacked = (state, inputs.permutation, inputs.keys)
        state, history = over_seeds(one, in_turns)(stacked)
        return state, jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), history)

    return all_seeds


def evaluate(
    network: NetworkState,
    images: jax.Array,
    labels: jax.Array,
    transform: Transform,
    batch_size: int = 1000,
) -> Metrics:
    """Mean cross-entropy and accuracy over all examples, none left out.

    Args:
        network: one network (not stacked).
        images: uint8 (N, H, W, C).
        labels: integers (N,).
        transform: from images to the network's inputs.
        batch_size: examples in a pass; the last pass is filled up with examples of weight 0.

    Returns:
        ``loss`` and ``accuracy`` (a fraction), scalars.
    """
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    count = labels.shape[0]
    batch_size = min(batch_size, count)
    order = jnp.arange(count)

    def add(sums: tuple, position: jax.Array) -> tuple[tuple, None]:
        indices, weights = padded_batch_indices(order, position, batch_size)
        logits = network.predict(transform(images[indices]))
        loss = (weights * cross_entropy(logits, labels[indices])).sum()
        correct = (weights * (logits.argmax(-1) == labels[indices])).sum()
        return (sums[0] + loss, sums[1] + correct), None

    zeros = (jnp.zeros(()), jnp.zeros(()))
    steps = -(-count // batch_size)
    (loss, correct), _ = jax.lax.scan(add, zeros, jnp.arange(steps))
    return {"loss": loss / count, "accuracy": correct / count}
