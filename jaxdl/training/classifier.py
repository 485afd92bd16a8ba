"""A classifier's training step and evaluation."""

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
from jaxdl.errors import ConfigError, DataError
from jaxdl.metrics import Metric
from jaxdl.training.objective import Objective
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import Stream, stream
from jaxdl.training.state import NetworkState

# Maps uint8 images (N, H, W, C) to the network's inputs.
Transform = Callable[[jax.Array], jax.Array]
# augment(key, images, positions): uint8 to uint8; a sample's draw depends only on its position.
Augmentation = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class ClassifierState(flax.struct.PyTreeNode):
    """A network in training.

    Attributes:
        step: steps done, int32 scalar.
        network: the network and its optimiser's state.
        best: parameters and statistics of the best evaluation so far; None without early stopping.
        active: False once early stopping has stopped it; None without early stopping.
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
        key: the run's root key; the weights use their own stream.
        model: the network.
        optimizer: the gradient transformation.
        example: an input of the right shape.
        stops: whether to make room for early stopping's best weights.
        variables: initial ``params`` and ``batch_stats``; None for the model's own.

    Raises:
        ShapeError: the variables do not fit the model.

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
    """Checks that the network can train on the named parts or be evaluated on them.

    Raises:
        DataError: see :func:`jaxdl.data.dataset.check_split`; each label must be the index of one
            of the network's outputs.
    """
    first = next(iter(parts))
    for name, part in parts.items():
        images, wanted = np.asarray(part.images), np.shape(parts[first].images)[1:]
        if images.size and images.shape[1:] != wanted:
            raise DataError(
                f"images of the {name} part are {images.shape[1:]}, those of the {first} part "
                f"{wanted}: a network takes one size"
            )
        num_classes = 1
        if images.size:  # an empty part may have no valid shape; check_split reports it
            num_classes = _num_classes(model, transform, images)
        check_split(part, num_classes, f"{name} part")


def _num_classes(model: linen.Module, transform: Transform, images: np.ndarray) -> int:
    """The number of classes that the network's outputs tell apart; one output tells two."""

    def outputs(images: jax.Array) -> jax.Array:
        return model.init_with_output(jax.random.key(0), transform(images), train=False)[0]

    if not {"train", "axis_name"} <= set(inspect.signature(type(model).__call__).parameters):
        raise ConfigError(
            f"{type(model).__name__} is called with x alone: its __call__ must accept the keyword "
            "arguments train and axis_name"
        )
    example = jax.ShapeDtypeStruct((1, *images.shape[1:]), images.dtype)
    shape = jax.eval_shape(outputs, example).shape
    return max(shape[-1], 2) if len(shape) > 1 else 2


def takes_mask(model: linen.Module) -> bool:
    """Whether the model can exclude examples from its BatchNorm statistics."""
    return _takes(model, "mask")


def _takes(model: linen.Module, argument: str) -> bool:
    return argument in inspect.signature(type(model).__call__).parameters


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
    """One step on the weighted mean loss Σ wᵢ ℓᵢ / Σ wᵢ; a pure function.

    Args:
        state: the classifier.
        x: inputs (N, …).
        labels: the loss's second argument, usually integers (N,).
        objective: the loss and the metrics.
        weights: each example's weight (N,), 0 for padding; None means all 1.
        axis_name: axis of a parallel map over devices; all sums then span the whole batch.
        **extra: further arguments of the model: dropout's ``masks``, or the ``mask`` (N,) of the
            examples that count in BatchNorm's statistics, or the ``step`` of a model that changes
            in the course of training.

    Returns:
        The new state, and the batch's ``loss`` and metrics.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> from jaxdl.models import MLP
        >>> from jaxdl.training.rngs import root_key
        >>> key = root_key(0)
        >>> state = create_state(key, MLP(hidden=(8,)), optax.sgd(0.1), jnp.zeros((1, 4)))
        >>> state, metrics = jax.jit(train_step)(state, jnp.ones((3, 4)), jnp.array([0, 1, 2]))
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
    metrics = add_up(metrics)
    network = state.network.apply_gradients(add_up(gradients), stats, metrics["loss"].compute())
    return state.replace(step=state.step + 1, network=network), metrics


class ClassifierInputs(NamedTuple):
    """The inputs of an epoch's steps; the last two fields have an axis of seeds.

    Attributes:
        images: the data set on the device, uint8 (N, H, W, C), shared by all seeds.
        labels: integers (N,).
        weights: each example's weight (N,); None means all 1.
        permutation: each seed's order of examples, integers (seeds, M).
        keys: each seed's root key, (seeds,).
    """

    images: jax.Array
    labels: jax.Array
    weights: jax.Array | None
    permutation: jax.Array
    keys: jax.Array


class BatchRecipe(NamedTuple):
    """How a batch is prepared and trained on; ``augment`` runs before ``transform``."""

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
    """Runs one seed's :func:`train_step` on this device's shard of the ``position``-th batch.

    ``inputs.permutation`` and ``inputs.keys`` belong to this seed. An epoch's last batch is padded
    with examples of weight 0, which BatchNorm's statistics exclude, so every example is used.
    """
    size, model = recipe.batch_size, state.network.model
    indices, filled = map(shard.take, padded_batch_indices(inputs.permutation, position, size))
    positions = shard.take(jnp.arange(size))
    images = inputs.images[indices]
    if recipe.augment is not None:
        key = _draw(inputs.keys, Stream.AUGMENTATION, state.step)
        images = recipe.augment(key, images, positions)
    extra: dict[str, Any] = {}
    if getattr(model, "dropout_rate", 0) > 0 and hasattr(model, "dropout_masks"):
        key = _draw(inputs.keys, Stream.DROPOUT, state.step)
        extra["masks"] = model.dropout_masks(key, positions)
    if len(inputs.permutation) % size and takes_mask(model):
        extra["mask"] = filled
    if _takes(model, "step"):
        extra["step"] = state.step
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
    """Loss and metrics over all examples of a part.

    Args:
        network: a single network (not stacked over seeds).
        part: images, uint8 (N, H, W, C), and labels (N,).
        transform: maps images to the network's inputs.
        objective: the loss and the metrics.
        batch_size: examples per forward pass; the last pass is padded with examples of weight 0.
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
