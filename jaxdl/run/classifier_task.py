"""What a classifier's training is made of: its options, checks, task and schedule."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxdl.data import Split, as_split, epoch_permutation, normalize_mnist, steps_per_epoch
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError, ShapeError, check_positive
from jaxdl.run.divergence import Inspection
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import RunOptions, Task
from jaxdl.training.classifier import (
    Augmentation,
    BatchRecipe,
    ClassifierInputs,
    ClassifierState,
    Transform,
    batch_step,
    check_parts,
    takes_mask,
)
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.epoch_evaluator import EpochEvaluator
from jaxdl.training.objective import Objective
from jaxdl.training.rngs import Stream, stream
from jaxdl.training.several_seeds import root_keys, seeds_loop, stacked_states

# sampler(key, epoch) -> integers (M,): the indices of an epoch's examples, in order.
Sampler = Callable[[jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """Optional settings of :func:`fit_classifier`.

    Attributes:
        seeds: one network is trained per seed; the seed determines its initial weights, shuffling,
            augmentation and dropout.
        max_steps: an upper limit on the number of steps.
        objective: the loss and the metrics.
        transform: maps uint8 images to the network's inputs.
        augment: ``augment(key, images, positions)``, called inside the compiled step.
        class_weights: (C,), each class's weight w; the mean loss is Σ w[y]·ℓ / Σ w[y].
        sample_weights: (N,), each example's weight.
        sampler: ``sampler(key, epoch)`` returns the indices of an epoch's examples, any number and
            with repetitions; None takes each example once in random order. See
            :mod:`jaxdl.data.sampling`.
        variables: initial ``params`` and ``batch_stats`` for every seed, or a sequence with those
            of each, for fine-tuning; ``optim.train_only`` freezes parameters.
        early_stopping: the stopping rule; each seed gets its own copy. A seed that stops is not
            trained further, and its best weights are kept.
    """

    seeds: Sequence[int] = (0,)
    max_steps: int | None = None
    objective: Objective = Objective()  # noqa: RUF009 - immutable
    transform: Transform = normalize_mnist
    augment: Augmentation | None = None
    class_weights: ArrayLike | None = None
    sample_weights: ArrayLike | None = None
    sampler: Sampler | None = None
    variables: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    early_stopping: EarlyStopping | None = None


def classifier_task(
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    train: Split,
    evaluate_on: Mapping[str, Split] | None = None,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    how: ClassifierOptions = ClassifierOptions(),
    options: RunOptions = RunOptions(),  # noqa: B008
) -> tuple[Task, Schedule]:
    """Builds the task and schedule that :func:`fit_classifier` runs, from the same arguments."""
    train = as_split(train, "training part")
    parts = _parts(evaluate_on)
    check_positive(epochs=epochs, batch_size=batch_size, max_steps=how.max_steps)
    _check(how, parts)
    check_parts(model, how.transform, {"training": train, **parts})
    stopping = [how.early_stopping] * len(how.seeds) if how.early_stopping else []
    states = stacked_states(
        model,
        optimizer,
        how.transform(jnp.asarray(train.images[:1])),
        how.seeds,
        stops=bool(stopping),
        variables=how.variables,
    )
    devices = options.local_devices
    inputs = _epoch_inputs(train, how, devices)
    examples = jax.eval_shape(inputs, 1).permutation.shape[1]
    if states.network.batch_stats and examples % batch_size:
        _check_short_batch(model, examples, batch_size, options)
    recipe = BatchRecipe(batch_size, how.transform, how.augment, how.objective)
    # vmap over the seeds would give matrix products other shapes on other device counts.
    in_turns = bool(options.virtual_shards) or devices[0].platform == "cpu"
    task = Task(
        functools.partial(batch_step, recipe=recipe),
        states,
        inputs,
        EpochEvaluator(parts, how.transform, how.objective, stopping) if parts else None,
        _inspection(how.seeds, batch_size),
        functools.partial(seeds_loop, in_turns=in_turns),
    )
    steps = steps_per_epoch(examples, batch_size, drop_last=False)
    return task, Schedule(steps, epochs, how.max_steps, batch_size * len(how.seeds))


def _parts(evaluate_on: Any) -> dict[str, Split]:
    if not isinstance(evaluate_on, Mapping | None):
        raise ConfigError(
            f"evaluate_on is a {type(evaluate_on).__name__}: name the parts, "
            'for example {"test": (images, labels)}'
        )
    return {name: as_split(part, f"{name} part") for name, part in (evaluate_on or {}).items()}


def _check(how: ClassifierOptions, parts: Mapping[str, Split]) -> None:
    if np.ndim(how.seeds) != 1 or len(how.seeds) == 0:
        raise ConfigError(f"seeds are {how.seeds!r}: give a sequence of at least one")
    if "training" in parts:
        raise ConfigError("a part to evaluate on cannot be named 'training'")
    _check_variables(how)
    if not how.early_stopping:
        return
    if not parts:
        raise ConfigError("early stopping needs a part to evaluate on, for example a held-out one")
    known = [f"{part}_{name}" for part in parts for name in ("loss", *how.objective.metrics)]
    if how.early_stopping.monitor not in known:
        raise ConfigError(
            f"early stopping monitors {how.early_stopping.monitor!r}: choose {', '.join(known)}"
        )


def _check_variables(how: ClassifierOptions) -> None:
    """Refuses initial variables that are neither one mapping nor one for each seed."""
    given = how.variables
    each = given if isinstance(given, list | tuple) else [{} if given is None else given]
    if wrong := [one for one in each if not isinstance(one, Mapping)]:
        raise ConfigError(
            f"variables are a {type(wrong[0]).__name__}: give a mapping with 'params' (and "
            "'batch_stats'), for example network.variables(), or one for each seed"
        )
    if each is given and len(each) != len(how.seeds):
        raise ConfigError(
            f"variables are of {len(each)} networks and there are {len(how.seeds)} seeds: give one "
            "mapping for each seed, or one for all"
        )


def _check_short_batch(
    model: linen.Module, examples: int, batch_size: int, options: RunOptions
) -> None:
    """Refuses what BatchNorm cannot do with an epoch's short last batch."""
    problem = f"{examples} examples are not a multiple of batch_size {batch_size}, and "
    if not takes_mask(model):
        raise ConfigError(
            f"{problem}{type(model).__name__} takes no mask: the last batch's padding would enter "
            "BatchNorm's statistics; choose a size that divides, or pass a mask to nn.BatchNorm"
        )
    if options.virtual_shards:
        raise ConfigError(
            f"{problem}BatchNorm's masked statistics do not have the same bits on every number of "
            "devices: choose a size that divides, or no virtual shards"
        )


