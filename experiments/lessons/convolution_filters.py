"""Convolution by hand: edges, blur, pooling, BatchNorm, and what it all costs.

What:     three hand-written kernels on a black and white board, two photographs and digits;
          pooling; BatchNorm; sizes, receptive fields and operation counts on paper.
Source:   course document 003 (its convolution operators and both its exercises).
Command:  python -m experiments.lessons.convolution_filters     seconds
Expected: the operation counts contradict the course: 867,041,280 multiplications and 834,928,640
          additions, not 173,408,256 and 1,605,638,144. Dilation, transposed convolution and
          global pooling follow in experiments.lessons.convolution_shapes.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.table import text_table
from jaxdl import data, nn, plot
from jaxdl.data.domains import PHOTOGRAPHS, photograph
from jaxdl.models import CNN
from jaxdl.nn import arithmetic, cost
from jaxdl.nn.arithmetic import Window
from jaxdl.nn.pooling import avg_pool, global_average_pool, max_pool
from jaxdl.training.rngs import root_key

THEME = "Building blocks"

KERNELS = {
    "vertical edges": np.tile([1.0, 0.0, -1.0], (3, 1)),
    "object edges": np.array([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]]),
    "mean blur": np.full((5, 5), 1 / 25),
}
# Responses shown as black and as white.
SPANS = {"vertical edges": (-2, 2), "object edges": (-2, 2), "mean blur": (0, 1)}
SIDE = 160  # of the board and the photographs, in pixels
EXERCISE_SHAPE = (10, 224, 224, 3)  # the course's [10, 3, 224, 224]
COURSE_MULTIPLICATIONS, COURSE_ADDITIONS = 173_408_256, 1_605_638_144


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionFiltersConfig(DataConfig):
    """Which digits to filter."""

    digits: int = option(5, "how many digits are shown", low=2, high=20)


def filtered(images: jax.Array, kernel: np.ndarray) -> jax.Array:
    """Filters images (N, H, W, 1) with a kernel (k, k), k odd, padded to keep their size."""
    weights = jnp.asarray(kernel, jnp.float32)[:, :, None, None]
    return nn.convolution(images, weights, padding=len(kernel) // 2)


def black_white_board() -> dict[str, list[float]]:
    """A row of a board, white on the left and black on the right, before and after [1, -1]."""
    board = jnp.repeat(jnp.array([1.0, 0.0]), 4).reshape(1, 1, 8, 1)
    edges = nn.convolution(board, jnp.array([1.0, -1.0]).reshape(1, 2, 1, 1))
    return {"board": board.ravel().tolist(), "edges": edges.ravel().tolist()}


def pictures(digit: jax.Array) -> dict[str, jax.Array]:
    """Grey images (1, H, W, 1) by name: a board, white on the left, two photographs, a digit."""
    left = jnp.arange(SIDE) < SIDE // 2
    board = jnp.broadcast_to(left[None, None, :, None], (1, SIDE, SIDE, 1))
    shown = {"board": board.astype(jnp.float32)}
    for name in PHOTOGRAPHS:
        colours = photograph(name)
        square = data.resize_square(colours[None, :, : len(colours)], SIDE)
        shown[name] = data.to_unit_range(square).mean(3, keepdims=True)
    return shown | {"digit": digit}


def inside(response: jax.Array, kernel: np.ndarray) -> np.ndarray:
    """A response (1, H, W, 1) without the margin where the kernel sees padding: (H', W')."""
    margin = len(kernel) // 2
    return np.asarray(response)[0, margin:-margin, margin:-margin, 0]


def board_answers(board: jax.Array) -> dict[str, int]:
    """In how many columns of the board each kernel's response differs from what uniform areas give.

    The blur's response to a uniform area is its own brightness.
    """
    answers = {}
    for name, kernel in KERNELS.items():
        response, plain = inside(filtered(board, kernel), kernel), inside(board, kernel)
        expected = plain * kernel.sum()
        answers[name] = int((abs(response - expected) > 1e-4).any(0).sum())
    return answers


def batch_norm_table(maps: jax.Array) -> list[tuple[str, ...]]:
    """Mean and deviation of each filter's maps (N, H, W, filters) before and after BatchNorm."""
    layer = nn.BatchNorm()
    variables = layer.init(root_key(0), maps, train=True)  # ones and zeros, no draw
    normal, updates = layer.apply(variables, maps, train=True, mutable=["batch_stats"])
    running = updates["batch_stats"]
    columns = (
        *(maps.mean((0, 1, 2)), maps.std((0, 1, 2)), normal.mean((0, 1, 2))),
        *(normal.std((0, 1, 2)), running["mean"], running["var"]),
    )
    # + 0.0 turns -0.0 into 0.0, so that a mean of 0 does not print as -0.000.
    cells = [[f"{round(float(value), 3) + 0.0:.3f}" for value in column] for column in columns]
    return list(zip(KERNELS, *cells, strict=True))


