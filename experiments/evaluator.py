"""Trains the judge: a small classifier whose features measure generated images.

What:     a network of strided convolutions learns to name the training images; its features and
          class scores then tell how close generated images come to real ones.
Source:   the Fréchet distance and its relatives compare features of a trained network (Heusel et
          al. 2017, https://arxiv.org/abs/1706.08500); for digits one trains it on digits.
Command:  python -m experiments.evaluator                       the judge in the package: full MNIST
          python -m experiments.evaluator --dataset fashion_mnist --out fashion.safetensors
          python -m experiments.evaluator --images DIR            its sub-folders are the classes
Expected: at least 99.4% of MNIST's test images, in about four minutes on two cores. The same
          command gives the same weights on the same machine; other processors and versions of JAX
          round differently, which training amplifies: there the judge has another hash and its
          scores are not comparable.

The judge sees the training images only. Of the test images it is told nothing, so both it and a
generator can be measured with them. It is shown them with changed contrast and brightness, so that
it judges shapes: one that knows black backgrounds only takes a faint grey for a grave defect.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import optax

from experiments.common import command_line
from experiments.common.config import TrainingConfig, changed_flags, option
from experiments.common.own_images import ImageFlags
from experiments.common.session import Session, open_session
from experiments.common.table import flag_table
from experiments.common.training import exit_status, is_replayed, run_options
from experiments.common.workdir import FREE_FIELDS
from jaxdl import data, nn, optim
from jaxdl.data.augmentation import Augmentations
from jaxdl.errors import ConfigError, DataError
from jaxdl.evaluation import Judge, JudgeNetwork, make_judge, save_judge, to_judge_size
from jaxdl.run.classifier_task import ClassifierOptions, classifier_task
from jaxdl.run.classifiers import FittedClassifier, fit_classifier
from jaxdl.run.log import Record, RunLog
from jaxdl.run.progress import clock
from jaxdl.run.replay import replay
from jaxdl.training.collapse import chance_warnings
from jaxdl.training.reprs import short_repr

THEME = "Generative adversarial networks"

LARGEST_SIDE = 32  # of the judge's input: larger images are resized
WARM_UP = 0.1  # share of the steps in which the learning rate rises
FILE = "judge.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatorConfig(ImageFlags, TrainingConfig):
    """The packaged judge's settings; the flags' help gives reasons and units."""

    COURSE_BATCH_SIZE: ClassVar[int] = 125  # divides the 60,000 training digits
    image_size: ClassVar[int] = LARGEST_SIDE  # of pictures
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"max_steps": 4, "epochs": 1, "batch_size": 50, "log_every": 1}
    }

    epochs: int = option(12, "passes over the training part", low=1)
    learning_rate: float = option(3e-3, "Adam's largest step size; a cosine takes it to 0", above=0)
    log_every: int = option(20, "steps between logged steps", low=1)
    hidden: int = option(64, "number of features", low=2, high=128)
    degrees: float = option(10.0, "largest rotation of a training image", low=0, high=180)
    shift: int = option(2, "largest shift of a training image in pixels", low=0, high=100)
    scale: float = option(0.1, "training images are scaled by up to 1 ± this", low=0, high=0.5)
    contrast: float = option(0.7, "their contrast is changed by up to 1 ± this", low=0, high=1)
    brightness: float = option(0.3, "their brightness is changed by up to 1 ± this", low=0, high=1)
    out: str | None = option(None, f"file of the judge; unset: {FILE} in the workdir")

    @property
    def length_is_fixed(self) -> bool:
        """The step sizes depend on the number of steps."""
        return True


class Result(NamedTuple):
    """What :func:`run` returns.

    Attributes:
        judge: the trained judge; None if the run was stopped.
        history: every logged step and epoch.
        summary: the content of ``summary.json``.
        exit_status: None if complete, else the stopped program's exit status.
    """

    judge: Judge | None
    history: RunLog
    summary: dict[str, Any]
    exit_status: int | None = None

    __repr__ = short_repr


def describe(record: Record) -> str:
    """Formats a record for the console."""
    text = f"Loss: {record['loss'][0]:.4f} Accuracy: {record['accuracy'][0]:.2%}"
    if "test_accuracy" in record:
        text += f" Test: {record['test_accuracy'][0]:.2%}"
    return text


def check(config: EvaluatorConfig, dataset: data.Dataset) -> None:
    """Raises if this configuration cannot train on the data."""
    if dataset.images.shape[-1] not in (1, 3):
        raise DataError(f"{dataset.name} has {dataset.images.shape[-1]} channels; need 1 or 3")
    if config.batch_size > dataset.num_train:
        raise ConfigError(
            f"--batch_size {config.batch_size} is more than the {dataset.num_train} training images"
        )
    if config.out is not None and (
        not config.out.endswith(".safetensors") or Path(config.out).is_dir()
    ):
        raise ConfigError(f"--out {config.out}: name a file that ends in .safetensors")


def make_network(config: EvaluatorConfig, dataset: data.Dataset) -> JudgeNetwork:
    """The judge's network for a data set."""
    height, width, channels = dataset.images.shape[1:]
    return JudgeNetwork(
        hidden=config.hidden,
        num_classes=dataset.num_classes,
        image_size=min(max(height, width), LARGEST_SIDE),
        channels=channels,
    )