def _inspection(seeds: Sequence[int], batch_size: int) -> Inspection:
    def batch(inputs: ClassifierInputs, position: int) -> np.ndarray:
        first = position * batch_size
        return np.asarray(inputs.permutation)[:, first : first + batch_size]

    def select(
        state: ClassifierState, inputs: ClassifierInputs, i: int
    ) -> tuple[ClassifierState, ClassifierInputs]:
        own = inputs._replace(permutation=inputs.permutation[i], keys=inputs.keys[i])
        return jax.tree.map(lambda leaf: leaf[i], state), own

    return Inspection(batch, [f"seed {seed}" for seed in seeds], select)


def _epoch_inputs(
    train: Split, how: ClassifierOptions, devices: Sequence[jax.Device]
) -> Callable[[int], ClassifierInputs]:
    arrays = (train.images, train.labels, _weights(train, how))
    images, labels, weights = parallel.replicate(arrays, devices)
    keys, count = root_keys(how.seeds), len(train.labels)
    shuffles = jax.vmap(lambda key: stream(key, Stream.SHUFFLE))(keys)
    if how.sampler is None:
        sample = functools.partial(_shuffled, count)
    else:
        sample = jax.jit(jax.vmap(how.sampler, (0, None)))
        _check_sampler(sample(shuffles, 1), count)
    return lambda epoch: ClassifierInputs(images, labels, weights, sample(shuffles, epoch), keys)


@functools.partial(jax.jit, static_argnums=0)
def _shuffled(num_examples: int, keys: jax.Array, epoch: jax.Array) -> jax.Array:
    return jax.vmap(lambda key: epoch_permutation(key, epoch, num_examples))(keys)


def _check_sampler(drawn: jax.Array, count: int) -> None:
    if drawn.ndim != 2 or not jnp.issubdtype(drawn.dtype, jnp.integer) or drawn.shape[1] == 0:
        raise ConfigError(
            f"the sampler gives {drawn.dtype} of shape {drawn.shape[1:]}: need integers (M,)"
        )
    lowest, highest = int(drawn.min()), int(drawn.max())
    if lowest < 0 or highest >= count:
        raise ConfigError(
            f"the sampler draws example {lowest if lowest < 0 else highest} of {count}: it was "
            "made for another data set"
        )


def _weights(train: Split, how: ClassifierOptions) -> np.ndarray | None:
    """The examples' weights, or None if all are 1."""
    if how.sample_weights is None and how.class_weights is None:
        return None
    labels = np.asarray(train.labels)
    weights = np.ones(len(labels), np.float32)
    if how.class_weights is not None:
        by_class = np.asarray(how.class_weights, np.float32)
        if by_class.ndim != 1 or len(by_class) <= labels.max():
            raise ShapeError(
                f"class_weights have shape {by_class.shape}: need one for each of the "
                f"{labels.max() + 1} classes"
            )
        weights = weights * by_class[labels]
    if how.sample_weights is not None:
        own = np.asarray(how.sample_weights, np.float32)
        if own.shape != labels.shape:
            raise ShapeError(f"sample_weights have shape {own.shape}: need {labels.shape}")
        weights = weights * own
    if not np.isfinite(weights).all() or weights.min() <= 0:
        raise ConfigError(
            "example weights must be finite and above 0: a batch of zero weights has no mean; "
            "leave examples out with a sampler"
        )
    return weights
