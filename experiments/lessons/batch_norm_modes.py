"""BatchNorm in training and in evaluation: why an image must not depend on its batch-mates.

What:     a small generator learns to draw some digits, each from a z of its own; then it draws the
          same z again and again, in batches that differ in everything else, in both modes.
Source:   course document 000, whose animation draws G in training mode.
Command:  python -m experiments.lessons.batch_norm_modes     ten seconds
Expected: in training mode the image of a z changes with its batch-mates, most in small batches;
          beside digits of one class it is another one than beside all; in evaluation mode it is
          always the same.

In training mode BatchNorm subtracts the mean of the batch and divides by its deviation, so every
image enters every other. In evaluation mode it uses running averages from training, which are
constants: an image then depends on its own z alone. `jaxdl` draws all samples in that mode, the
course does not; its animation shows the batch as well as the training of G.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, optim, plot
from jaxdl.models import Generator
from jaxdl.training.rngs import Stream, normal_per_sample, root_key, stream
from jaxdl.training.state import NetworkState

THEME = "Building blocks"
GREY = 127.5  # grey values for a difference of 1 in G's images, from -1 to 1
SHOWN, TIMES = 8, 4  # digits in the figure, and what their changes are multiplied by


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchNormModesConfig(DataConfig):
    """The generator, what it learns, and the batches."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"digits": 40, "steps": 2, "features": 2, "batch_size": 16, "draws": 2}
    }

    digits: int = option(200, "digits that G learns to draw, a z for each", low=20, high=2000)
    steps: int = option(300, "steps of Adam", low=1, high=100_000)
    batch_size: int = option(50, "images in a batch", low=4, high=1000)
    features: int = option(12, "channels of G's last hidden map", low=1, high=64)
    draws: int = option(10, "batches in which a z is drawn anew", low=2, high=1000)


