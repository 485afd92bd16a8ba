"""TinyNet: a convolutional network small enough to check every one of its gradients.

What:     TinyNet on digits shrunk to 8×8: its gradients against finite differences, training by
          plain stochastic gradient descent, and its six arrays saved and read again.
Source:   course document 004, levels 6 to 8.
Command:  python -m experiments.lessons.tinynet     ten seconds; a minute or two with all of MNIST
Expected: gradients differ by less than 1e-8, and after 20 epochs on the embedded 4,000 digits the
          network recognises more than 90% of the test digits.

The interface is the course's: images are (B, 3, 8, 8). Digits are grey, so the three channels are
equal.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, interop, plot
from jaxdl.exercises import tinynet
from jaxdl.exercises.tinynet import TinyNet, TinyNetWeights
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"
WEIGHTS = "weights.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyNetConfig(DataConfig):
    """Training settings; the flags' help gives units."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"epochs": 2}}

    epochs: int = option(20, "passes over the training digits", low=1, high=1000)
    batch_size: int = option(32, "digits in a batch", low=1, high=4000)
    learning_rate: float = option(0.1, "step size η", above=0)
    weight_decay: float = option(1e-5, "L2's coefficient λ: λ·w is added to the gradient", low=0)


def prepare(split: data.Split) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 8, 8) in [0, 1] and labels (N,)."""
    small = data.resize_bilinear(split.images, 8, 8)
    channels = np.repeat(small, 3, axis=3).transpose(0, 3, 1, 2)
    return np.asarray(data.to_unit_range(channels)), split.labels


def initial_weights(seed: int) -> TinyNetWeights:
    """Random weights in the course's layout: convolution kernels are (C_out, C_in, 3, 3)."""
    key = stream(root_key(seed), Stream.WEIGHTS)
    example = jnp.zeros((1, 8, 8, 3))
    layers = jax.jit(lambda key: TinyNet().init(key, example, train=False))(key)["params"]
    arrays = [layers[name][part] for name in layers for part in ("kernel", "bias")]
    return TinyNetWeights(*(a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for a in arrays))


@jax.jit
def numerical_gradients(
    weights: TinyNetWeights, images: jax.Array, labels: jax.Array, step: float = 1e-6
) -> TinyNetWeights:
    r"""Gradients by moving one weight at a time.

    .. math:: \partial L / \partial w_i \approx (L(w + h e_i) - L(w - h e_i)) / 2h
    """
    flat, restore = jax.flatten_util.ravel_pytree(weights)

    def slope(i: jax.Array) -> jax.Array:
        up, down = (restore(flat.at[i].add(change)) for change in (step, -step))
        loss_up, loss_down = (tinynet.forward(w, images, labels)[1] for w in (up, down))
        return (loss_up - loss_down) / (2 * step)

    return restore(jax.lax.map(slope, jnp.arange(flat.size), batch_size=64))


