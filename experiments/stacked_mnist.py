"""Stacked MNIST: does the generator cover all of a thousand modes?

What:     three digits as the colours of one image make a thousand classes, all equally frequent.
          DCGAN learns them as it is (plain) and stabilised: with a relativistic loss and the
          penalties R1 and R2, in place of the discriminator's BatchNorm. All else is the same: 371
          thousand weights in G and 167 thousand in D, 8,000 steps of 32 images, a step size that
          falls from 0.002 to 0. A judge of digits reads 26,000 samples, colour by colour.
Source:   Metz et al. 2017 (the test), Lin et al. 2018 (PacGAN), Huang et al. 2025 (R3GAN's loss).
Command:  python -m experiments.stacked_mnist --data_dir DIR
          python -m experiments.stacked_mnist --preset smoke    seconds; its figures mean nothing
Expected: with all of MNIST both cover 1,000 modes with each of three seeds: the plain one with a
          KL of 0.12, 0.12 and 0.10, the stabilised one with 0.06, 0.07 and 0.05, after 5.5 and 8.5
          minutes of one core. The papers, with other networks and judges, have 99 of 1,000 modes
          for DCGAN (KL 3.40), and all of them for PacGAN (0.06) and for R3GAN's loss (0.08). A
          perfect sampler has a KL of 0.02.

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
    },
}
PAPERS = (
    ("DCGAN, VEEGAN's paper", "99", "3.40"),
    ("DCGAN, PacGAN's paper", "78.9 ± 6.5", "4.50"),
    ("PacDCGAN2, 50 epochs", "1000", "0.06"),
    ("R3GAN's loss", "1000", "0.08"),
)
PAPER_MODES = (99, 1000)  # of DCGAN and of R3GAN's loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackedMnistConfig(DataConfig):
    """The networks and how long they train."""

    TRAINS: ClassVar[bool] = True
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 1, "steps": 4, "features": 2, "image_size": 16, "samples": 1000},
    }

    seeds: int = option(3, "trainings of each setting, with seeds 0, 1, …", low=1, high=100)
    steps: int = option(8000, "updates of G; the step size falls to 0 over them", low=1)
    batch_size: int = option(32, "images in a batch", low=2)
    image_size: int = option(32, "height and width in pixels", low=1)
    features: int = option(32, "channels of the widest maps", low=1)
    learning_rate: float = option(2e-3, "Adam's step size at first", above=0)
    ema_half_life: float = option(
        10_000.0, "images in which the average of G forgets half of its past", above=0
    )
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
    names = ("batch_size", "image_size", "features", "learning_rate", "ema_half_life")
    return dcgan.DCGANConfig(
        dataset=STACKED,
        workdir=str(folder_of(config) / "runs" / f"{setting}_{seed}"),
        seed=seed,
        max_steps=config.steps,
        decay_steps=config.steps,
        epochs=config.steps,
        evaluate_samples=0,
        data_dir=config.data_dir,
        data_source=config.data_source,
        num_devices=config.num_devices,
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


def draw(rows: list[Row], pictures: dict[str, np.ndarray]) -> dict[str, Any]:
    """Samples of the first training of each setting, and the modes of all trainings."""
    modes = {name: [row.found.modes for row in rows if row.setting == name] for name in SETTINGS}
    titles = [f"{name}: {found[0]:,} of 1,000 modes" for name, found in modes.items()]
    return {
        "samples": plot.compare_grids(*pictures.values(), tuple(titles)),
        "modes": plot.values_per_seed(
            modes,
            ylabel="Modes of 1,000",
            run_references=dict(zip(SETTINGS, PAPER_MODES, strict=True)),
            run_reference_label="papers",
            possible=(0, MODES),
        ),
    }


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
    trainings = [(setting, seed) for setting in SETTINGS for seed in range(config.seeds)]
    for number, (setting, seed) in enumerate(trainings, 1):
        print(f"\nTraining {number} of {len(trainings)}: {setting}, seed {seed}", flush=True)
        row, images = train_and_count(config, setting, seed, judge)
        print(f"{setting}, seed {seed}: {row.found.modes} modes, KL {row.found.kl:.3f}", flush=True)
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
    return lesson.finish(folder, summary, draw(rows, pictures))


if __name__ == "__main__":
    command_line.main("stacked_mnist", StackedMnistConfig, run, __doc__)
