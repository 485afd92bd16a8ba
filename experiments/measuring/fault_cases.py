"""Runs with a fault planted on purpose, and healthy ones: what a diagnosis is measured on.

Each case is a run of ``experiments.classifier`` with flags of its own, on a data set that may have
been changed. The cases of a cause are dealt out in turn to two halves: rules and thresholds are
chosen on one, the figures that are quoted come from the other.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxdl import data
from jaxdl.data.augmentation import rotate
from jaxdl.diagnosis import HEALTHY
from jaxdl.diagnosis.training_causes import USUAL_RATES

TUNING, QUOTED = "tuning", "quoted"
COMMON = {"epochs": 12, "batch_size": 50}
NETWORKS: dict[str, dict[str, Any]] = {
    "linear": {"model": "linear"},
    "mlp": {"model": "mlp", "width": 64},
    "cnn": {"model": "cnn", "width": 8, "depth": 2, "augment": "none"},
}


class Case(NamedTuple):
    """A run with a known cause.

    Attributes:
        cause: the fault, or "healthy".
        network: a name in :data:`NETWORKS`.
        dataset: "digits" (28×28) or "small" (8×8).
        change: what is done to the data, a name in :data:`CHANGES`, and how strongly; or None.
        flags: of the classifier, beside the network's.
        number: among the cases of its cause, from 0.
    """

    cause: str
    network: str
    dataset: str
    change: tuple[str, float] | None
    flags: Mapping[str, Any]
    number: int = 0

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"{self.cause.replace(' ', '_')}_{self.number:02d}_{self.network}_{self.dataset}"

    @property
    def half(self) -> str:
        """The half it belongs to; networks and data sets, which alternate, are in both."""
        return TUNING if self.number % 4 in (0, 3) else QUOTED


Parts = tuple[data.Split, data.Split]  # for training and for the test
Change = Callable[[Parts, float, np.random.Generator], Parts]


def _relabelled(parts: Parts, share: float, rng: np.random.Generator) -> Parts:
    """Other labels, drawn from all classes, for a share of the training images."""
    train, test = parts
    labels = train.labels.copy()
    wrong = rng.permutation(len(labels))[: round(share * len(labels))]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    return train._replace(labels=labels), test


def _shuffled(parts: Parts, _: float, rng: np.random.Generator) -> Parts:
    train, test = parts
    return train._replace(labels=rng.permutation(train.labels)), test


def _imbalanced(parts: Parts, ratio: float, rng: np.random.Generator) -> Parts:
    """Training classes from 0, with all of their images, to 9, with 1/ratio of them."""
    train, test = parts
    share = ratio ** (-train.labels / 9)
    kept = rng.uniform(size=len(share)) < share
    return data.Split(train.images[kept], train.labels[kept]), test


def _rare(parts: Parts, ratio: float, rng: np.random.Generator) -> Parts:
    """Half of the training classes with 1/ratio of their images."""
    train, test = parts
    kept = (train.labels < 5) | (rng.uniform(size=len(train.labels)) < 1 / ratio)
    return data.Split(train.images[kept], train.labels[kept]), test


def _leaked(parts: Parts, share: float, rng: np.random.Generator) -> Parts:
    """A share of the test images among the training images."""
    train, test = parts
    taken = rng.permutation(len(test.labels))[: round(share * len(test.labels))]
    images = np.concatenate([train.images, test.images[taken]])
    return data.Split(images, np.concatenate([train.labels, test.labels[taken]])), test


def _repeated(parts: Parts, share: float, rng: np.random.Generator) -> Parts:
    """A share of the test images twice in the test part."""
    train, test = parts
    taken = rng.permutation(len(test.labels))[: round(share * len(test.labels))]
    images = np.concatenate([test.images, test.images[taken]])
    return train, data.Split(images, np.concatenate([test.labels, test.labels[taken]]))


def _on_test(change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]) -> Change:
    def apply(parts: Parts, strength: float, rng: np.random.Generator) -> Parts:
        train, test = parts
        return train, test._replace(images=np.asarray(change(test.images, strength, rng)))

    return apply


def _noisy(images: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(images + rng.normal(0, sd, images.shape), 0, 255).astype(np.uint8)


def _moved(images: np.ndarray, pixels: float, _: np.random.Generator) -> np.ndarray:
    return np.roll(images, int(pixels), axis=2)


CHANGES: dict[str, Change] = {
    "relabelled": _relabelled,
    "shuffled": _shuffled,
    "imbalanced": _imbalanced,
    "rare": _rare,
    "leaked": _leaked,
    "repeated": _repeated,
    "few": lambda parts, count, _: (data.Split(*(a[: int(count)] for a in parts[0])), parts[1]),
    "rotated": _on_test(lambda images, degrees, _: rotate(images, np.full(len(images), degrees))),
    "inverted": _on_test(lambda images, *_: 255 - images),
    "noisy": _on_test(_noisy),
    "moved": _on_test(_moved),
}


def _cases(
    cause: str,
    networks: str,
    changes: Iterable[tuple[str, float] | None],
    flags: Iterable[Mapping[str, Any]],
    datasets: str = "digits small",
) -> list[Case]:
    """One case for each strength (change or flags), networks and data sets taken in turn."""
    places = itertools.cycle(itertools.product(networks.split(), datasets.split()))
    strengths = itertools.product(changes, flags)
    return [Case(cause, *next(places), change, more) for change, more in strengths]


NOTHING: tuple[None] = (None,)
AS_USUAL: tuple[dict[str, Any]] = ({},)
ALL = "mlp cnn linear"


def _rates(factors: Iterable[float], optimizers: str = "adam momentum sgd") -> list[dict[str, Any]]:
    return [
        {"optimizer": name, "learning_rate": factor * USUAL_RATES[name]}
        for factor in factors
        for name in optimizers.split()
    ]


def planted() -> list[Case]:
    """The cases with a fault, four or more of each cause."""
    return _numbered([*_of_the_guide(), *_of_the_data(), *_of_the_network(), *_of_the_training()])


def _of_the_guide() -> list[Case]:
    """The causes that the guide knows, but for mismatch."""
    tiny = [{"width": 1}, {"width": 2}, {"width": 3}, {"width": 2, "depth": 1}]
    return [
        *_cases("model too small", "mlp", NOTHING, tiny),
        *_cases("model too small", "cnn", NOTHING, [{"width": 1, "depth": 1}], "digits"),
        *_cases("model too small", "cnn", NOTHING, [{"width": 1, "depth": 2}], "digits"),
        *_cases(
            "optimisation",
            "mlp",
            NOTHING,
            [
                {"depth": 48, "initialization": "he"},
                {"depth": 16, "activation": "tanh", "learning_rate": 5e-3},
                {"loss": "absolute_error"},
                {"depth": 40, "initialization": "he", "width": 32},
                {"loss": "absolute_error", "width": 32, "depth": 3},
                {"loss": "absolute_error", "optimizer": "momentum"},
            ],
        ),
        *_cases(
            "overfitting",
            ALL,
            [("few", 60), ("few", 100), ("few", 150)],
            [{"epochs": 60, "batch_size": 20}, {"epochs": 120, "batch_size": 20, "seed": 2}],
        ),
    ]


def _of_the_data() -> list[Case]:
    """Labels, classes, repeated images, foreign test images."""
    return [
        *_cases(
            "mismatch",
            ALL,
            [("rotated", 40), ("inverted", 1), ("rotated", 90), ("noisy", 120), ("rotated", 180)],
            AS_USUAL,
        ),
        *_cases("mismatch", "mlp cnn", [("moved", 5)], AS_USUAL, "digits"),
        *_cases(
            "label noise", ALL, [("relabelled", s) for s in (0.1, 0.2, 0.3, 0.4, 0.5)], AS_USUAL
        ),
        *_cases("shuffled labels", ALL, [("shuffled", 1)], [{}, {"seed": 2}, {"epochs": 40}, {}]),
        *_cases(
            "imbalance",
            ALL,
            [("imbalanced", 30), ("rare", 20), ("imbalanced", 100), ("rare", 50)],
            AS_USUAL,
        ),
        *_cases(
            "leaked or duplicated test examples",
            ALL,
            [("leaked", 0.05), ("leaked", 0.3), ("repeated", 0.5), ("leaked", 1), ("repeated", 1)],
            AS_USUAL,
        ),
    ]


def _of_the_network() -> list[Case]:
    """Its inputs, its first weights, its depth."""
    return [
        *_cases(
            "unscaled inputs",
            ALL,
            NOTHING,
            [
                {"inputs": "raw"},
                {"inputs": "raw", "optimizer": "adamw"},
                {"inputs": "raw", "learning_rate": 3e-4},
                {"inputs": "raw", "seed": 3},
            ],
        ),
        *_cases(
            "dead units",
            "mlp",
            NOTHING,
            [{"initial_bias": -10}, {"initial_bias": -5}, {"initial_bias": -3, "depth": 3}],
        ),
        *_cases(
            "dead units", "cnn", NOTHING, [{"initial_bias": -5, "normalization": "none"}], "digits"
        ),
        *_cases(
            "vanishing or exploding gradients",
            "mlp",
            NOTHING,
            [
                {"depth": 10, "activation": "sigmoid"},
                {"depth": 8, "weight_scale": 20},
                {"depth": 20},
                {"depth": 10, "initialization": "he", "weight_scale": 5},
                {"depth": 6, "weight_scale": 0.05},
                {"depth": 12, "weight_scale": 8, "activation": "relu"},
            ],
        ),
    ]


def _of_the_training() -> list[Case]:
    """The step size, the loss, the time."""
    return [
        *_cases("rate too high", ALL, NOTHING, _rates((50, 300), "adam momentum sgd")),
        *_cases("rate too low", ALL, NOTHING, _rates((1 / 300, 1 / 3000), "adam momentum sgd")),
        *_cases(
            "oscillation",
            "mlp cnn",
            NOTHING,
            [
                {"optimizer": "momentum", "learning_rate": 0.12, "schedule": "constant"},
                {"optimizer": "sgd", "learning_rate": 0.7, "schedule": "constant"},
                {"optimizer": "adam", "learning_rate": 0.02, "schedule": "constant"},
                {
                    "optimizer": "momentum",
                    "learning_rate": 0.05,
                    "momentum": 0.99,
                    "schedule": "constant",
                },
            ],
        ),
        *_cases(
            "loss and output that do not belong together",
            ALL,
            NOTHING,
            [
                {"output": "softmax"},
                {"loss": "negative_log_likelihood", "output": "softmax"},
                {"loss": "focal", "output": "softmax"},
                {"loss": "binary_cross_entropy_with_logits", "output": "softmax"},
                {"loss": "negative_log_likelihood", "output": "logits"},
                {"loss": "binary_cross_entropy_with_logits", "output": "sigmoid"},
            ],
        ),
        *_cases(
            "training stopped too early",
            ALL,
            NOTHING,
            [
                {"epochs": 1, "max_steps": 10, "schedule": "constant"},
                {"epochs": 1, "max_steps": 5, "schedule": "constant", "learning_rate": 5e-4},
                {"epochs": 1, "max_steps": 15, "schedule": "constant", "learning_rate": 5e-4},
                {"epochs": 1, "max_steps": 8},
            ],
        ),
    ]


def healthy(count: int = 60, seed: int = 0) -> list[Case]:
    """Runs that nothing is wrong with: good sizes, rates, optimisers, seeds, amounts of data."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        network, dataset = ("mlp", "cnn", "linear")[i % 3], ("digits", "small")[i // 3 % 2]
        optimizer = str(rng.choice(["adam", "adamw", "momentum", "nesterov", "rmsprop"]))
        flags: dict[str, Any] = {
            "seed": i,
            "optimizer": optimizer,
            "learning_rate": USUAL_RATES[optimizer] * float(rng.choice([0.5, 1.0, 2.0])),
            "schedule": str(rng.choice(["warmup_cosine", "cosine", "constant", "step"])),
            "epochs": int(rng.choice([10, 15, 20])),
        }
        if network == "mlp":
            flags |= {
                "width": int(rng.choice([32, 64, 128, 256])),
                "depth": int(rng.integers(1, 4)),
            }
        if network == "cnn":
            flags |= {"width": int(rng.choice([8, 12, 16]))}
            flags |= {"augment": str(rng.choice(["none", "shift:1", "rotation:10"]))}
        few = int(rng.choice([1500, 2000, 3000]))
        if network == "linear":  # lower rates need more epochs; higher ones, more images
            flags |= {"learning_rate": USUAL_RATES[optimizer]}
            few = 3000
        found.append(Case(HEALTHY, network, dataset, ("few", few), flags))
    return _numbered(found)


def _numbered(cases: Iterable[Case]) -> list[Case]:
    counts: dict[str, int] = {}
    numbered = []
    for case in cases:
        number = counts[case.cause] = counts.get(case.cause, -1) + 1
        numbered.append(case._replace(number=number))
    return numbered
