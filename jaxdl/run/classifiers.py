"""Trains classifiers over several seeds, with evaluation, early stopping and augmentation."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as linen
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxdl.data import Split, as_images, as_split
from jaxdl.errors import ConfigError, DataError
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.fit import Fitted, fit
from jaxdl.run.log import RunLog
from jaxdl.run.task import RunOptions
from jaxdl.training.classifier import ClassifierState, Transform
from jaxdl.training.predict import predict
from jaxdl.training.reprs import short_repr
from jaxdl.training.several_seeds import one_seed


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
        takes_bytes: whether the training images were uint8.
    """

    fitted: Fitted
    seeds: tuple[int, ...]
    transform: Transform
    best_epochs: list[int | None] | None
    stopped_epochs: list[int | None] | None
    takes_bytes: bool = True

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
        if not -len(self.seeds) <= seed_index < len(self.seeds):
            raise ConfigError(f"seed_index is {seed_index}: there are {len(self.seeds)} seeds")
        if best and self.best_epochs is None:
            raise ConfigError("there are no best weights without early stopping")
        one = one_seed(self.state, seed_index % len(self.seeds))
        return one.network.replace(**one.best) if best else one.network

    def predict(self, images: ArrayLike, seed_index: int = 0, best: bool = False) -> np.ndarray:
        """Predicts classes, integers (N,), with one seed's network and the training transform."""
        images = as_images(images[0] if isinstance(images, tuple) else images)
        if (images.dtype == np.uint8) != self.takes_bytes:
            kind = "uint8, 0..255" if self.takes_bytes else "floating point"
            raise DataError(f"the images are {images.dtype}; the network was trained on {kind}")
        return predict(self.network(seed_index, best), images, self.transform)


def fit_classifier(
    model: linen.Module,
    optimizer: optax.GradientTransformation,
    train: Split,
    evaluate_on: Mapping[str, Split] | None = None,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    how: ClassifierOptions = ClassifierOptions(),  # noqa: B008
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
    train = as_split(train, "training part")
    task, schedule = classifier_task(
        *(model, optimizer, train, evaluate_on),
        epochs=epochs,
        batch_size=batch_size,
        how=how,
        options=options,
    )
    if options.identity is None:
        names = {"seeds": list(map(int, how.seeds)), "batch_size": batch_size, "model": repr(model)}
        options = dataclasses.replace(options, identity=names)
    fitted, evaluator = fit(task, schedule, options), task.evaluator
    stops = how.early_stopping is not None
    return FittedClassifier(
        fitted,
        tuple(how.seeds),
        how.transform,
        evaluator.best_epochs if stops else None,
        evaluator.stopped_epochs if stops else None,
        train.images.dtype == np.uint8,
    )