def arguments_of(session: Session) -> dict[str, Any]:
    """What ``fit_classifier`` and ``classifier_task`` take."""
    config, dataset = session.config, session.dataset
    network = make_network(config, dataset)
    per_epoch = data.steps_per_epoch(dataset.num_train, config.batch_size, drop_last=False)
    steps = min(config.epochs * per_epoch, config.max_steps or np.inf)
    rate = optax.warmup_cosine_decay_schedule(
        config.learning_rate / 10, config.learning_rate, int(WARM_UP * steps), int(steps)
    )
    # Geometry first: it fills with black, which the changes of contrast then raise.
    kinds = {
        "scale": config.scale,
        "rotation": config.degrees,
        "shift": config.shift,
        "contrast": config.contrast,
        "brightness": config.brightness,
    }
    return {
        "model": network,
        "optimizer": optim.adam(rate, b2=0.99),
        "train": dataset.train,
        "evaluate_on": {"test": dataset.test},
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "how": ClassifierOptions(
            seeds=(config.seed,),
            max_steps=config.max_steps,
            transform=functools.partial(to_judge_size, size=network.image_size),
            augment=Augmentations(tuple(kinds.items())),
        ),
        "options": run_options(
            session,
            # The learning rate depends on the length, so a run cannot be prolonged.
            identity={**session.workdir.identity, "steps": int(steps)},
            warnings=chance_warnings,
        ),
    }


def command_of(config: EvaluatorConfig) -> str:
    """The command that gives the same weights, without the flags that only say where."""
    where = FREE_FIELDS - {"epochs", "max_steps"} | {"log_every", "out"}
    flags = changed_flags(config, {"batch_size": config.COURSE_BATCH_SIZE}, where)
    return " ".join(["python -m experiments.evaluator", *flags])


def finish(session: Session, fitted: FittedClassifier) -> Result:
    """Rounds the weights, measures the judge, writes its file, and reports."""
    config, dataset = session.config, session.dataset
    network = make_network(config, dataset)
    record = {
        "dataset": dataset.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "training_images": dataset.num_train,
        "command": command_of(config),
        "seed": config.seed,
    }
    judge = make_judge(network, fitted.network().variables(), **record)
    _, logits = judge.features(dataset.test.images)
    accuracy = float((logits.argmax(-1) == dataset.test.labels).mean())
    judge = judge._replace(record={**judge.record, "test_accuracy": round(accuracy, 6)})
    path = Path(config.out) if config.out else session.workdir.path / FILE
    summary = {
        "program": "evaluator",
        **judge.record,
        "judge": judge.hash,
        "file": str(path),
        "training_seconds": fitted.fitted.progress.seconds,
        "device": session.devices.kind,
    }
    if session.devices.is_main:
        save_judge(judge, path)
        session.workdir.write_summary({**summary, "bytes": path.stat().st_size})
    session.console.message(
        f"The judge names {accuracy:.2%} of the {len(logits):,} test images; trained in "
        f"{clock(fitted.fitted.progress.seconds)}.\nIt is {path}, hash {judge.hash}."
    )
    return Result(judge, fitted.log, summary)


def run(config: EvaluatorConfig) -> Result | None:
    """Trains a judge and writes its file; None for a dry run.

    Raises:
        UserError: anything the user can fix, before anything is written.
    """
    with open_session("evaluator", config, describe, check) as session:
        if config.dry_run:
            network = make_network(session.config, session.dataset)
            image = (1, network.image_size, network.image_size, network.channels)
            session.console.message(f"{flag_table(session.config)}\n\n{nn.summary(network, image)}")
            return None
        arguments = arguments_of(session)
        if is_replayed(session.config, arguments["options"]):
            replay(*classifier_task(**arguments), arguments["options"], session.config.debug_step)
        if session.config.debug_step is not None:
            return None
        fitted = fit_classifier(**arguments)
        session.console.close()
        if (status := exit_status(fitted.fitted)) is not None:
            return Result(None, fitted.log, {}, status)
        return finish(session, fitted)


if __name__ == "__main__":
    command_line.main("evaluator", EvaluatorConfig, run, __doc__)