def size_table() -> list[tuple[Any, ...]]:
    """Sizes and receptive fields through a stack of layers, from an image of 224 pixels."""
    layers = [
        ("convolution 3×3, padding 1", Window(3), 1),
        ("convolution 3×3, padding 1", Window(3), 1),
        ("max pooling 2×2", Window(2, stride=2), 0),
        ("convolution 5×5", Window(5), 0),
        ("convolution 3×3, stride 2, padding 1", Window(3, stride=2), 1),
        ("convolution 3×3, dilation 2", Window(3, dilation=2), 0),
    ]
    size, rows = 224, [("image", 224, 1, 1)]
    for depth, (name, (window, stride, dilation), padding) in enumerate(layers, start=1):
        size = arithmetic.output_size(
            size, window, stride=stride, padding=padding, dilation=dilation
        )
        seen = arithmetic.receptive_field([layer[1] for layer in layers[:depth]])
        rows.append((name, size, *seen))
    return rows


def count_exercise() -> dict[str, int]:
    """The course's first exercise: 64 kernels of 3×3 on [10, 3, 224, 224], padding 1, no bias."""
    batch = arithmetic.convolution_cost(EXERCISE_SHAPE, 64, 3, padding=1, use_bias=False)
    return {
        "outputs": int(np.prod(batch.output_shape)),
        "multiplications": batch.multiplications,
        "additions": batch.additions,
    }


def print_exercise(counts: dict[str, int]) -> None:
    """Prints the operation counts beside the course's."""
    images = EXERCISE_SHAPE[0]
    course = {"multiplications": COURSE_MULTIPLICATIONS, "additions": COURSE_ADDITIONS}
    print("\n64 kernels of 3×3 on a batch [10, 3, 224, 224], stride 1, padding 1, no bias:\n")
    rows = [
        (name, f"{n:,}", f"{n // images:,}", f"{course[name]:,}" if name in course else "")
        for name, n in counts.items()
    ]
    print(text_table(("", "batch", "one image", "course (wrong)"), rows))
    print(
        "\nEach output is a sum of 3·3·3 = 27 products, so 27 multiplications and 26 additions.\n"
        "The course computes 64·27·224·224 and 64·26·224·224, which leaves out the batch of 10,\n"
        "and gets them wrong: they are 86,704,128 and 83,492,864, but it prints twice the first\n"
        "and 19 times the second. There cannot be more additions than multiplications."
    )


