"""Walks between images of a trained generator along great circles of z.

What:     walk.png, a row of images for each leg; walk.gif and walk.html, which play the walk.
Source:   SOURCE as in experiments.generate; White 2016, https://arxiv.org/abs/1609.04468.
Command:  python -m experiments.interpolate runs/dcgan-quick                         five anchors
          python -m experiments.interpolate model.pt --anchors 3,17,42 --out walk
Expected: one digit turns into another through shapes that look like digits.

An anchor's number is that of its image: 17 is 000017.png of experiments.generate with the same
seed. A generator of classes draws them in turn, and the walk passes from class to class. In a
notebook: `jaxdl.generation.interpolate(generator, generator.noise([3, 17, 42]))`.
"""

import dataclasses
import itertools

from experiments.common import command_line
from experiments.common.config import SourceFlags, option
from jaxdl import generation
from jaxdl.distributed.compilation import enable_cache
from jaxdl.errors import ConfigError
from jaxdl.files import check_unused

THEME = "Generative adversarial networks"
MOST_IMAGES = 2000  # in one walk; they are in memory, and in one page


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpolateConfig(SourceFlags):
    """Where to walk."""

    anchors: str | None = option(None, "numbers of the images to visit, as in 3,17,42")
    count: int = option(5, "anchors to visit if none are named: the first ones", low=2, high=200)
    steps: int = option(12, "steps from one anchor to the next", low=1, high=200)
    out: str = option("runs/walk", "a new folder for walk.png, walk.gif and walk.html")
    seed: int = option(0, "root of the random draws of z", low=0, high=2**31 - 1)
    label: int | None = option(
        None, "the class to walk within, of a generator of classes; unset: between classes", low=0
    )


def anchor_numbers(config: InterpolateConfig) -> list[int]:
    """The numbers of the anchors, in the order of the walk."""
    if config.anchors is None:
        return list(range(config.count))
    try:
        numbers = [int(text) for text in config.anchors.split(",")]
    except ValueError:
        raise ConfigError(
            f"--anchors {config.anchors}: expected whole numbers, as in 3,17,42"
        ) from None
    if len(numbers) < 2:
        raise ConfigError(f"--anchors {config.anchors}: a walk needs two of them")
    if any(a == b for a, b in itertools.pairwise(numbers)):
        raise ConfigError(f"--anchors {config.anchors}: one follows itself")
    return numbers


def run(config: InterpolateConfig) -> generation.Walk:
    """Draws the walk, writes the folder, and returns z's, images, figure and animation.

    Raises:
        UserError: anything the user can fix, before anything is written.
    """
    enable_cache()
    numbers = anchor_numbers(config)
    if (len(numbers) - 1) * (config.steps + 1) > MOST_IMAGES:
        raise ConfigError(
            f"{len(numbers)} anchors with --steps {config.steps}: a walk has at most {MOST_IMAGES} "
            "images; take fewer steps"
        )
    check_unused(config.out)
    generator = generation.load_generator(config.source)
    if config.label is not None:
        generator = generator.of_class(config.label)
    print(generator, flush=True)
    anchors = generator.noise(numbers, config.seed)
    walk = generation.interpolate(
        generator, anchors, steps=config.steps, names=numbers, classes=generator.classes(numbers)
    )
    print(f"Written to {walk.save(config.out)}: walk.png, walk.gif, walk.html")
    return walk


if __name__ == "__main__":
    command_line.main("interpolate", InterpolateConfig, run, __doc__)
