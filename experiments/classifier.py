"""Trains an image classifier: a linear model, an MLP or a CNN, with the ingredients you choose.

What:     a network learns to name the images of a data set; a part of the training images is held
          out for validation, and the test part is only measured.
Source:   the course's subject from documents 001 (what to try when it does not work), 002 (losses,
          imbalance) and 004 (the MLP).
Command:  python -m experiments.classifier                    a CNN on MNIST
          python -m experiments.classifier --preset quick     some epochs of it
          python -m experiments.classifier --model mlp --optimizer sgd --schedule cosine --seeds 3
          python -m experiments.classifier --evaluate runs/classifier
Expected: at least 99.3% of full MNIST's test images.

The run's folder holds what experiments.diagnose needs: facts.json (the data, and the layers before
training), metrics.jsonl (losses, accuracies, gradients and dead units after each epoch) and
predictions.npz (probabilities of the first seed's network, which is also the one that is saved).
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.common import command_line, diagnosing, ingredients, judgement, lesson
from experiments.common.classifier_results import MODEL, Result, write_facts, write_results
from experiments.common.config import option
from experiments.common.parts import make_parts, take
from experiments.common.run_data import recorded_flags
from experiments.common.session import Session, default_workdir
from experiments.common.study import (
    Run,
    StoppedError,
    StudyConfig,
    is_only_looked_at,
    open_study,
    train_runs,
)
from jaxdl import classification, data, nn
from jaxdl.classification import TrainedClassifier
from jaxdl.data.augmentation import parse_augmentations
from jaxdl.distributed.compilation import enable_cache
from jaxdl.errors import ConfigError, DivergenceError, WeightsError, WorkdirError
from jaxdl.run import layer_hook
from jaxdl.training.early_stopping import EarlyStopping

THEME = "Practice"

PROBED = 500  # training images, for gradients and dead units
CNN_AUGMENT = "scale:0.1,rotation:10,shift:2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig(StudyConfig):
    """What to train and how; the flags' help gives reasons and units."""

    COURSE_BATCH_SIZE: ClassVar[int] = 125  # as the judge's; divides MNIST's training images
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 6, "max_steps": 600, "seeds": 2},
        "smoke": {"epochs": 2, "max_steps": 4, "seeds": 2, "log_every": 1},
    }

    seeds: int = option(1, "number of seeds, trained together", low=1, high=1000)
    epochs: int = option(12, "passes over the training part", low=1)
    log_every: int = option(20, "steps between logged steps", low=1)
    dataset: str | None = option(
        None,
        "data set: mnist, fashion_mnist, another of TFDS, or NAME of IDX files in "
        "DATA_DIR/NAME; unset: mnist, or what the "
        "network of --evaluate was trained on",
    )
    model: str = option("cnn", "the network", choices=ingredients.MODELS)
    width: int | None = option(
        None,
        "neurons of a hidden layer, or channels of a CNN's first block; unset: 512, or 32",
        low=1,
        high=100_000,
    )
    depth: int | None = option(
        None, "hidden layers, or a CNN's blocks; unset: 2, or 3", low=0, high=200
    )
    dropout: float = option(0.0, "share of activations set to zero", low=0, high=0.99)
    activation: str = option("relu", "of the hidden layers", choices=tuple(nn.ACTIVATIONS))
    normalization: str | None = option(
        None, "of the hidden layers; unset: batch for a CNN, none else", choices=("batch", "none")
    )
    residual: bool = option(False, "whether an MLP's hidden layers add their output to their input")
    initialization: str = option(
        "pytorch", "first weights", choices=tuple(ingredients.INITIALIZATIONS)
    )
    weight_scale: float = option(1.0, "factor of the first weights", above=0)
    initial_bias: float | None = option(
        None,
        "first biases of the hidden layers; unset: PyTorch's, or 0 with other first weights",
        low=-1000,
        high=1000,
    )
    inputs: str = option(
        "standard",
        "pixels with mean 0 and deviation 1, in [0, 1], or 0 to 255 as they are",
        choices=classification.inputs.SCALINGS,
    )
    optimizer: str = option("adam", "optimiser", choices=tuple(ingredients.OPTIMIZERS))
    learning_rate: float | None = option(
        None, "largest step size; unset: the optimiser's usual one", above=0
    )
    momentum: float = option(0.9, "of momentum and nesterov", above=0, high=1)
    schedule: str = option("warmup_cosine", "of the rate", choices=ingredients.SCHEDULES)
    l1: float = option(0.0, "L1's coefficient λ: λ·sign(w) is added to the gradient", low=0)
    l2: float = option(
        0.0, "L2's coefficient λ: λ·w is added to the gradient (adamw: to the step)", low=0
    )
    loss: str = option("cross_entropy", "loss", choices=tuple(ingredients.LOSSES))
    output: str | None = option(
        None,
        "form of the output that the loss is given; unset: the one it is made for",
        choices=tuple(ingredients.OUTPUTS),
    )
    label_smoothing: float = option(0.0, "cross-entropy's ε", low=0, high=1)
    augment: str | None = option(
        None,
        "augmentations, such as rotation:15,shift:2,elastic, or none; unset: "
        f"{CNN_AUGMENT} for a CNN",
    )
    sampling: str = option("uniform", "how examples are drawn", choices=("uniform", "balanced"))
    class_weights: str = option(
        "uniform", "what a class counts in the loss", choices=("uniform", "balanced")
    )
    validation: float = option(
        0.1, "share of the training images held out for validation; 0: none", low=0, high=0.9
    )
    patience: int | None = option(
        None, "stop after so many epochs without a lower validation loss, keep the best", low=1
    )
    evaluate: str | None = option(
        None, "do not train: judge the classifier in this run's folder or file"
    )

    @property
    def length_is_fixed(self) -> bool:
        """Whether the step sizes depend on the number of steps."""
        return self.schedule not in ("constant", "plateau")


