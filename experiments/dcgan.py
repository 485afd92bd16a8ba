"""DCGAN generates handwritten digits: two networks trained against each other.

What:     a generator turns noise into 64×64 digits; a discriminator tells them from real ones.
Source:   course document 000; Radford et al. 2016, https://arxiv.org/abs/1511.06434.
Command:  python -m experiments.dcgan                  the course's configuration
          python -m experiments.dcgan --preset quick   a few minutes on two CPU cores
          python -m experiments.dcgan --num_devices 8  the same batch, spread over 8 devices
          python -m experiments.dcgan --preset quick --conditional        one class at a time
          python -m experiments.dcgan --preset quick --loss relativistic --r1 1 --r2 1 --norm none
Expected: after ten epochs (70,000 images, batch 100) the course reports losses of D between 0.03
          and 1.04, losses of G between 0.9 and 4.9, and D(x) between 0.66 and 0.99, at 108 to 117
          seconds per epoch on its GPU. The quick preset's samples are recognisable digits too.

G's loss does not measure quality. The course meant to keep the generator of the lowest loss, but
compared with a threshold that never moved. Here a judge scores the samples of each epoch; the
pictures and the exported generator are of the epoch with the best score.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import command_line, quality
from experiments.common.adversarial import (
    AdversarialConfig,
    check_adversarial,
    make_optimizers,
    make_recipe,
)
from experiments.common.config import option
from experiments.common.gan_results import (
    Trained,
    closing_lines,
    draw_figures,
    model_table,
    summarize,
)
from experiments.common.gan_samples import sample_writer
from experiments.common.own_images import ImageFlags
from experiments.common.session import Session, open_session
from experiments.common.table import flag_table
from experiments.common.training import exit_status, fit_or_replay, run_options
from experiments.common.workdir import GENERATOR_FILES, SUMMARY
from jaxdl import data, models
from jaxdl.distributed.memory import DEVICE, DISK, HOST, PLACES, check_fits, place_for
from jaxdl.distributed.precision import PRECISIONS, find_precision, products_as
from jaxdl.errors import ConfigError, DataError
from jaxdl.evaluation.references import pick, resized
from jaxdl.generation import save_generator
from jaxdl.run.divergence import Inspection
from jaxdl.run.feed import Feed
from jaxdl.run.fit import best_state
from jaxdl.run.gan_inputs import streamed_inputs, whole_inputs
from jaxdl.run.log import Record, RunLog
from jaxdl.run.schedule import Schedule
from jaxdl.run.task import Monitor, Task
from jaxdl.training import gan, rngs
from jaxdl.training.collapse import collapse_warnings
from jaxdl.training.reprs import short_repr

THEME = "Generative adversarial networks"

# Methods for the layers they apply to; the other layers use "auto".
CONV_METHODS = ("auto", "lax", "winograd", "winograd4")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DCGANConfig(ImageFlags, AdversarialConfig):
    """The course's configuration; the flags' help gives reasons and units."""

    COURSE_BATCH_SIZE: ClassVar[int] = 100
    NEEDS_CLASSES: ClassVar[bool] = False
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        # Half the width and 32×32 pixels: enough steps for digits in minutes on two cores. So few
        # steps must be ten times as long as the course's; the average over them calms the end.
        "quick": {
            "image_size": 32,
            "features": 32,
            "batch_size": 64,
            "max_steps": 3000,
            "epochs": 100,
            "sample_every": 250,
            "learning_rate": 2e-3,
            "ema_half_life": 10_000.0,
            "evaluate_every": 250,
            "evaluate_epochs": 0,
        },
        "smoke": {
            "image_size": 16,
            "features": 4,
            "batch_size": 16,
            "max_steps": 24,
            "epochs": 2,
            "sample_every": 8,
            "evaluate_samples": 100,
        },
    }

    image_size: int = option(64, "height and width of the images in pixels", low=1)
    features: int = option(64, "channels of the widest maps (ngf and ndf)", low=1, high=10_000)
    latent_dim: int = option(100, "length of the noise vector z", low=1, high=100_000)
    sample_every: int | None = option(
        None, "also write a sample grid every this many steps; unset: each epoch only", low=1
    )
    data_place: str | None = option(
        None,
        "where the images are: device, host, or disk (of --images); unset: by their size",
        choices=PLACES,
    )
    precision: str = option(
        "float32", "precision of products; lower is faster on a GPU", choices=tuple(PRECISIONS)
    )
    conv: str = option("auto", "how to compute convolutions, for study", choices=CONV_METHODS)
    ema_half_life: float = option(
        2000.0, "images in which the average of G forgets half of its past; 0: no average", low=0
    )
    evaluate_every: int | None = option(
        None, "also judge G every this many steps; unset: each epoch only", low=1
    )
    evaluate_epochs: int = option(
        1, "judge G at the end of every so many epochs; 0: at the end of the run", low=0
    )
    evaluate_samples: int = option(2000, "images that are judged each time; 0: none", low=0)
    judge: str | None = option(
        None, "a judge's file (experiments.evaluator); unset: the digits' own, or no network"
    )


class Result(NamedTuple):
    """What :func:`run` returns.

    Attributes:
        state: both trained networks at the end, on one device.
        history: every logged step and epoch.
        figures: "training_images", "curves", "quality" and "real_and_generated" as Matplotlib
            figures, and the animation.
        summary: the content of ``summary.json``.
        exit_status: None if complete. If the run was stopped, the program's exit status; then only
            state and history are filled.
    """

    state: gan.GANState
    history: RunLog
    figures: dict[str, Any]
    summary: dict[str, Any]
    exit_status: int | None = None

    __repr__ = short_repr


def describe(record: Record) -> str:
    """Formats a record like the course's console line, without its counters."""
    return (
        f"Loss-D: {record['loss_d']:.4f} Loss-G: {record['loss_g']:.4f} "
        f"D(x): {record['d_x']:.4f} D(G(z)): [{record['d_g_z1']:.4f}/{record['d_g_z2']:.4f}]"
    )


