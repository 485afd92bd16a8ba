"""Hands a trained generator to other programs.

What:     one file: StableHLO for JAX alone, ONNX for other runtimes, or the weights, as safetensors
          or as PyTorch's .pt.
Source:   SOURCE as in experiments.generate.
Command:  python -m experiments.export runs/dcgan-quick --format onnx --out generator.onnx
          python -m experiments.export runs/dcgan-quick --format pt --out model.pt
Expected: each draws the same images from the same z, within 1e-5.

StableHLO: `jax.export.deserialize(open("generator.stablehlo", "rb").read()).call(z)`, with the
package flatbuffers. ONNX is written by the package onnx (`pip install 'jaxdl[onnx]'`): input `z`,
output `images`. Both take any number of z's and return images (N, H, W, C) in [-1, 1]. The .pt file
is for the course's class: `load_state_dict(torch.load("model.pt", weights_only=True))`.
In a notebook: `jaxdl.generation.export_generator(generator, "generator.onnx")`.
"""

import dataclasses
from pathlib import Path

from experiments.common import command_line
from experiments.common.config import SourceFlags, option
from jaxdl import generation
from jaxdl.distributed.compilation import enable_cache
from jaxdl.errors import ConfigError

THEME = "Generative adversarial networks"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(SourceFlags):
    """What to write, and where."""

    format: str | None = option(
        None, "unset: by the suffix of --out", choices=generation.exporting.FORMATS
    )
    out: str | None = option(
        None, "the file; unset: generator.FORMAT in the current folder; an existing one is replaced"
    )


def run(config: ExportConfig) -> Path:
    """Writes the file and returns its path.

    Raises:
        UserError: anything the user can fix, before anything is written.
    """
    enable_cache()
    if config.format is None and config.out is None:
        raise ConfigError("--format or --out is missing: say which kind of file to write")
    path = Path(config.out or f"generator.{config.format}")
    format = generation.find_format(path, config.format)
    generator = generation.load_generator(config.source)
    print(generator, flush=True)
    generation.export_generator(generator, path, format)
    print(f"Written to {path}: {path.stat().st_size:,} bytes of {format}")
    return path


if __name__ == "__main__":
    command_line.main("export", ExportConfig, run, __doc__)