def resolved(config: ClassifierConfig) -> ClassifierConfig:
    """The configuration with a model's and an optimiser's usual settings filled in.

    Raises:
        ConfigError: flags do not fit together.
    """
    width, depth = ingredients.USUAL_SIZE[config.model]
    usual = {
        "dataset": "mnist",
        "width": width,
        "depth": depth,
        "learning_rate": ingredients.OPTIMIZERS[config.optimizer].rate,
        "output": ingredients.LOSSES[config.loss][1],
        "augment": CNN_AUGMENT if config.model == "cnn" else "none",
        "normalization": ingredients.USUAL_NORMALIZATION[config.model],
    }
    missing = {name: value for name, value in usual.items() if getattr(config, name) is None}
    config = dataclasses.replace(config, **missing)
    if config.patience is not None and not config.validation:
        raise ConfigError("--patience needs a validation part: give --validation")
    parse_augmentations(config.augment)
    ingredients.make_model(network_of(config), 2)
    ingredients.make_objective(config.loss, config.output, config.label_smoothing)
    return config


def network_of(config: ClassifierConfig) -> ingredients.Network:
    """The network in words."""
    return ingredients.Network(*(getattr(config, name) for name in ingredients.Network._fields))


def make_inputs(config: ClassifierConfig, dataset: data.Dataset) -> classification.Inputs:
    """The scaling of the images; a CNN's are padded so that each block can halve them.

    Raises:
        ConfigError: the CNN has more blocks than such images can be halved.
    """
    multiple, side = None, max(dataset.images.shape[1:3])
    if config.model == "cnn":
        multiple = 2**config.depth
        if multiple >= 2 * side:
            raise ConfigError(
                f"--depth {config.depth}: images of {side} pixels can be halved "
                f"{(side - 1).bit_length()} times"
            )
    return classification.inputs_for(dataset.train.images, config.inputs, multiple)


def make_runs(config: ClassifierConfig, dataset: data.Dataset) -> Sequence[Run]:
    """The one run."""
    parts = make_parts(dataset, config.validation, config.seed)
    inputs = make_inputs(config, dataset)
    objective = ingredients.make_objective(config.loss, config.output, config.label_smoothing)
    labels, classes = parts.train.labels, dataset.num_classes
    weights = data.balanced_class_weights(labels, classes)
    per_epoch = data.steps_per_epoch(len(labels), config.batch_size, drop_last=False)
    steps = int(min(config.epochs * per_epoch, config.max_steps or np.inf))
    fields = {name: getattr(config, name) for name in ingredients.Training._fields}
    how: dict[str, Any] = {"transform": inputs, "objective": objective}
    if config.sampling == "balanced":
        how["sampler"] = data.weighted_sampler(weights[labels])
    if config.class_weights == "balanced":
        how["class_weights"] = weights
    probed = take(parts.evaluated["train"], np.arange(min(PROBED, len(parts.indices["train"]))))
    return [
        Run(
            config.model,
            ingredients.make_model(network_of(config), classes, inputs.side),
            ingredients.make_optimizer(ingredients.Training(**fields), steps, per_epoch),
            augment=parse_augmentations(config.augment),
            train=parts.train,
            evaluate_on=parts.evaluated,
            early_stopping=EarlyStopping("val_loss", "min", config.patience)
            if config.patience
            else None,
            how=how,
            hooks=(layer_hook(probed, inputs, objective),),
            # A rate that depends on the length: such a run cannot be prolonged.
            identity={"steps": steps} if config.length_is_fixed else {},
        )
    ]


