"""A two-layer network from scratch: the cost of a ReLU on the outputs, and the repair.

What:     784 pixels, a hidden layer, ten outputs, ReLU on both, elementwise cross-entropy with
          clipping, and gradient descent on the whole batch; beside it the same network from the
          same start with a softmax instead of the last ReLU. Several starts.
Source:   course document 004, levels 10 and 12 (for its raw IDX files, pass the parent of their
          folder as --data_dir; otherwise the embedded digits are used).
Command:  python -m experiments.lessons.two_layer_network     under a minute on two cores
Expected: before training, an output is silent (0) for about half of the images, and in most starts
          at least one output is dead: silent for all of them, so that it gets no gradient. Some
          revive as the hidden layer changes; the others lose their digits. The course's network
          ends at 50% to 80%, the repaired one near 89%. Its weights are saved at the end.

The course's loss also needs a small step. Outputs start near 0, where -log p is steep. A step of
0.01 throws many of them beyond 1, where the clipped loss is flat, and they never come back.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, losses, plot
from jaxdl.exercises import TwoLayerNet, two_layer
from jaxdl.exercises.two_layer import Params
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"
WEIGHTS = "network.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoLayerNetworkConfig(DataConfig):
    """Data, size and steps; the flags' help gives units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"examples": 400, "hidden": 20, "iterations": 60, "starts": 2}
    }

    examples: int = option(2000, "training images, from the first; 60000 uses all", low=10)
    hidden: int = option(100, "neurons of the hidden layer", low=1, high=2000)
    starts: int = option(4, "number of starts, one per seed", low=1, high=20)
    iterations: int = option(150, "steps, each on the whole batch", low=1)
    learning_rate: float = option(0.003, "step size with the course's loss", above=0)
    softmax_learning_rate: float = option(0.3, "step size of the repaired network", above=0)


class Arrays(NamedTuple):
    """Flattened pixels in [0, 1] and labels of both parts."""

    images: jax.Array
    labels: jax.Array
    test_images: jax.Array
    test_labels: jax.Array


def prepare(digits: data.Dataset, examples: int) -> Arrays:
    """The first training images and all test images."""

    def flat(images: np.ndarray) -> jax.Array:
        return data.to_unit_range(images).reshape(len(images), -1)

    train, test = digits.train, digits.test
    return Arrays(
        *(flat(train.images[:examples]), jnp.asarray(train.labels[:examples])),
        *(flat(test.images), jnp.asarray(test.labels)),
    )


def description(split: data.Split, arrays: Arrays) -> list[tuple[str, ...]]:
    """Shape, type and range of images and labels as they are read and as the network takes them."""
    one_hot = jax.nn.one_hot(arrays.labels, 10)
    rows = {
        "images, as read": split.images,
        "labels, as read": split.labels,
        "images, prepared": arrays.images,
        "labels, one-hot": one_hot,
    }
    return [
        (name, str(a.shape), str(a.dtype), f"{a.min():g} to {a.max():g}")
        for name, a in rows.items()
    ]


def logits(params: Params, images: jax.Array) -> jax.Array:
    """The network before its last ReLU, which is all the model needs for its repair."""
    first, second = params["dense_1"], params["dense_2"]
    hidden = jax.nn.relu(images @ first["kernel"] + first["bias"][None])
    return hidden @ second["kernel"] + second["bias"][None]


def descend_softmax(
    params: Params, images: jax.Array, targets: jax.Array, learning_rate: float
) -> tuple[Params, jax.Array]:
    """One whole-batch step with softmax cross-entropy; also returns the loss before it."""

    def loss(params: Params) -> jax.Array:
        return losses.cross_entropy(logits(params, images), targets, reduction="mean")

    value, gradients = jax.value_and_grad(loss)(params)
    return jax.tree.map(lambda p, g: p - learning_rate * g, params, gradients), value


@functools.partial(jax.jit, static_argnames=("config", "repaired"))
def train(
    config: TwoLayerNetworkConfig, params: Params, arrays: Arrays, repaired: bool
) -> tuple[Params, jax.Array, jax.Array]:
    """The trained parameters; loss before and test accuracy after each iteration."""
    model = TwoLayerNet(config.hidden)
    targets = jax.nn.one_hot(arrays.labels, 10)

    def step(params: Params, _: None) -> tuple[Params, tuple[jax.Array, jax.Array]]:
        if repaired:
            rate = config.softmax_learning_rate
            params, loss = descend_softmax(params, arrays.images, targets, rate)
            predicted = logits(params, arrays.test_images).argmax(1)
        else:
            rate = config.learning_rate
            params, loss = two_layer.descend(model, params, arrays.images, targets, rate)
            predicted = two_layer.predict(model, params, arrays.test_images)
        return params, (loss, (predicted == arrays.test_labels).mean())

    params, (loss, accuracy) = jax.lax.scan(step, params, length=config.iterations)
    return params, loss, accuracy


@jax.jit
def dead_outputs(params: Params, images: jax.Array) -> jax.Array:
    """Which of the ten outputs are 0 for every image and so get no gradient."""
    return (logits(params, images) <= 0).all(0)