@plot.style.styled
def draw_filters(shown: dict[str, jax.Array]) -> Any:
    """Each picture unchanged and under each kernel; the kernels stand on the left."""
    columns = 1 + len(shown)
    figure, panels = plot.figure_with_panels(
        *(1 + len(KERNELS), columns), share_x=False, width=1.75 * columns, panel_height=1.8
    )
    for ax in panels:
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set(visible=True, edgecolor="#BBBBBB")
    panels[0].set_axis_off()
    for ax, (name, image) in zip(panels[1:], shown.items(), strict=False):
        ax.imshow(image[0, :, :, 0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(name)
    for row, (name, kernel) in enumerate(KERNELS.items(), start=1):
        draw_kernel(panels[row * columns], name, kernel)
        low, high = SPANS[name]
        for ax, image in zip(panels[row * columns + 1 :], shown.values(), strict=False):
            ax.imshow(inside(filtered(image, kernel), kernel), cmap="gray", vmin=low, vmax=high)
    return figure


def draw_kernel(ax: Any, name: str, kernel: np.ndarray) -> None:
    """A kernel's weights as numbers on grey cells, and which responses are black and white."""
    low, high = SPANS[name]
    ax.imshow(kernel, cmap="gray", vmin=-10, vmax=10, alpha=0.5)
    scale = 1 if np.all(kernel == np.round(kernel)) else kernel.size
    for (row, column), weight in np.ndenumerate(kernel * scale):
        ax.text(column, row, f"{weight:g}", ha="center", va="center", fontsize=7)
    ax.set_title(name + (f", 1/{scale} of" if scale > 1 else ""))
    ax.set_xlabel(f"black: {low:g}, white: {high:g}", fontsize=8)


def draw(images: jax.Array, shown: dict[str, jax.Array]) -> dict[str, Any]:
    """Pictures under each kernel, and digits pooled."""
    pooled = plot.compare_grids(
        max_pool(images, 4),
        avg_pool(images, 4),
        ("Max pooling 4×4", "Average pooling 4×4"),
        columns=5,
        value_range=(0, 1),
    )
    return {"filters": draw_filters(shown), "pooling": pooled}


def sentence(answers: dict[str, int], counts: dict[str, int], model: cost.Summary) -> str:
    """What the lesson has shown."""
    told = ", ".join(f"{name} in {count}" for name, count in answers.items())
    multiplications, additions = counts["multiplications"], counts["additions"]
    dense = sum(layer.parameters for layer in model.layers if layer.kind == "Dense")
    return (
        f"A kernel answers where the image changes: of the board's {SIDE} columns, {told}. The "
        f"course's layer takes {multiplications:,} multiplications, "
        f"{multiplications / COURSE_MULTIPLICATIONS:.3g} times the course's figure, and "
        f"{additions:,} additions, {additions / COURSE_ADDITIONS:.3g} times. "
        f"{dense / model.parameters:.1%} of the CNN's weights are in its dense layers."
    )


def run(config: ConvolutionFiltersConfig) -> lesson.Result:
    """Filters, counts, prints, draws, and writes the folder."""
    folder, digits = lesson.begin_on_digits("convolution_filters", config, __doc__)
    images = data.to_unit_range(digits.test.images[: config.digits])
    maps = {name: filtered(images, kernel) for name, kernel in KERNELS.items()}

    board = black_white_board()
    print("\nA board, white beside black, under the kernel [1, -1]:")
    for name, row in board.items():
        print(f"  {name:<6} {' '.join(f'{value:4.0f}' for value in row)}")

    shown = pictures(images[:1])
    answers = board_answers(shown["board"])
    print(f"\nA board of {SIDE} columns, and how many of them each kernel tells from plain areas:")
    print("  " + ", ".join(f"{name} {count}" for name, count in answers.items()))

    print("\nBatchNorm on the filtered digits; the running statistics start at 0 and 1:\n")
    header = ("filter", "mean", "sd", "mean after", "sd after", "running mean", "running variance")
    print(text_table(header, batch_norm_table(jnp.concatenate(list(maps.values()), axis=3))))

    means = global_average_pool(images)[:, 0].tolist()
    print("\nGlobal average pooling reduces each digit to one number, its share of ink:")
    print("  " + "  ".join(f"{mean:.3f}" for mean in means))

    sizes = size_table()
    print("\nSize of a 224-pixel image after each layer, and what one output pixel sees:\n")
    print(text_table(("layer", "size", "sees", "step"), sizes))

    counts = count_exercise()
    print_exercise(counts)
    model = cost.summary(CNN(image_size=EXERCISE_SHAPE[1]), EXERCISE_SHAPE)
    print(f"\nThe second exercise: the shapes of each layer (images are NHWC):\n\n{model}")

    summary = {
        "board": board,
        "board_answers": answers,
        "global_average": means,
        "sizes": [list(row) for row in sizes],
        "exercise": counts,
        "course": {"multiplications": COURSE_MULTIPLICATIONS, "additions": COURSE_ADDITIONS},
        "cnn": {"parameters": model.parameters, "multiply_adds": model.multiply_adds},
        "shown": sentence(answers, counts, model),
    }
    return lesson.finish(folder, summary, draw(images, shown))


if __name__ == "__main__":
    command_line.main("lessons.convolution_filters", ConvolutionFiltersConfig, run, __doc__)