def load_saved(config: ClassifierConfig) -> tuple[TrainedClassifier, data.Dataset]:
    """The classifier that ``--evaluate`` names, and the data it is judged on.

    A file without a description is scaled as the data's training images are.
    """
    path = Path(config.evaluate)
    if path.is_dir():
        path = path / MODEL
        if not path.exists():
            raise WeightsError(
                f"{config.evaluate} has no {MODEL}: it is not the folder of a complete run of "
                "experiments.classifier; give one, or a file of weights"
            )
    if not path.exists():
        raise WeightsError(f"{path} does not exist: give a run's folder, or a file of weights")
    known = classification.load_classifier(path, classification.Inputs())
    name = config.dataset or known.record.get("dataset", "mnist")
    data_dir = config.data_dir
    if data_dir is None and config.data_source is None:
        data_dir = recorded_flags(path.parent).get("data_dir")
    dataset = data.load(name, data_dir, source=config.data_source)
    if known.record:
        return known, dataset
    blocks = len(getattr(known.model, "widths", ()))
    inputs = classification.inputs_for(
        dataset.train.images, config.inputs, 2**blocks if blocks else None
    )
    return known._replace(inputs=inputs), dataset


def evaluate(config: ClassifierConfig) -> Result:
    """Judges a saved classifier on the test images."""
    enable_cache()
    workdir = config.workdir or default_workdir("classifier-evaluation", None)
    config = dataclasses.replace(config, workdir=workdir)
    lesson.check_own(Path(workdir), "classifier --evaluate")
    classifier, dataset = load_saved(config)
    if classifier.model.num_classes < dataset.num_classes:
        raise WeightsError(
            f"{config.evaluate} knows {classifier.model.num_classes} classes, {dataset.name} has "
            f"{dataset.num_classes}: give the data it was trained on with --dataset"
        )
    probabilities = classifier.probabilities(dataset.test.images)
    found = judgement.judge(probabilities, dataset.test.labels)
    folder = lesson.begin("classifier --evaluate", config)
    print(dataset.description)
    print(f"\n{judgement.class_table(found)}\n")
    print(f"Test accuracy {found['accuracy']:.2%} of {config.evaluate}.")
    title = f"{dataset.name}'s test images"
    figures = judgement.judgement_figures(dataset.test, probabilities, found, title)
    summary = {"program": "classifier --evaluate", "source": config.evaluate, **found}
    lesson.finish(folder, summary, figures)
    return Result(classifier, None, figures, summary)


def run(config: ClassifierConfig) -> Result | None:
    """Trains, writes the folder, and returns what a notebook needs; None for a dry run.

    Raises:
        UserError: anything the user can fix, before anything is written.
    """
    if config.evaluate is not None:
        return evaluate(config)
    with open_study("classifier", resolved(config), make_runs) as session:
        runs = make_runs(session.config, session.dataset)
        if is_only_looked_at(session, runs):
            return None
        write_facts(session, runs[0])
        try:
            (fitted,) = train_runs(session, runs).values()
        except StoppedError as stopped:
            (fitted,) = stopped.fitted.values()
            return Result(None, fitted, {}, {}, stopped.status)
        except DivergenceError:
            with contextlib.suppress(WorkdirError):
                diagnose(session)
            raise
        result = write_results(session, runs[0], fitted)
        diagnose(session)
        return result


def diagnose(session: Session) -> None:
    """Writes the diagnosis of the run, and says it in one line."""
    if session.devices.is_main:
        folder = session.workdir.path
        found = diagnosing.write_diagnosis(folder, diagnosing.diagnose_folder(folder))
        session.console.message(diagnosing.closing_line(found, str(folder)))


if __name__ == "__main__":
    command_line.main("classifier", ClassifierConfig, run, __doc__)