def check(config: DCGANConfig, dataset: data.Dataset) -> None:
    """Raises if this configuration cannot train on the data."""
    models.image_pyramid(config.image_size)
    if dataset.images.shape[-1] not in (1, 3):
        raise DataError(
            f"{dataset.name} has {dataset.images.shape[-1]} channels; DCGAN needs 1 or 3"
        )
    check_adversarial(config, dataset)
    if config.evaluate_samples:
        judge = quality.find_judge(config.judge, dataset)
        quality.check_samples(config.evaluate_samples, judge, dataset)
    channels = dataset.images.shape[-1]
    state = jax.eval_shape(lambda: create_state(config, channels, classes(config, dataset)))
    images = shape_of(config, dataset) if find_place(config, dataset) == DEVICE else ()
    check_fits(state, images, "both networks and the images (--features, --latent_dim)")


def classes(config: DCGANConfig, dataset: data.Dataset) -> int:
    """The number of classes that the networks know; 0 if they know none."""
    return dataset.num_classes if config.conditional else 0


def shape_of(config: DCGANConfig, dataset: data.Dataset) -> jax.ShapeDtypeStruct:
    """The images' shape and type in training."""
    count, *_, channels = dataset.images.shape
    return jax.ShapeDtypeStruct((count, config.image_size, config.image_size, channels), np.uint8)


def find_place(config: DCGANConfig, dataset: data.Dataset) -> str:
    """Where the images are in training; what has been read into memory is not put on disk."""
    in_file = isinstance(dataset.images, data.StoredImages)
    if config.data_place == DISK and not in_file:
        raise ConfigError(
            f"--data_place disk: the images of {dataset.name} are in memory already; give host, or "
            "a folder with --images"
        )
    found = config.data_place or place_for(shape_of(config, dataset))
    return HOST if found == DISK and not in_file else found


def create_state(config: DCGANConfig, channels: int, num_classes: int = 0) -> gan.GANState:
    """Creates both networks before the first step; their weights depend only on the seed."""
    adam = make_optimizers(config)
    dtype = find_precision(config.precision).dtype
    how = {"conv": config.conv, "dtype": dtype, "num_classes": num_classes}
    state = gan.create_state(
        rngs.stream(rngs.root_key(config.seed), rngs.Stream.WEIGHTS),
        models.Generator(
            config.features,
            config.latent_dim,
            config.image_size,
            channels,
            normalization=config.generator_norm,
            **how,
        ),
        models.Discriminator(config.features, config.image_size, normalization=config.norm, **how),
        adam.generator,
        adam.discriminator,
        config.pack,
    )
    return state.with_average() if config.ema_half_life else state


def monitor(config: DCGANConfig, dataset: data.Dataset) -> tuple[Monitor | None, str | None]:
    """What scores G during training, and the judge's hash; None for what is not there."""
    if not config.evaluate_samples:
        return None, None
    judge = quality.find_judge(config.judge, dataset)
    key = rngs.stream(rngs.root_key(config.seed), rngs.Stream.EVALUATION)
    noise = rngs.normal_per_sample(key, jnp.arange(config.evaluate_samples), config.latent_dim)
    test_images = resized(dataset.test.images, (config.image_size,) * 2)
    labels = np.resize(dataset.test.labels, len(noise)) if config.conditional else None
    train = dataset.train.images
    real = None  # too few training images: scores of unequal numbers cannot be compared
    if len(train) >= len(noise):
        real = resized(train[pick(len(train), len(noise))], (config.image_size,) * 2)
    scores = quality.generator_monitor(
        judge, test_images, noise, config.evaluate_every, config.evaluate_epochs, labels, real
    )
    return scores, judge.hash if judge else None


