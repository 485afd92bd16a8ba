"""The training step of a classifier, and its evaluation."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as linen
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.data.dataset import Split, check_split
from jaxdl.data.sampling import padded_batch_indices
from jaxdl.distributed.parallel import Shard
from jaxdl.metrics import Metric
from jaxdl.training.objective import Objective
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import Stream, stream
from jaxdl.training.state import NetworkState

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
        active: whether it is still trained, where a run may stop it.
    """

    step: jax.Array
    network: NetworkState
    best: dict | None = None
    active: jax.Array | None = None

    __repr__ = short_repr


def create_state(
    key: jax.Array,
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    example: jax.Array,
    *,
    stops: bool = False,
    variables: Mapping[str, Any] | None = None,
) -> ClassifierState:
    """Initialises a classifier.

    Args:
        key: root key of the run's random draws; the weights have a stream of their own.
        model: the network.
        optimizer: its optimiser.
        example: an input of the right shape.
        stops: whether it may be stopped early: the state then has a place for the best weights.
        variables: ``params`` and ``batch_stats`` to start from; None for the model's own.

    Returns:
        The state before the first step.

    Raises:
        ShapeError: the variables are not those of the model.

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
    if variables is not None:
        network = network.started_from(variables)
    best = {"params": network.params, "batch_stats": network.batch_stats} if stops else None
    active = jnp.bool_(True) if stops else None
    return ClassifierState(jnp.zeros((), jnp.int32), network, best, active)


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


def takes_mask(model: linen.Module) -> bool:
    """Whether the model can leave examples out of its BatchNorm statistics."""
    return "mask" in inspect.signature(type(model).__call__).parameters


def train_step(
    state: ClassifierState,
    x: jax.Array,
    labels: jax.Array,
    *,
    objective: Objective = Objective(),  # noqa: B008 - immutable
    weights: jax.Array | None = None,
    axis_name: str | None = None,
    **extra: Any,
) -> tuple[ClassifierState, dict[str, Metric]]:
    """One step on the weighted mean loss Σ wᵢ ℓᵢ / Σ wᵢ: a pure function of its arguments.

    Args:
        state: the classifier.
        x: inputs (N, …).
        labels: what the loss takes, usually integers (N,).
        objective: the loss, and what is measured beside it.
        weights: of the examples (N,), 0 for the filling of a short batch; None for all ones.
        axis_name: axis of the parallel map that spreads the batch over devices; the sums are then
            over all of them.
        **extra: further arguments of the model: ``masks`` of dropout, the ``mask`` (N,) of the
            examples that count in BatchNorm's statistics.

    Returns:
        The new state, and ``loss`` and the metrics of the batch.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from jaxdl.models import MLP
        >>> from jaxdl.training.rngs import root_key
        >>> key = root_key(0)
        >>> state = create_state(key, MLP(hidden=(8,)), optax.sgd(0.1), jnp.zeros((1, 4)))
        >>> state, metrics = train_step(state, jnp.ones((3, 4)), jnp.array([0, 1, 2]))
        >>> float(metrics["loss"].weight)
        3.0
    """
    weights = jnp.ones(x.shape[:1], jnp.float32) if weights is None else weights
    add_up = functools.partial(jax.lax.psum, axis_name=axis_name) if axis_name else lambda v: v
    total = add_up(weights.sum())

    def loss_fn(params: dict) -> tuple[jax.Array, tuple]:
        outputs, updates = state.network.model.apply(
            state.network.variables(params),
            x,
            train=True,
            axis_name=axis_name,
            mutable=["batch_stats"],
            **extra,
        )
        metrics = objective.measure(outputs, labels, weights)
        return metrics["loss"].total / total, (updates.get("batch_stats", {}), metrics)

    gradients, (stats, metrics) = jax.grad(loss_fn, has_aux=True)(state.network.params)
    network = state.network.apply_gradients(add_up(gradients), stats)
    return state.replace(step=state.step + 1, network=network), add_up(metrics)


class ClassifierInputs(NamedTuple):
    """What stays the same between the steps of an epoch; the last two have an axis of seeds.

    Attributes:
        images: the data set on the device, uint8 (N, H, W, C), shared by all seeds.
        labels: integers (N,).
        weights: of the examples (N,), None for all ones.
        permutation: this epoch's examples in order for each seed, integers (seeds, M).
        keys: each seed's root key, (seeds,).
    """

    images: jax.Array
    labels: jax.Array
    weights: jax.Array | None
    permutation: jax.Array
    keys: jax.Array


class BatchRecipe(NamedTuple):
    """How a batch becomes a step.

    Attributes:
        batch_size: examples in the global batch.
        transform: from uint8 images to the network's inputs.
        augment: what happens to the images before.
        objective: the loss and the metrics.
    """

    batch_size: int
    transform: Transform
    augment: Augmentation | None = None
    objective: Objective = Objective()


def batch_step(
    state: ClassifierState,
    inputs: ClassifierInputs,
    position: jax.Array,
    shard: Shard,
    *,
    recipe: BatchRecipe,
) -> tuple[ClassifierState, dict[str, Metric]]:
    """One :func:`train_step` of one seed on this device's share of the ``position``-th batch.

    ``inputs.permutation`` and ``inputs.keys`` are this seed's. The last batch of an epoch is
    filled up with examples of weight 0, which BatchNorm leaves out of its statistics, so that no
    example is left out.
    """
    size, model = recipe.batch_size, state.network.model
    indices, filled = map(shard.take, padded_batch_indices(inputs.permutation, position, size))
    positions = shard.take(jnp.arange(size))
    images = inputs.images[indices]
    if recipe.augment is not None:
        key = _draw(inputs.keys, Stream.AUGMENTATION, state.step)
        images = recipe.augment(key, images, positions)
    extra: dict[str, Any] = {}
    if getattr(model, "dropout_rate", 0) > 0:
        key = _draw(inputs.keys, Stream.DROPOUT, state.step)
        extra["masks"] = model.dropout_masks(key, positions)
    if len(inputs.permutation) % size and takes_mask(model):
        extra["mask"] = filled
    return train_step(
        state,
        recipe.transform(images),
        inputs.labels[indices],
        objective=recipe.objective,
        weights=filled if inputs.weights is None else filled * inputs.weights[indices],
        axis_name=shard.axis_name,
        **extra,
    )


def _draw(key: jax.Array, name: str, step: jax.Array) -> jax.Array:
    return jax.random.fold_in(stream(key, name), step)


def evaluate(
    network: NetworkState,
    part: Split,
    transform: Transform,
    *,
    objective: Objective = Objective(),  # noqa: B008 - immutable
    batch_size: int = 1000,
) -> dict[str, jax.Array]:
    """Loss and metrics over all examples, none left out.

    Args:
        network: one network (not stacked).
        part: images, uint8 (N, H, W, C), and labels (N,).
        transform: from images to the network's inputs.
        objective: the loss and the metrics.
        batch_size: examples in a pass; the last pass is filled up with examples of weight 0.

    Returns:
        The values by name.
    """
    images, labels = jnp.asarray(part.images), jnp.asarray(part.labels)
    count = labels.shape[0]
    batch_size = min(batch_size, count)
    order = jnp.arange(count)

    def measure(position: jax.Array | int) -> dict[str, Metric]:
        indices, weights = padded_batch_indices(order, position, batch_size)
        outputs = network.predict(transform(images[indices]))
        return objective.measure(outputs, labels[indices], weights)

    def add(sums: dict[str, Metric], position: jax.Array) -> tuple[dict[str, Metric], None]:
        found = measure(position)
        return {name: metric.merge(found[name]) for name, metric in sums.items()}, None

    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(measure, 0))
    sums, _ = jax.lax.scan(add, empty, jnp.arange(-(-count // batch_size)))
    return {name: metric.compute() for name, metric in sums.items()}
