"""Sample grids of a generator in training, and their order in time."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.workdir import SAMPLES, Workdir
from jaxdl import plot
from jaxdl.run.schedule import Point, Schedule
from jaxdl.run.task import Hook
from jaxdl.training import gan, rngs
from jaxdl.training.collapse import sample_figures

GRID, COLUMNS = 100, 10  # images in a sample grid, and in a row of it, as in the course
MOST_ROWS = 50  # the first classes, if there are more

generate = jax.jit(gan.generate)  # one, so that a run's hooks and figures share a compilation


def fixed_inputs(config: Any, num_classes: int = 0) -> tuple[jax.Array, ...]:
    """The z of every sample grid, (100, latent_dim).

    With classes, labels (N,) follow: each class has a row of ten images, each with a z of its own.
    """
    rows = min(num_classes, MOST_ROWS)
    key = rngs.stream(rngs.root_key(config.seed), rngs.Stream.FIXED_NOISE)
    numbers = jnp.arange(COLUMNS * rows if rows else GRID)
    noise = rngs.normal_per_sample(key, numbers, config.latent_dim)
    return (noise, numbers // COLUMNS) if rows else (noise,)


def sample_writer(config: Any, workdir: Workdir, name: str, num_classes: int = 0) -> Hook:
    """Returns a hook that writes G's images of the fixed noise; the point fills in ``name``.

    The epoch's record gets a measure of how much the samples differ.
    """
    inputs = fixed_inputs(config, num_classes)

    def write(point: Point, state: gan.GANState) -> dict[str, float]:
        images = np.asarray(generate(state, *inputs))
        if jax.process_index() == 0:
            frame = plot.png_bytes(plot.tile(images))
            workdir.write(f"{SAMPLES}/{name.format(point=point)}", frame)
        return sample_figures(images)

    return Hook(write, config.sample_every if "step" in name else None)


def sample_frames(folder: Path, schedule: Schedule) -> tuple[list[np.ndarray], list[str]]:
    """The sample grids on disk at even steps, and the last, in step order, with titles.

    Grids written every so many steps and grids written at the ends of epochs would make an
    animation that runs faster and slower: it shows those of which there are more.
    """
    from PIL import Image

    kinds: dict[str, dict[int, Path]] = {"epoch": {}, "step": {}}
    for path in sorted(folder.glob("*.png")):
        kind, number = path.stem.split("_")
        step = int(number) * (1 if kind == "step" else schedule.steps_per_epoch)
        kinds[kind][min(step, schedule.total_steps)] = path
    everything = kinds["epoch"] | kinds["step"]
    last = max(everything, default=0)
    found = max(kinds.values(), key=len)
    found |= {step: path for step, path in everything.items() if step == last}
    frames = [np.asarray(Image.open(found[step])) for step in sorted(found)]
    titles = [f"Step {step}, epoch {schedule.epoch_of(step)}" for step in sorted(found)]
    return frames, titles
