"""Training classifiers over several seeds, with evaluation, early stopping and augmentation."""

import copy
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.data import MNIST_MEAN, MNIST_STD, Split, epoch_permutation, normalize
from jaxdl.distributed import parallel
from jaxdl.errors import ConfigError
from jaxdl.run.divergence import Inspection
from jaxdl.run.fit import fit
from jaxdl.run.log import RunLog
from jaxdl.run.loop import Point, Reporter, Schedule
from jaxdl.training.classifier import (
    Augmentation,
    ClassifierInputs,
    ClassifierState,
    Transform,
    batch_step,
    check_parts,
    create_state,
    evaluate,
    over_seeds,
    seeds_loop,
)
from jaxdl.training.early_stopping import EarlyStopping
from jaxdl.training.rngs import Stream, root_key, stream


def normalize_mnist(images: jax.Array) -> jax.Array:
    """uint8 images to (x / 255 − 0.1307) / 0.3081, the course's normalisation."""
    return normalize(images, MNIST_MEAN, MNIST_STD)


class FittedClassifier(NamedTuple):
    """Trained classifiers, one a seed.

    Attributes:
        state: the final state; its leaves have a leading axis of seeds. With early stopping its
            ``best`` holds each seed's best weights.
        log: every logged step and epoch; values are lists with one number a seed.
        seeds: the seeds.
        best_epochs: for each seed the epoch of its best evaluation (None if none was), and
        stopped_epochs: the epoch after which it was stopped, None if it never was; None for both
            without early stopping.
        training_seconds: time in steps.
        compile_seconds: time spent compiling them.
        resumed_from: the step this call continued from, None for a fresh start.
        exit_status: None if the schedule is done, see ``fit.Fitted``.
    """

    state: ClassifierState
    log: RunLog
    seeds: tuple[int, ...]
    best_epochs: list[int | None] | None
    stopped_epochs: list[int | None] | None
    training_seconds: float
    compile_seconds: float
    resumed_from: int | None
    exit_status: int | None = None

    def final(self, name: str) -> list[float]:
        """A metric's value for each seed after its last epoch, where it was stopped if it was."""
        stops = self.stopped_epochs or [None] * len(self.seeds)
        return self.at_epochs(name, [stop or 0 for stop in stops])

    def best(self, name: str) -> list[float]:
        """A metric's value for each seed at its best epoch, whose weights ``state.best`` holds.

        A seed whose epochs were never judged, because ``max_steps`` cut the first one short, gives
        its last value.
        """
        if self.best_epochs is None:
            raise ConfigError("there is no best epoch without early stopping")
        return self.at_epochs(name, [epoch or 0 for epoch in self.best_epochs])

    def at_epochs(self, name: str, epochs: Sequence[int]) -> list[float]:
        """A metric's value for each seed after an epoch of its own, from 1; 0 is the last one."""
        records = [record for record in self.log.records if record["kind"] == "epoch"]
        return [records[epoch - 1][name][i] for i, epoch in enumerate(epochs)]

    def network(self, seed_index: int, best: bool = False) -> Any:
        """One seed's network, with its final or its best weights."""
        one = jax.tree.map(lambda leaf: leaf[seed_index], self.state)
        return one.network.replace(**one.best) if best else one.network


