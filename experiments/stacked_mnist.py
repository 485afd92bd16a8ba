"""Stacked MNIST: does the generator cover all of a thousand modes?

What:     three digits as the colours of one image make a thousand classes, all equally frequent.
          DCGAN learns 128,000 of them, as it is (plain) and stabilised: a relativistic loss, with
          the penalties R1 and R2 in place of normalisation. A judge of digits reads 26,000 samples,
          colour by colour.
Source:   Metz et al. 2017 (the test), Lin et al. 2018 (PacGAN), Huang et al. 2025 (R3GAN's loss).
Command:  python -m experiments.stacked_mnist --data_dir DIR
          python -m experiments.stacked_mnist --preset smoke    seconds; its figures mean nothing
Expected: the papers have 99 of 1,000 modes for DCGAN (KL 3.40), and all of them for PacGAN (0.06)
          and for R3GAN's loss (0.08). A perfect sampler has a KL of 0.02.

Stopped and started again, it goes on where it was.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from experiments import dcgan
from experiments.common import command_line, lesson
from experiments.common.config import DataConfig, option
from experiments.common.run_data import STACKED, load_named
from experiments.common.session import default_workdir
from experiments.common.table import text_table
from jaxdl import data, evaluation, generation, plot
from jaxdl.evaluation import Judge
from jaxdl.metrics.generative import ModeCoverage, mode_coverage

THEME = "Generative adversarial networks"

MODES = 1000
SHOWN = 100  # samples in a picture
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stabilised": {
        "loss": "relativistic",
        "r1": 1.0,
        "r2": 1.0,
        "norm": "none",
        "generator_norm": "none",
    },
}
PAPERS = (
    ("DCGAN, VEEGAN's paper", "99", "3.40"),
    ("DCGAN, PacGAN's paper", "78.9 ± 6.5", "4.50"),
    ("PacDCGAN2, 50 epochs", "1000", "0.06"),
    ("R3GAN's loss", "1000", "0.08"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackedMnistConfig(DataConfig):
    """The networks and how long they train."""

    TRAINS: ClassVar[bool] = True
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 1, "steps": 4, "features": 2, "image_size": 16, "samples": 1000},
    }

    seeds: int = option(3, "trainings of each setting, with seeds 0, 1, …", low=1, high=100)
    steps: int = option(10_000, "updates of G", low=1)
    batch_size: int = option(64, "images in a batch", low=2)
    image_size: int = option(32, "height and width in pixels", low=1)
    features: int = option(32, "channels of the widest maps", low=1)
    learning_rate: float = option(2e-4, "Adam's step size", above=0)
    samples: int = option(26_000, "images whose modes are counted", low=MODES, high=1_000_000)
    num_devices: int | None = option(None, "devices; unset: all available", low=1)


class Row(NamedTuple):
    """What one training has come to."""

    setting: str
    seed: int
    found: ModeCoverage
    seconds: float


def read_modes(images: np.ndarray, judge: Judge) -> np.ndarray:
    """The modes 0 to 999 of images (N, H, W, 3), as the judge of digits reads their colours."""
    digits = [judge.see(images[..., i : i + 1]).logits.argmax(1) for i in range(3)]
    return np.stack(digits, axis=1) @ np.array([100, 10, 1])


def folder_of(config: StackedMnistConfig) -> Path:
    """The folder of the results."""
    return Path(config.workdir or default_workdir("stacked_mnist", config.preset))


def training_config(config: StackedMnistConfig, setting: str, seed: int) -> dcgan.DCGANConfig:
    """The configuration of one training; neither judged nor drawn before its end."""
    names = ("batch_size", "image_size", "features", "learning_rate", "num_devices")
    return dcgan.DCGANConfig(
        dataset=STACKED,
        workdir=str(folder_of(config) / "runs" / f"{setting}_{seed}"),
        seed=seed,
        max_steps=config.steps,
        epochs=config.steps,
        evaluate_samples=0,
        data_dir=config.data_dir,
        data_source=config.data_source,
        **{name: getattr(config, name) for name in names},
        **SETTINGS[setting],
    )


def train_and_count(
    config: StackedMnistConfig, setting: str, seed: int, judge: Judge
) -> tuple[Row, np.ndarray]:
    """Trains one generator, unless it is there already; its modes, and some of its samples.

    Raises:
        SystemExit: a signal stopped the training.
    """
    training = training_config(config, setting, seed)
    result = dcgan.run(training)
    if result.exit_status is not None:
        raise SystemExit(result.exit_status)
    generator = generation.load_generator(training.workdir)
    batches = generator.pixels(generator.noise_batches(config.samples, seed))
    images = np.concatenate(list(batches))
    found = mode_coverage(read_modes(images, judge), MODES)
    seconds = result.summary["training_seconds"]
    return Row(setting, seed, found, seconds), images[:SHOWN]


def result_table(rows: list[Row], real: ModeCoverage) -> str:
    """A row a training, above real images and the papers' figures."""
    lines = [
        (
            f"{row.setting}, seed {row.seed}",
            row.found.modes,
            f"{row.found.kl:.3f}",
            f"{row.seconds:,.0f}",
        )
        for row in rows
    ]
    lines.append(("real test digits", real.modes, f"{real.kl:.3f}", ""))
    return text_table(
        ("", "modes of 1,000", "KL (nats)", "seconds"), lines + [(*p, "") for p in PAPERS]
    )


def run(config: StackedMnistConfig) -> lesson.Result:
    """Trains, counts, prints the table and writes the folder.

    Raises:
        UserError: anything the user can fix, before anything is trained.
        DivergenceError: a training's numbers are no longer finite.
    """
    begin = time.perf_counter()
    judge = evaluation.load_judge("mnist")
    lesson.check_own(folder_of(config), "stacked_mnist")
    dataset = load_named(STACKED, config.data_dir, config.data_source)
    folder = lesson.begin("stacked_mnist", config)
    test = dataset.test.images[: config.samples]
    real = mode_coverage(read_modes(data.resize_square(test, config.image_size), judge), MODES)
    rows, pictures = [], {}
    for setting in SETTINGS:
        for seed in range(config.seeds):
            row, images = train_and_count(config, setting, seed, judge)
            print(f"{setting}, seed {seed}: {row.found.modes} modes, KL {row.found.kl:.3f}\n")
            rows.append(row)
            pictures.setdefault(setting, images)
    print(result_table(rows, real))
    summary = {
        "program": "stacked_mnist",
        "rows": [{**row._asdict(), "found": row.found._asdict()} for row in rows],
        "real": real._asdict(),
        "samples": config.samples,
        "judge": judge.hash,
        "data": dataset.source,
        "seconds": time.perf_counter() - begin,
    }
    figures = {
        setting: plot.image_grid(images, title=f"Stacked MNIST, {setting}")
        for setting, images in pictures.items()
    }
    figures["modes"] = plot.values_per_seed(
        {name: [row.found.modes for row in rows if row.setting == name] for name in SETTINGS},
        ylabel="Modes of 1,000",
    )
    return lesson.finish(folder, summary, figures)


if __name__ == "__main__":
    command_line.main("stacked_mnist", StackedMnistConfig, run, __doc__)
