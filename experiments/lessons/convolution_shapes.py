"""Shapes in and out: dilation, transposed convolution, a head for images of any size.

What:     what a dilated kernel sees; digits convolved and brought back to their size by the
          transposed convolution; digits of three sizes through a network whose head is pooled
          globally, and through one whose head is not.
Source:   course document 002, sections 5 and 6.
Command:  python -m experiments.lessons.convolution_shapes     seconds
Expected: a dilated 3×3 kernel sees more with the same nine weights. The transposed convolution
          brings back the shape, not the values. A globally pooled head takes images of any size,
          but it does not know where in the image something is, and it fits the size it has seen.

The network is as small as can be: two convolutions with random kernels, which nobody trains, and a
dense layer fitted to digits of 28 pixels by least squares.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, nn, plot
from jaxdl.nn import arithmetic
from jaxdl.nn.pooling import global_average_pool
from jaxdl.training.rngs import Stream, root_key, stream

THEME = "Building blocks"

DILATIONS = (1, 2, 3)
GEOMETRY = {"stride": 2, "padding": 1}
BLUR = jnp.full((4, 4, 1, 1), 1 / 16)
WIDTHS = (16, 32)  # of the network's two layers
HEADS = {
    "pooled": global_average_pool,
    "flattened": lambda maps: maps.reshape(len(maps), -1),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionShapesConfig(DataConfig):
    """Which digits to use."""

    digits: int = option(4, "how many digits are shown", low=1, high=8)
    examples: int = option(2000, "digits to fit and at most to test the heads", low=100)


class Dilated(NamedTuple):
    """A 3×3 kernel with gaps.

    Attributes:
        dilation: distance between neighbouring taps, in pixels.
        weights: how many pixels an output depends on.
        sees: how many pixels lie between the outermost of them.
        size: what an image of 28 pixels becomes.
        taps: the pixels that the middle output depends on, boolean.
    """

    dilation: int
    weights: int
    sees: int
    size: int
    taps: np.ndarray


def dilated(dilation: int) -> Dilated:
    """Finds out what a kernel sees by the gradient of one output."""
    side = 2 * max(DILATIONS) + 3

    def middle(image: jax.Array) -> jax.Array:
        kernel = jnp.ones((3, 3, 1, 1))
        out = nn.convolution(image, kernel, padding=dilation, dilation=dilation)
        return out[0, side // 2, side // 2, 0]

    taps = np.asarray(jax.grad(middle)(jnp.zeros((1, side, side, 1))))[0, :, :, 0] > 0
    sees = int(np.ptp(np.flatnonzero(taps.any(0)))) + 1
    size = arithmetic.output_size(28, 3, dilation=dilation)
    return Dilated(dilation, int(taps.sum()), sees, size, taps)


class Restored(NamedTuple):
    """Images (N, H, W, 1), what a convolution makes of them, and what its transpose makes of that.

    Attributes:
        images: the originals.
        small: after the convolution, half as wide and high.
        back: after the transpose, scaled by the number that brings it nearest to the originals.
    """

    images: jax.Array
    small: jax.Array
    back: jax.Array

    @property
    def error(self) -> float:
        """Root of the mean squared difference, as a share of the images' own root mean square."""
        return float(jnp.sqrt(jnp.square(self.images - self.back).mean() / _power(self.images)))


def _power(images: jax.Array) -> jax.Array:
    return jnp.square(images).mean()


@jax.jit
def there_and_back(images: jax.Array) -> Restored:
    """Blurs images to half their size and brings them back by the transpose."""
    small = nn.convolution(images, BLUR, **GEOMETRY)
    # ConvTranspose rotates its kernel, as in Flax; the transpose of a convolution rotates it too.
    back = nn.transposed_convolution(small, BLUR[::-1, ::-1], **GEOMETRY)
    return Restored(images, small, back * (images * back).mean() / _power(back))


def maps_of(images: jax.Array, kernels: list[jax.Array]) -> jax.Array:
    """Maps (N, H', W', C) of convolutions with ReLU, each of which halves the images."""
    for kernel in kernels:
        images = nn.relu(nn.convolution(images, kernel, **GEOMETRY))
    return images


def random_kernels(seed: int) -> list[jax.Array]:
    """The kernels of the two layers."""
    key, channels, kernels = stream(root_key(seed), Stream.WEIGHTS), 1, []
    for depth, width in enumerate(WIDTHS):
        drawn = jax.random.normal(jax.random.fold_in(key, depth), (4, 4, channels, width))
        kernels.append(drawn * np.sqrt(2 / (16 * channels)))
        channels = width
    return kernels


