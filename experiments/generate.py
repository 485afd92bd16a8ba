"""Draws images with a trained generator; needs no data set.

What:     a folder of PNG files and a grid of the first hundred, or one .npz file with the arrays
          `images` (uint8, N × H × W × C) and `z`.
Source:   SOURCE is the folder of a DCGAN run, also of an interrupted one, or a file of weights:
          .safetensors, .npz, or PyTorch's .pt, such as the course's model.pt.
Command:  python -m experiments.generate runs/dcgan-quick --count 1000 --out samples
          python -m experiments.generate model.pt --count 10000 --out samples.npz --seed 7
          python -m experiments.generate model.pt --z samples.npz --out again
          python -m experiments.generate runs/dcgan-conditional --label 7 --count 100
Expected: the same seed gives the same images, whatever the count and the number of devices.

In a notebook: `jaxdl.generation.load_generator(source).sample(100)`.
"""

import dataclasses
import time
from pathlib import Path

from experiments.common import command_line
from experiments.common.config import SourceFlags, option
from jaxdl import generation
from jaxdl.distributed.compilation import enable_cache
from jaxdl.errors import ConfigError

THEME = "Generative adversarial networks"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateConfig(SourceFlags):
    """What to draw and where to put it."""

    count: int | None = option(
        None, "number of images; unset: 100, or one per z", low=1, high=2**31 - 1
    )
    out: str = option("runs/generated", "a new folder for PNG files, or a file ending in .npz")
    seed: int = option(0, "root of the random draws of z", low=0, high=2**31 - 1)
    z: str | None = option(
        None, "z to use instead: a .npy file, or an .npz file with the array z, (N, latent_dim)"
    )
    label: int | None = option(
        None, "the class to draw, of a generator of classes; unset: all in turn", low=0
    )


def run(config: GenerateConfig) -> Path:
    """Draws the images and returns the path of the folder or file.

    Raises:
        UserError: anything the user can fix, before anything is written.
    """
    enable_cache()
    if config.z is not None and config.count is not None:
        raise ConfigError("--count and --z: an image is drawn for each z; leave --count out")
    generation.check_out(config.out)
    z = None if config.z is None else generation.read_noise(config.z)
    generator = generation.load_generator(config.source)
    if config.label is not None:
        generator = generator.of_class(config.label)
    print(generator, flush=True)
    begin = time.perf_counter()
    path = generation.generate_images(generator, config.out, config.count, seed=config.seed, z=z)
    print(f"Written to {path} in {time.perf_counter() - begin:.1f} s")
    return path


if __name__ == "__main__":
    command_line.main("generate", GenerateConfig, run, __doc__)
