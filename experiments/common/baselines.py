"""scikit-learn's linear model and support vector machine, fitted within a budget of seconds.

They tell whether a network is large enough: one that a linear model beats on the training images
is badly trained, not too small (course document 001).
"""

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxdl.data import Split
from jaxdl.errors import ConfigError, DataError

FIRST = 500  # images of the first fit, which shows how fast this machine is
SCORED = 2000  # images on which an accuracy is measured
SHARE = 0.5  # of the time that is left, what the next fit may be expected to take


class Baseline(NamedTuple):
    """A fitted baseline.

    Attributes:
        name: "linear model" or "support vector machine".
        train_accuracy: on the images it was fitted to, at most 2,000 of them.
        val_accuracy: on at most 2,000 of the validation images.
        examples: number of images it was fitted to.
        seconds: time taken by all fits and predictions.
    """

    name: str
    train_accuracy: float
    val_accuracy: float
    examples: int
    seconds: float


def linear_baseline(
    train: Split, validation: Split, *, seconds: float = 20.0, seed: int = 0
) -> Baseline:
    """Logistic regression on the pixels; arguments and errors are those of :func:`svm_baseline`."""
    from sklearn.linear_model import LogisticRegression

    def make() -> Any:
        return LogisticRegression(max_iter=200)

    return _fitted("linear model", make, 1, (train, validation), (seconds, seed))


def svm_baseline(
    train: Split, validation: Split, *, seconds: float = 20.0, seed: int = 0
) -> Baseline:
    """A support vector machine with radial basis functions, C = 10, on the pixels.

    It is fitted to 500 training images first, then to the number that should take half of the time
    that is left, so the number depends on the machine.

    Args:
        train: uint8 images (N, H, W, C) and labels (N,) of at least two classes.
        validation: likewise.
        seconds: the budget; the first fit is made in any case.
        seed: which images are drawn.

    Raises:
        ConfigError: the budget is not positive.
        DataError: a part is empty, or the training images are of one class.

    Example:
        >>> images = np.zeros((40, 2, 2, 1), np.uint8)
        >>> images[::2] = 200
        >>> part = Split(images, np.arange(40) % 2)
        >>> svm_baseline(part, part).val_accuracy
        1.0

    References:
        Cortes and Vapnik, "Support-Vector Networks", 1995.
    """
    from sklearn.svm import SVC

    def make() -> Any:
        return SVC(C=10.0)

    return _fitted("support vector machine", make, 2, (train, validation), (seconds, seed))


def _fitted(
    name: str,
    make: Callable[[], Any],
    power: int,
    parts: tuple[Split, Split],
    budget: tuple[float, int],
) -> Baseline:
    """Fits to as many images as the budget (seconds, seed) allows; time ~ images ** power."""
    (train, validation), (seconds, seed) = parts, budget
    _check(train, validation, seconds)
    begin = time.perf_counter()
    rng = np.random.default_rng(seed)
    order = _every_class_first(train.labels, rng.permutation(len(train.labels)))
    held = rng.permutation(len(validation.labels))[:SCORED]
    size, images = min(FIRST, len(order)), train.images[order[:FIRST]]
    moments = images.mean(), images.std() or 1.0
    while True:
        start = time.perf_counter()
        some = order[:size]
        model = _fit(make(), _rows(train.images[some], moments), train.labels[some])
        accuracies = [
            float(np.mean(model.predict(_rows(part.images[i], moments)) == part.labels[i]))
            for part, i in ((train, some[-SCORED:]), (validation, held))
        ]
        now = time.perf_counter()
        found = Baseline(name, *accuracies, size, now - begin)
        left = seconds - found.seconds
        larger = min(len(order), int(size * (max(left, 0) * SHARE / (now - start)) ** (1 / power)))
        if larger < min(2 * size, len(order)) or size == len(order):
            return found
        size = larger


def _check(train: Split, validation: Split, seconds: float) -> None:
    if not seconds > 0:
        raise ConfigError(f"seconds is {seconds}: it must be positive")
    if not len(train.labels) or not len(validation.labels):
        raise DataError("a baseline needs training and validation images; one part is empty")
    if len(np.unique(train.labels)) < 2:
        raise DataError(f"all training images are of class {train.labels[0]}: a model needs two")


def _every_class_first(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The same order, after one example of each class."""
    _, first = np.unique(labels[order], return_index=True)
    return np.concatenate([order[first], np.delete(order, first)])


def _rows(images: np.ndarray, moments: tuple[float, float]) -> np.ndarray:
    mean, std = moments
    return ((images.astype(np.float32) - mean) / std).reshape(len(images), -1)


def _fit(model: Any, rows: np.ndarray, labels: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():  # a linear model on separable images never ends growing
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows, labels)