def load_images(config: DCGANConfig, dataset: data.Dataset) -> np.ndarray | data.StoredImages:
    """The images at the size of training, uint8 (N, H, W, C); in their file if they stay there."""
    if find_place(config, dataset) == DISK:
        return dataset.images
    return data.resize_square(dataset.images, config.image_size)


def make_inputs(
    config: DCGANConfig, session: Session, images: np.ndarray | data.StoredImages
) -> Callable[[int], gan.GANInputs | Feed]:
    """The inputs by epoch, from wherever the images are."""
    root, labels = rngs.root_key(config.seed), None
    if config.conditional:
        labels = jnp.asarray(session.dataset.labels)
    if find_place(config, session.dataset) == DEVICE:
        return whole_inputs(images, root, session.devices.local, labels)
    return streamed_inputs(images, root, make_recipe(config), labels)


def train(
    config: DCGANConfig,
    session: Session,
    images: np.ndarray | data.StoredImages,
    schedule: Schedule,
) -> Trained | None:
    """Runs the adversarial training; None if it only repeated steps for debugging."""
    recipe = make_recipe(config, config.ema_half_life)
    num_classes = classes(config, session.dataset)
    # All processes have the same hooks, so that all stop at the same steps; one writes.
    hooks = [sample_writer(config, session.workdir, "epoch_{point.epoch:04d}.png", num_classes)]
    if config.sample_every:
        hooks.append(
            sample_writer(config, session.workdir, "step_{point.step:06d}.png", num_classes)
        )
    task = Task(
        functools.partial(gan.batch_step, recipe=recipe),
        create_state(config, images.shape[-1], num_classes),
        make_inputs(config, session, images),
        inspection=Inspection(recipe.batches),
    )
    scores, judge = monitor(config, session.dataset)
    options = run_options(
        session,
        hooks=hooks,
        warnings=functools.partial(collapse_warnings, probabilities=config.loss == "bce"),
        monitor=scores,
        identity={**session.workdir.identity, "judge": judge},
    )
    fitted = fit_or_replay(task, schedule, options, config.debug_step)
    return None if fitted is None else Trained(fitted, best_state(fitted, options)[0], judge)


def run(config: DCGANConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs.

    Returns:
        State, history, figures and summary; None for a dry run, or if steps were only repeated.

    Raises:
        UserError: anything the user can fix, before anything is written.

    Example:
        >>> import tempfile
        >>> result = run(DCGANConfig.from_preset(
        ...     "smoke", workdir=tempfile.mkdtemp(), data_source="embedded", num_devices=1,
        ...     max_steps=2, evaluate_samples=0))
        mnist: 4,000 training and 1,000 test images...
        >>> int(result.state.step)
        2
    """
    begin = time.perf_counter()
    with open_session("dcgan", config, describe, check) as session:
        return train_and_draw(session, begin)


def train_and_draw(session: Session, begin: float) -> Result | None:
    """Does everything after opening the session, from ``begin`` on the performance counter."""
    config = session.config
    schedule = Schedule(
        make_recipe(config).steps_per_epoch(len(session.dataset.images)),
        config.epochs,
        config.max_steps,
        config.batch_size,
    )
    tell = session.console.message
    if config.dry_run:
        tell(flag_table(config))
        given = session.dataset.images.shape[-1], classes(config, session.dataset)
        state = jax.eval_shape(lambda: create_state(config, *given))
        tell(model_table(state, config.pack))
        return None
    images = load_images(config, session.dataset)
    if (place := find_place(config, session.dataset)) != DEVICE:
        tell(f"The images stay on the {place}; each part of an epoch is read before its turn.")
    tell(
        f"{schedule.total_steps} steps of {config.batch_size} images, "
        f"{schedule.steps_per_epoch} an epoch; results in {config.workdir}"
    )
    platform = session.devices.local[0].platform
    if platform == "cpu" and config.precision != "float32":
        tell(f"A CPU gains nothing from --precision {config.precision}.")
    with products_as(config.precision, platform):
        trained = train(config, session, images, schedule)
    session.console.close()
    if trained is None:
        return None
    fitted = trained.fitted
    if fitted.stopped_by is not None or not session.devices.is_main:
        return Result(fitted.state, fitted.log, {}, {}, exit_status(fitted))
    figures = draw_figures(config, session, images, schedule, trained)
    generator = quality.drawn_by(trained.best.averaged_generator)
    for file in GENERATOR_FILES:
        save_generator(generator, session.workdir.path / file)
    summary = summarize(trained, session, time.perf_counter() - begin)
    went_on = fitted.progress.step > (fitted.resumed_from or 0)
    # A run that was killed after its last step has no summary yet.
    if went_on or not (session.workdir.path / SUMMARY).exists():
        session.workdir.write_summary(summary)
    tell(closing_lines(summary, fitted, config))
    return Result(fitted.state, fitted.log, figures, summary)


if __name__ == "__main__":
    command_line.main("dcgan", DCGANConfig, run, __doc__)