def check_gradients(
    weights: TinyNetWeights, images: np.ndarray, labels: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Shape, largest entry and largest difference of each of the six gradients."""
    # In float32 the rounding of the losses, 1e-7, divided by 2h would swamp the differences.
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda w: np.asarray(w, np.float64), weights)
        ours = jax.jit(tinynet.backward)(weights, images, labels)
        reference = numerical_gradients(weights, images, labels)
    pairs = zip(*(map(np.asarray, six) for six in (ours, reference)), strict=True)
    return {
        f"d{name}": {
            "shape": list(a.shape),
            "largest": float(np.abs(a).max()),
            "largest_difference": float(np.abs(a - b).max()),
        }
        for name, (a, b) in zip(TinyNetWeights._fields, pairs, strict=True)
    }


@functools.partial(jax.jit, static_argnames="config")
def train_epoch(
    weights: TinyNetWeights,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
    config: TinyNetConfig,
) -> tuple[TinyNetWeights, jax.Array]:
    """One pass in random order, without the last incomplete batch; returns the mean loss too."""
    size = min(config.batch_size, len(images))
    order = jax.random.permutation(key, len(images))
    batches = order[: len(images) // size * size].reshape(-1, size)

    def step(weights: TinyNetWeights, chosen: jax.Array) -> tuple[TinyNetWeights, jax.Array]:
        x, t = images[chosen], labels[chosen]
        loss = tinynet.forward(weights, x, t)[1]
        settings = (config.learning_rate, config.weight_decay)
        return tinynet.train_one_iter(*weights, x, t, *settings), loss

    weights, batch_losses = jax.lax.scan(step, weights, batches)
    return weights, batch_losses.mean()


@jax.jit
def evaluate(
    weights: TinyNetWeights, images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean loss and accuracy."""
    logits, loss = tinynet.forward(weights, images, labels)
    return loss, (logits.argmax(1) == labels).mean()


def train(
    config: TinyNetConfig, weights: TinyNetWeights, train_part: tuple, test_part: tuple
) -> tuple[TinyNetWeights, dict[str, list[float]]]:
    """The trained weights, and losses and accuracies by epoch."""
    history: dict[str, list[float]] = {"train_loss": [], "test_loss": [], "test_accuracy": []}
    order_key = stream(root_key(config.seed), Stream.SHUFFLE)
    print("\nepoch  training loss  test loss  test accuracy")
    for epoch in range(config.epochs):
        key = jax.random.fold_in(order_key, epoch)
        weights, loss = train_epoch(weights, *train_part, key, config)
        figures = [float(loss), *map(float, evaluate(weights, *test_part))]
        for values, figure in zip(history.values(), figures, strict=True):
            values.append(figure)
        print(f"{epoch + 1:5}  {figures[0]:13.4f}  {figures[1]:9.4f}  {figures[2]:13.2%}")
    return weights, history


def draw(images: np.ndarray, history: dict[str, list[float]]) -> dict[str, Any]:
    """What the network sees, and how it learns."""
    figure, (upper, lower) = plot.figure_with_panels(2)
    epochs = np.arange(1, len(history["train_loss"]) + 1)
    both = {"test": history["test_loss"], "training, during the epoch": history["train_loss"]}
    plot.curves(epochs, both, xlabel="", ylabel="Cross-entropy", ax=upper)
    accuracy = {"test": 100 * np.array(history["test_accuracy"])}
    plot.curves(epochs, accuracy, xlabel="Epoch", ylabel="Accuracy (%)", ax=lower)
    upper.set_ylabel("Cross-entropy (nats)")
    some = images[:20].transpose(0, 2, 3, 1)
    seen = plot.image_grid(
        some / some.max(axis=(1, 2, 3), keepdims=True),
        padding=1,
        value_range=(0, 1),
        title="Digits as TinyNet sees them, 8×8 pixels; each brightened until it has white",
    )
    return {"digits": seen, "learning": figure}


def save_and_read(path: Path, weights: TinyNetWeights) -> TinyNetWeights:
    """Writes the six arrays by their names, as the course does in the end, and reads them again."""
    interop.save_state_dict(path, {n: np.asarray(a) for n, a in weights._asdict().items()})
    return TinyNetWeights(**interop.load_state_dict(path))


def shown(summary: dict[str, Any]) -> str:
    """What the lesson has shown, from its numbers."""
    apart = max(gradient["largest_difference"] for gradient in summary["gradients"].values())
    before, after = summary["test_accuracy"][0], summary["test_accuracy"][-1]
    same = "as well" if summary["accuracy_from_file"] == after else "differently"
    return (
        f"All six gradients agree with finite differences to {apart:.0e}. Plain gradient descent "
        f"with them takes the test accuracy from {before:.1%} after the first epoch to {after:.1%} "
        f"in the end, on digits of 64 pixels; read from {WEIGHTS}, the network does {same}."
    )


def run(config: TinyNetConfig) -> lesson.Result:
    """Checks the gradients, trains, and writes the folder."""
    folder, digits = lesson.begin_on_digits("tinynet", config, __doc__)
    train_part, test_part = prepare(digits.train), prepare(digits.test)
    weights = initial_weights(config.seed)

    gradients = check_gradients(weights, train_part[0][:8], train_part[1][:8])
    print("\nGradients of jax.grad against finite differences, in double precision, 8 digits:\n")
    rows = [
        (name, str(tuple(g["shape"])), f"{g['largest']:.4f}", f"{g['largest_difference']:.1e}")
        for name, g in gradients.items()
    ]
    print(text_table(("gradient", "shape", "largest entry", "largest difference"), rows))

    weights, history = train(config, weights, train_part, test_part)
    read = save_and_read(folder / WEIGHTS, weights)
    print(f"\nThe weights are in {WEIGHTS}, by the names of the course.")
    summary = {
        "data": lesson.data_of(digits),
        "gradients": gradients,
        **history,
        "accuracy_from_file": float(evaluate(read, *test_part)[1]),
    }
    summary["shown"] = shown(summary)
    return lesson.finish(folder, summary, draw(train_part[0], history))


if __name__ == "__main__":
    command_line.main("lessons.tinynet", TinyNetConfig, run, __doc__)