class EpochJudge:
    """Evaluates every seed at each epoch's end, keeps the best weights, and stops when all have.

    Args:
        parts: what to evaluate on, by name ("val", "test"): images and labels.
        transform: from images to the network's inputs.
        stopping: one :class:`EarlyStopping` a seed, or none.
    """

    def __init__(
        self, parts: Mapping[str, Split], transform: Transform, stopping: list[EarlyStopping]
    ) -> None:
        self.parts = {
            name: (jnp.asarray(p.images), jnp.asarray(p.labels)) for name, p in parts.items()
        }
        self.stopping = stopping
        self.best_epochs: list[int | None] = [None] * len(stopping)
        self.stopped_epochs: list[int | None] = [None] * len(stopping)

        def measure(state: ClassifierState, images: jax.Array, labels: jax.Array) -> Any:
            one = functools.partial(evaluate, images=images, labels=labels, transform=transform)
            return over_seeds(one, jax.default_backend() == "cpu")(state.network)

        self._measure = jax.jit(measure)

    def __call__(
        self, point: Point, state: ClassifierState
    ) -> tuple[ClassifierState, dict, str | None]:
        """Evaluates; see ``loop.Judge``."""
        on_one_device = parallel.unreplicate(state)
        record: dict[str, list[float]] = {}
        for name, (images, labels) in self.parts.items():
            for metric, values in self._measure(on_one_device, images, labels).items():
                record[f"{name}_{metric}"] = np.asarray(values).tolist()
        if point.step_in_epoch < point.schedule.steps_per_epoch:
            return state, record, None  # Cut short by max_steps: this epoch will be judged whole.
        return self._judge(point.epoch, state, record)

    def _judge(
        self, epoch: int, state: ClassifierState, record: dict
    ) -> tuple[ClassifierState, dict, str | None]:
        improved = np.zeros(len(self.stopping), bool)
        for i, stopping in enumerate(self.stopping):
            if self.stopped_epochs[i] is not None:
                continue
            over = stopping({name: values[i] for name, values in record.items()})
            improved[i] = stopping.improved
            self.best_epochs[i] = epoch if stopping.improved else self.best_epochs[i]
            self.stopped_epochs[i] = epoch if over else None
        if improved.any():
            state = _keep_best(state, improved)
        done = bool(self.stopping) and all(stop is not None for stop in self.stopped_epochs)
        return state, record, "; ".join(str(s.reason) for s in self.stopping) if done else None

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return {
            # Copies: checkpoints are written in the background.
            "stopping": [stopping.state_dict() for stopping in self.stopping],
            "best_epochs": list(self.best_epochs),
            "stopped_epochs": list(self.stopped_epochs),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes that over."""
        for stopping, remembered in zip(self.stopping, state_dict["stopping"], strict=True):
            stopping.load_state_dict(remembered)
        self.best_epochs = list(state_dict["best_epochs"])
        self.stopped_epochs = list(state_dict["stopped_epochs"])


@jax.jit
def _keep_best(state: ClassifierState, improved: jax.Array) -> ClassifierState:
    """The state with the present weights as the best of the seeds that improved."""

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(improved.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

    now = {"params": state.network.params, "batch_stats": state.network.batch_stats}
    return state.replace(best=jax.tree.map(choose, now, state.best))


def fit_classifier(
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    train: Split,
    *,
    epochs: int,
    seeds: Sequence[int] = (0,),
    batch_size: int = 64,
    max_steps: int | None = None,
    validation: Split | None = None,
    test: Split | None = None,
    early_stopping: EarlyStopping | None = None,
    transform: Transform = normalize_mnist,
    augment: Augmentation | None = None,
    devices: Sequence[jax.Device] | None = None,
    folder: str | os.PathLike | None = None,
    name: str | None = None,
    reporter: Reporter | None = None,
    log_every: int = 1,
    save_every_steps: int | None = None,
    save_every_seconds: float | None = None,
    identity: Mapping[str, Any] | None = None,
    debug_step: int | None = None,
    virtual_shards: int | None = None,
) -> FittedClassifier:
    """Trains a classifier from several seeds, each on all of the training part every epoch.

    Args:
        model: the network; called as ``model.apply(variables, x, train=..., axis_name=...)``.
        optimizer: its optimiser.
        train: training images, uint8 (N, H, W, C), and labels (N,).
        epochs: passes over the training part.
        seeds: roots of the runs' random draws (weights, order, augmentation, dropout).
        batch_size: examples a step, over all devices; the last batch of an epoch may be shorter.
        max_steps: stop after so many steps, if that is earlier.
        validation: evaluated each epoch as ``val_loss`` and ``val_accuracy``.
        test: evaluated each epoch as ``test_loss`` and ``test_accuracy``.
        early_stopping: when to stop a seed, by one of those; a copy serves each seed, and the best
            weights are kept.
        transform: from uint8 images to the network's inputs.
        augment: ``augment(key, images, positions)``, inside the compiled step.
        devices: this process's devices; None for the first one.
        folder: where the log and the checkpoints go; an earlier run there is continued.
        name: tells this run from others in the folder.
        reporter: shows progress.
        log_every: steps between logged steps.
        save_every_steps: save at multiples of this, beside each epoch's end.
        save_every_seconds: also save when so much time has passed since the last one.
        identity: what a checkpoint must have been saved with, see ``fit``.
        debug_step: train nothing; repeat the steps up to this one, see ``fit``.
        virtual_shards: for the same bits on any number of devices, see ``fit``.

    Returns:
        The trained classifiers.

    Raises:
        ConfigError: no seeds, or early stopping without anything to evaluate.
        DataError: a part is empty, has NaN pixels, or labels that the network has no output for.

    Example:
        >>> import numpy as np, optax
        >>> from jaxdl.models import MLP
        >>> part = Split(np.zeros((8, 28, 28, 1), np.uint8), np.zeros(8, np.int32))
        >>> fitted = fit_classifier(
        ...     MLP(hidden=(4,)), optax.adam(0.1), part, epochs=2, batch_size=3, test=part)
        >>> fitted.final("test_accuracy")
        [1.0]
    """
    if not seeds:
        raise ConfigError("no seeds: give at least one")
    if early_stopping and validation is None and test is None:
        raise ConfigError("early stopping needs a validation part (or the test part) to watch")
    devices = list(devices or jax.local_devices()[:1])
    parts = {n: part for n, part in (("val", validation), ("test", test)) if part is not None}
    stopping = [copy.deepcopy(early_stopping) for _ in seeds] if early_stopping else []
    judge = EpochJudge(parts, transform, stopping) if parts else None
    check_parts(model, transform, {"training": train, **parts})
    example = transform(jnp.asarray(train.images[:1]))
    states = stacked_states(model, optimizer, example, seeds, bool(stopping))
    if states.network.batch_stats and len(train.labels) % batch_size:
        raise ConfigError(
            f"{len(train.labels)} images are not a multiple of the batch size {batch_size}: filling"
            " up the last batch would disturb BatchNorm's statistics; choose a size that divides"
        )
    fitted = fit(
        functools.partial(
            batch_step,
            batch_size=batch_size,
            transform=transform,
            augment=augment,
        ),
        states,
        _epoch_inputs(train, seeds, devices),
        Schedule(-(-len(train.labels) // batch_size), epochs, max_steps, batch_size * len(seeds)),
        devices=devices,
        folder=folder,
        name=name,
        reporter=reporter,
        log_every=log_every,
        judge=judge,
        save_every_steps=save_every_steps,
        save_every_seconds=save_every_seconds,
        identity=identity,
        debug_step=debug_step,
        virtual_shards=virtual_shards,
        inspection=_inspection(seeds, batch_size),
        # Mapped together, the seeds' products would have other shapes on other devices.
        wrap=functools.partial(
            seeds_loop, in_turns=bool(virtual_shards) or devices[0].platform == "cpu"
        ),
    )
    return FittedClassifier(
        fitted.state,
        fitted.log,
        tuple(seeds),
        judge.best_epochs if judge and stopping else None,
        judge.stopped_epochs if judge and stopping else None,
        fitted.progress.seconds,
        fitted.compile_seconds,
        fitted.resumed_from,
        fitted.exit_status,
    )


def _inspection(seeds: Sequence[int], batch_size: int) -> Inspection:
    """What a report of a divergence has to know: each seed's batch, and each seed alone."""

    def batch(inputs: ClassifierInputs, position: int) -> np.ndarray:
        first = position * batch_size
        return np.asarray(inputs.permutation)[:, first : first + batch_size]

    def select(
        state: ClassifierState, inputs: ClassifierInputs, i: int
    ) -> tuple[ClassifierState, ClassifierInputs]:
        own = inputs._replace(permutation=inputs.permutation[i], keys=inputs.keys[i])
        return jax.tree.map(lambda leaf: leaf[i], state), own

    return Inspection(batch, [f"seed {seed}" for seed in seeds], select)


def stacked_states(
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    example: jax.Array,
    seeds: Sequence[int],
    keep_best: bool = False,
) -> ClassifierState:
    """Each seed's initial state, stacked along a leading axis."""

    def create(key: jax.Array) -> ClassifierState:
        return create_state(key, model, optimizer, example, keep_best)

    return jax.jit(jax.vmap(create))(_root_keys(seeds))


def _root_keys(seeds: Sequence[int]) -> jax.Array:
    return jnp.stack([root_key(seed) for seed in seeds])


def _epoch_inputs(
    train: Split, seeds: Sequence[int], devices: Sequence[jax.Device]
) -> Callable[[int], ClassifierInputs]:
    """The data on the devices, and each epoch's order for every seed."""
    images, labels = parallel.replicate((train.images, train.labels), devices)
    keys = _root_keys(seeds)
    shuffles = jax.vmap(lambda key: stream(key, Stream.SHUFFLE))(keys)
    count = len(train.labels)
    permute = jax.jit(jax.vmap(lambda key, epoch: epoch_permutation(key, epoch, count), (0, None)))
    return lambda epoch: ClassifierInputs(images, labels, permute(shuffles, epoch), keys)