def fit_head(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights (D + 1, 10) of a dense layer on inputs (N, D): least squares with a little L2."""
    table = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    square = table.T @ table
    penalty = 1e-4 * np.trace(square) / len(square) * np.eye(len(square))
    return np.linalg.solve(square + penalty, table.T @ np.eye(10)[labels])


class Head(NamedTuple):
    """A fitted head: the number of its weights, and its accuracy by size; None if it refuses."""

    weights: int
    accuracy: dict[str, float | None]


def compare_heads(digits: data.Dataset, config: ConvolutionShapesConfig) -> dict[str, Head]:
    """Fits both heads to digits of 28 pixels, and tries them on digits of three sizes."""
    run = jax.jit(functools.partial(maps_of, kernels=random_kernels(config.seed)))
    train, test = (
        data.Split(split.images[: config.examples], split.labels[: config.examples])
        for split in (digits.train, digits.test)
    )
    around = ((0, 0), (4, 4), (4, 4), (0, 0))
    sizes = {
        "28 pixels": test.images,
        "36, black around": np.pad(test.images, around),
        "56, enlarged": data.resize_square(test.images, 56),
    }
    fitted_to = run(data.to_unit_range(train.images))
    maps = {name: run(data.to_unit_range(images)) for name, images in sizes.items()}
    found = {}
    for name, head in HEADS.items():
        weights = fit_head(np.asarray(head(fitted_to)), train.labels)
        accuracy = {
            size: accuracy_of(np.asarray(head(each)), weights, test.labels)
            for size, each in maps.items()
        }
        found[name] = Head(weights.size, accuracy)
    return found


def accuracy_of(inputs: np.ndarray, weights: np.ndarray, labels: np.ndarray) -> float | None:
    """Accuracy of a head on inputs (N, D); None if it has weights for another number of inputs."""
    if inputs.shape[1] + 1 != len(weights):
        return None
    outputs = inputs @ weights[:-1] + weights[-1:]
    return float((outputs.argmax(1) == labels).mean())


def sentence(kernels: list[Dilated], restored: Restored, heads: dict[str, Head]) -> str:
    """What the lesson has shown."""
    first, last = kernels[0], kernels[-1]
    side, small, back = (each.shape[1] for each in restored)
    told = []
    for name, head in heads.items():
        taken = {size: value for size, value in head.accuracy.items() if value is not None}
        shown = ", ".join(f"{value:.0%} at {size}" for size, value in taken.items())
        told.append(
            f"the {name} head takes {len(taken)} of {len(head.accuracy)} sizes (right: {shown})"
        )
    return (
        f"With {last.weights} weights, dilation {last.dilation} sees {last.sees} pixels across "
        f"instead of {first.sees}. The transposed convolution brings {small}×{small} pixels "
        f"{'back ' if back == side else ''}to {back}×{back}, but the values are off by "
        f"{restored.error:.0%} of their root mean square. "
        f"On maps of the same kernels, {' and '.join(told)}."
    )


@plot.style.styled
def draw_dilation(kernels: list[Dilated]) -> Any:
    """The pixels under each kernel."""
    figure, panels = plot.figure_with_panels(1, len(kernels), share_x=False, panel_height=2.5)
    for ax, kernel in zip(panels, kernels, strict=True):
        ax.pcolormesh(
            *(kernel.taps[::-1],),
            cmap="Greys",
            vmin=0,
            vmax=1.4,
            edgecolors="#BBBBBB",
            linewidth=0.5,
        )
        ax.set(aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"Dilation {kernel.dilation}:\nsees {kernel.sees} × {kernel.sees}")
    return figure


@plot.style.styled
def draw_restored(restored: Restored) -> Any:
    """Digits, their small versions, what the transpose makes of them, and the difference."""
    rows = {
        "Digits": (restored.images, 0, 1),
        "Convolved": (restored.small, 0, 1),
        "Transposed": (restored.back, 0, 1),
        "Difference\n(grey: 0)": (restored.images - restored.back, -1, 1),
    }
    count = len(restored.images)
    figure, panels = plot.figure_with_panels(
        len(rows), count, share_x=False, width=1.3 * count + 1.2, panel_height=1.3
    )
    for row, (name, (images, low, high)) in enumerate(rows.items()):
        for ax, image in zip(panels[row * count :], np.asarray(images), strict=False):
            ax.imshow(image[:, :, 0], cmap="gray", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            ax.grid(visible=False)
        side = images.shape[1]
        panels[row * count].set_ylabel(
            f"{name}\n{side} × {side}", rotation=0, labelpad=36, va="center"
        )
    return figure


def run(config: ConvolutionShapesConfig) -> lesson.Result:
    """Convolves, transposes, fits, prints, draws, and writes the folder."""
    folder, digits = lesson.begin_on_digits("convolution_shapes", config, __doc__)

    kernels = [dilated(dilation) for dilation in DILATIONS]
    print("\nA 3×3 kernel with gaps between its taps, in pixels:\n")
    header = ("dilation", "weights", "sees across", "28 pixels become")
    print(text_table(header, [kernel[:4] for kernel in kernels]))

    restored = there_and_back(data.to_unit_range(digits.test.images[: config.digits]))
    shapes = " → ".join(f"{each.shape[1]}×{each.shape[2]}" for each in restored)
    print(f"\nA 4×4 blur of stride 2 and its transpose: {shapes}, off by {restored.error:.1%}")

    heads = compare_heads(digits, config)
    print("\nTwo heads on the maps of a network with random kernels, fitted to 28 pixels:\n")
    sizes = list(heads["pooled"].accuracy)
    rows = [
        (name, f"{weights:,}", *("refused" if v is None else f"{v:.1%}" for v in found.values()))
        for name, (weights, found) in heads.items()
    ]
    print(text_table(("head", "weights", *sizes), rows))

    summary = {
        "dilation": [kernel._asdict() | {"taps": kernel.taps.tolist()} for kernel in kernels],
        "transposed": {"shapes": [list(each.shape) for each in restored], "error": restored.error},
        "heads": {name: head._asdict() for name, head in heads.items()},
        "shown": sentence(kernels, restored, heads),
    }
    figures = {"dilation": draw_dilation(kernels), "restored": draw_restored(restored)}
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("lessons.convolution_shapes", ConvolutionShapesConfig, run, __doc__)