def learn(config: BatchNormModesConfig, z: jax.Array, images: jax.Array) -> tuple[Any, float]:
    """The generator that draws images (N, 28, 28, 1) from z (N, latent_dim), and its last loss."""
    model = Generator(features=config.features, latent_dim=z.shape[1], image_size=28)
    key = root_key(config.seed)
    network = NetworkState.create(stream(key, Stream.WEIGHTS), model, optim.adam(0.01), z[:1])
    size = min(config.batch_size, len(z))

    def step(network: NetworkState, number: jax.Array) -> tuple[NetworkState, jax.Array]:
        draw = jax.random.fold_in(stream(key, Stream.SHUFFLE), number)
        chosen = jax.random.choice(draw, len(z), (size,), replace=False)

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            drawn, stats = network.forward(z[chosen], params=params)
            return jnp.square(drawn - images[chosen]).mean(), stats

        (loss, stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(network.params)
        return network.apply_gradients(gradients, stats), loss

    numbers = jnp.arange(config.steps)
    network, losses = jax.jit(lambda network: jax.lax.scan(step, network, numbers))(network)
    return network, float(losses[-1])


@jax.jit
def draw_first(network: NetworkState, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first image of each batch z (batches, N, latent_dim), in evaluation and training mode."""
    return jax.lax.map(lambda one: (network.predict(one)[0], network.forward(one)[0][0]), z)


def batches_of(
    labels: np.ndarray, config: BatchNormModesConfig
) -> dict[str, tuple[int, list[np.ndarray]]]:
    """By kind: the size of a batch, and ``draws`` times the numbers of the batch-mates."""
    drawn = np.random.default_rng(config.seed)
    everyone = np.arange(len(labels))
    ones = np.flatnonzero(labels == labels[0])  # of one class
    kinds = {
        f"{config.batch_size} digits": (config.batch_size, everyone),
        "2 digits": (2, everyone),
        f"{config.batch_size}, all others of one class": (config.batch_size, ones),
    }
    return {
        name: (size, [drawn.choice(mates, size - 1) for _ in range(config.draws)])
        for name, (size, mates) in kinds.items()
    }


def redraw(
    network: NetworkState, z: jax.Array, labels: np.ndarray, config: BatchNormModesConfig
) -> dict[str, dict[str, np.ndarray]]:
    """By kind of batch and mode: the images (SHOWN, draws, 28, 28, 1) of the first z."""
    found = {}
    for name, (size, batches) in batches_of(labels, config).items():
        numbers = np.array([[np.append(i, mates) for mates in batches] for i in range(SHOWN)])
        images = draw_first(network, z[numbers.reshape(-1, size)])
        both = (np.asarray(mode).reshape(SHOWN, len(batches), *mode.shape[1:]) for mode in images)
        found[name] = dict(zip(("evaluation", "training"), both, strict=True))
    return found


def spread(images: np.ndarray) -> tuple[float, float]:
    """Mean and largest difference, in grey values, between a z's images in two batches."""
    apart = GREY * np.abs(images[:, :1] - images[:, 1:])
    return float(apart.mean()), float(apart.max())


def measure(found: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """How much the same z's image differs between batches, in grey values from 0 to 255."""
    return {
        name: {
            "evaluation_largest": spread(modes["evaluation"])[1],
            "training_mean": spread(modes["training"])[0],
            "training_largest": spread(modes["training"])[1],
            "from_evaluation": GREY * float(np.abs(modes["training"] - modes["evaluation"]).mean()),
        }
        for name, modes in found.items()
    }


def draw(found: dict[str, dict[str, np.ndarray]], real: np.ndarray) -> Any:
    """Rows of the same z's: as learnt, in evaluation mode, and in two batches of each kind."""
    first = next(iter(found.values()))
    rows = {"what G should draw": real, "evaluation mode": first["evaluation"][:, 0]}
    for name, modes in found.items():
        one, other = modes["training"][:, 0], modes["training"][:, 1]
        rows[f"training mode, a batch of\n{name}"] = one
        rows[f"change in another batch of\n{name}, × {TIMES}"] = TIMES * np.abs(one - other) - 1
    return plot.image_rows(rows, title="A column is one z")


def shown(measured: dict[str, dict[str, float]]) -> str:
    """What the lesson has shown, from its numbers."""
    words = [
        f"{entry['training_mean']:.1f} in batches of {name} ({entry['from_evaluation']:.1f})"
        for name, entry in measured.items()
    ]
    largest = max(entry["evaluation_largest"] for entry in measured.values())
    still = "not at all" if largest < 0.01 else f"by up to {largest:.2g}"
    return (
        "In training mode the image of one z changes with its batch-mates, on average by "
        f"{'; '.join(words)} grey values of 255, in brackets its distance from the image in "
        f"evaluation mode. There it changes {still}. Samples are "
        f"{'comparable from epoch to epoch only' if largest < 0.01 else 'not even comparable'} in "
        "evaluation mode."
    )


def run(config: BatchNormModesConfig) -> lesson.Result:
    """Teaches G, draws in both modes, prints the table, and writes the folder."""
    folder, digits = lesson.begin_on_digits("batch_norm_modes", config, __doc__)
    some = slice(0, config.digits)
    images = data.to_signed_range(digits.train.images[some])
    labels = digits.train.labels[some]
    key = stream(root_key(config.seed), Stream.FIXED_NOISE)
    z = normal_per_sample(key, jnp.arange(len(labels)), 32)
    network, loss = learn(config, z, images)
    print(
        f"\nG draws {len(labels)} digits with a mean squared error of {loss:.3f}, on a scale from "
        f"-1 to 1.\nThe first {SHOWN} again, in {config.draws} batches of each kind: how far the "
        "same z's images are apart\nbetween batches, and from evaluation mode, in grey values.\n"
    )
    found = redraw(network, z, labels, config)
    measured = measure(found)
    rows = [(name, *(f"{v:.2f}" for v in entry.values())) for name, entry in measured.items()]
    header = ("batch of", "evaluation: largest", "training: mean", "largest", "from evaluation")
    print(text_table(header, rows))
    summary = {
        "data": lesson.data_of(digits),
        "loss": loss,
        "differences": measured,
        "shown": shown(measured),
    }
    figures = {"batch_norm_modes": draw(found, np.asarray(images[:SHOWN]))}
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("lessons.batch_norm_modes", BatchNormModesConfig, run, __doc__)