class Start(NamedTuple):
    """What became of one start.

    Attributes:
        dead_at_start: digits whose outputs are dead before training.
        dead_at_end: digits whose outputs are dead after the course's training.
        never_predicted: digits that the course's network then never predicts on the test images.
        losses: the course's loss before each iteration.
        course: test accuracy after each iteration with the course's loss.
        repaired: the same with a softmax.
        params: the repaired network's.
    """

    dead_at_start: list[int]
    dead_at_end: list[int]
    never_predicted: list[int]
    losses: list[float]
    course: list[float]
    repaired: list[float]
    params: Params

    def entries(self) -> dict[str, Any]:
        """All but the parameters, for ``summary.json``."""
        return {name: value for name, value in self._asdict().items() if name != "params"}


def run_start(config: TwoLayerNetworkConfig, arrays: Arrays, seed: int) -> Start:
    """Trains both networks from one seed's weights."""
    model = TwoLayerNet(config.hidden)
    key = stream(root_key(seed), Stream.WEIGHTS)
    params = model.init(key, arrays.images[:1], train=False)["params"]
    trained, loss, course = train(config, params, arrays, repaired=False)
    better, _, repaired = train(config, params, arrays, repaired=True)
    predicted = two_layer.predict(model, trained, arrays.test_images)
    missing = (
        *(dead_outputs(p, arrays.images) for p in (params, trained)),
        np.bincount(predicted, minlength=10) == 0,
    )
    return Start(
        *(np.flatnonzero(mask).tolist() for mask in missing),
        *(np.asarray(values).tolist() for values in (loss, course, repaired)),
        better,
    )


def digits_text(found: list[int]) -> str:
    """Joins digits with commas."""
    return ", ".join(map(str, found)) or "none"


def draw(starts: list[Start]) -> Any:
    """Accuracy by iteration: the course's loss from every start, and the repair's mean."""
    iterations = np.arange(1, len(starts[0].course) + 1)
    series: dict[str, Any] = {
        f"start {i}: digits missing: {digits_text(start.never_predicted)}": 100
        * np.array(start.course)
        for i, start in enumerate(starts)
    }
    repaired = np.mean([start.repaired for start in starts], axis=0)
    series["softmax, mean of all starts"] = 100 * repaired
    title = "ReLU outputs can lose digits, a softmax does not"
    return plot.curves(
        iterations, series, xlabel="Iteration", ylabel="Test accuracy (%)", title=title
    )


def save(folder: Path, config: TwoLayerNetworkConfig, arrays: Arrays, params: Params) -> float:
    """Writes the repaired network's weights; its test accuracy with what the file holds."""
    read = lesson.save_weights(folder / WEIGHTS, TwoLayerNet(config.hidden), params)
    right = logits(read, arrays.test_images).argmax(1) == arrays.test_labels
    return float(right.mean())


def sentence(starts: list[Start], accuracy: float) -> str:
    """What the lesson has shown."""
    losing = sum(bool(start.never_predicted) for start in starts)
    course = [start.course[-1] for start in starts]
    repaired = [start.repaired[-1] for start in starts]
    return (
        f"From {losing} of {len(starts)} starts the course's network never predicts some digit; "
        f"it ends at {min(course):.1%} to {max(course):.1%}; with a softmax instead of the last "
        f"ReLU, from the same weights, it ends at {min(repaired):.1%} to {max(repaired):.1%}. The "
        f"saved weights of the first start, read back, are right on {accuracy:.1%}."
    )


def run(config: TwoLayerNetworkConfig) -> lesson.Result:
    """Trains from every start, prints the table, and writes the folder."""
    folder, digits = lesson.begin_on_digits("two_layer_network", config, __doc__)
    arrays = prepare(digits, config.examples)
    described = description(digits.train, arrays)
    print(f"\n{text_table(('', 'shape', 'type', 'range'), described)}")
    first = int(arrays.labels[0])
    one_hot = " ".join("1" if digit == first else "0" for digit in range(10))
    print(f"The first label, {first}, is {one_hot}.")
    print(f"\n{len(arrays.images):,} images per step, {config.iterations} steps from each start")
    seeds = range(config.seed, config.seed + config.starts)
    starts = [run_start(config, arrays, seed) for seed in seeds]

    header = ("seed", "dead before", "dead after", "never predicted", "accuracy", "with softmax")
    rows = [
        (
            seed,
            *(digits_text(found) for found in start[:3]),
            *(f"{start.course[-1]:.1%}", f"{start.repaired[-1]:.1%}"),
        )
        for seed, start in zip(seeds, starts, strict=True)
    ]
    print("\nOutputs that are 0 for every training image before and after the course's training;")
    print("digits it then never predicts on test images; its test accuracy and the repair's:\n")
    print(text_table(header, rows))
    saved = save(folder, config, arrays, starts[0].params)
    summary = {
        "data": lesson.data_of(digits),
        "examples": len(arrays.images),
        "arrays": [list(row) for row in described],
        "starts": {str(s): start.entries() for s, start in zip(seeds, starts, strict=True)},
        "accuracy_of_saved_weights": saved,
        "shown": sentence(starts, saved),
    }
    return lesson.finish(folder, summary, {"accuracy": draw(starts)})


if __name__ == "__main__":
    command_line.main("lessons.two_layer_network", TwoLayerNetworkConfig, run, __doc__)
