"""Trains classifiers over several seeds, with evaluation, early stopping and augmentation."""

import copy
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

from jaxdl.data import MNIST_MEAN, MNIST_STD, Split, as_split, epoch_permutation, normalize
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError, ShapeError
from jaxdl.run.divergence import Inspection
from jaxdl.run.fit import Fitted, fit
from jaxdl.run.log import RunLog
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
from jaxdl.training.predict import predict
from jaxdl.training.reprs import short_repr
from jaxdl.training.rngs import Stream, stream
from jaxdl.training.several_seeds import root_keys, seeds_loop, stacked_states

# sampler(key, epoch) -> integers (M,): the indices of an epoch's examples, in order.
Sampler = Callable[[jax.Array, jax.Array], jax.Array]


def normalize_mnist(images: jax.Array) -> jax.Array:
    """Normalises uint8 images as in the course: (x / 255 − 0.1307) / 0.3081."""
    return normalize(images, MNIST_MEAN, MNIST_STD)


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
        variables: initial ``params`` and ``batch_stats`` for every seed, for fine-tuning;
            ``optim.train_only`` freezes parameters.
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
    variables: Mapping[str, Any] | None = None
    early_stopping: EarlyStopping | None = None


@dataclasses.dataclass(frozen=True)
class FittedClassifier:
    """Trained classifiers, one per seed.

    Attributes:
        fitted: the run. The leaves of its state have a leading axis of seeds; values in its log are
            lists with one number per seed (None for a seed that has stopped).
        transform: maps images to the networks' inputs.
        best_epochs: each seed's best epoch, None if it was never evaluated.
        stopped_epochs: each seed's last epoch if it stopped early, else None. Both fields are None
            without early stopping.
    """

    fitted: Fitted
    seeds: tuple[int, ...]
    transform: Transform
    best_epochs: list[int | None] | None
    stopped_epochs: list[int | None] | None

    __repr__ = short_repr

    @property
    def state(self) -> ClassifierState:
        """The final states, stacked over seeds, with early stopping's best weights in ``best``."""
        return self.fitted.state

    @property
    def log(self) -> RunLog:
        """All logged steps and epochs."""
        return self.fitted.log

    def final(self, name: str) -> list[float]:
        """Each seed's value of a metric after the last epoch it trained."""
        return self.at_epochs(name, [0] * len(self.seeds))

    def best(self, name: str) -> list[float]:
        """Each seed's value of a metric at its best epoch, whose weights ``state.best`` holds.

        A seed that was never evaluated, because ``max_steps`` cut its first epoch short, gives its
        last value.
        """
        if self.best_epochs is None:
            raise ConfigError("there is no best epoch without early stopping")
        return self.at_epochs(name, [epoch or 0 for epoch in self.best_epochs])

    def at_epochs(self, name: str, epochs: Sequence[int]) -> list[float]:
        """Each seed's value of a metric after its own epoch (from 1; 0 means the last)."""
        records = [record for record in self.log.records if record["kind"] == "epoch"]
        return [records[epoch - 1][name][i] for i, epoch in enumerate(epochs)]

    def network(self, seed_index: int = 0, best: bool = False) -> Any:
        """One seed's network, with its final or its best weights."""
        one = jax.tree.map(lambda leaf: leaf[seed_index], self.state)
        return one.network.replace(**one.best) if best else one.network

    def predict(self, images: ArrayLike, seed_index: int = 0, best: bool = False) -> np.ndarray:
        """Predicts classes, integers (N,), with one seed's network and the training transform."""
        return predict(self.network(seed_index, best), images, self.transform)


def fit_classifier(
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    train: Split,
    evaluate_on: Mapping[str, Split] | None = None,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    how: ClassifierOptions = ClassifierOptions(),
    options: RunOptions = RunOptions(),  # noqa: B008
) -> FittedClassifier:
    """Trains one classifier per seed.

    Args:
        model: called as ``model.apply(variables, x, train=..., axis_name=...)``. A model with
            BatchNorm must also accept ``mask`` (N,) unless the batch size divides the data.
        optimizer: the gradient transformation.
        train: uint8 images (N, H, W, C) and labels (N,), see :func:`jaxdl.data.as_split`.
        evaluate_on: parts to evaluate after each epoch; the loss on "test" is logged as
            ``test_loss``.
        epochs: passes over the training part.
        batch_size: examples per step over all devices; an epoch's last batch may be shorter.
        how: seeds, objective, augmentation, early stopping and so on.
        options: devices, folder, checkpoints, hooks and progress.

    Raises:
        ConfigError: there are no seeds, or early stopping has nothing to evaluate.
        DataError: a part is empty, has NaN pixels, or has labels beyond the network's outputs.

    Example:
        >>> import numpy as np, optax
        >>> from jaxdl.models import MLP
        >>> part = Split(np.zeros((8, 28, 28, 1), np.uint8), np.zeros(8, np.int32))
        >>> fitted = fit_classifier(
        ...     MLP(hidden=(4,)), optax.adam(0.1), part, {"test": part}, epochs=2, batch_size=3)
        >>> fitted.final("test_accuracy")
        [1.0]
    """
    task, schedule = classifier_task(
        *(model, optimizer, train, evaluate_on),
        epochs=epochs,
        batch_size=batch_size,
        how=how,
        options=options,
    )
    fitted, evaluator = fit(task, schedule, options), task.evaluator
    stops = how.early_stopping is not None
    return FittedClassifier(
        fitted,
        tuple(how.seeds),
        how.transform,
        evaluator.best_epochs if stops else None,
        evaluator.stopped_epochs if stops else None,
    )


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
    parts = {name: as_split(part, f"{name} part") for name, part in (evaluate_on or {}).items()}
    _check(how, parts)
    check_parts(model, how.transform, {"training": train, **parts})
    stopping = [copy.deepcopy(how.early_stopping) for _ in how.seeds] if how.early_stopping else []
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
    if states.network.batch_stats and examples % batch_size and not takes_mask(model):
        raise ConfigError(
            f"{examples} examples are not a multiple of batch_size {batch_size}, and "
            f"{type(model).__name__} takes no mask: the last batch's padding would enter "
            "BatchNorm's statistics; choose a size that divides, or pass a mask to nn.BatchNorm"
        )
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
    steps = -(-examples // batch_size)
    return task, Schedule(steps, epochs, how.max_steps, batch_size * len(how.seeds))


def _check(how: ClassifierOptions, parts: Mapping[str, Split]) -> None:
    if not how.seeds:
        raise ConfigError("no seeds: give at least one")
    if how.early_stopping and not parts:
        raise ConfigError("early stopping needs a part to evaluate on, for example a held-out one")
    if "training" in parts:
        raise ConfigError("a part to evaluate on cannot be named 'training'")


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
    sampler = how.sampler or functools.partial(epoch_permutation, num_examples=count)
    sample = jax.jit(jax.vmap(sampler, (0, None)))
    return lambda epoch: ClassifierInputs(images, labels, weights, sample(shuffles, epoch), keys)


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
