"""The generator in a run's folder."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.errors import CheckpointError, WorkdirError
from jaxdl.generation.generator import TrainedGenerator
from jaxdl.models import Generator
from jaxdl.run.reading import CheckpointPart, read_best
from jaxdl.training.leaves import leaf_table, table_differences

PARTS = ("average", "generator/params", "generator/batch_stats")


def load_run(folder: Path, averaged: bool = True) -> TrainedGenerator:
    """Loads the generator of a run.

    It is of the checkpoint with the best score, or of the newest if the run keeps no scores; and
    averaged if the run keeps an average of it, unless ``averaged`` is False.

    Raises:
        WorkdirError: it is not the folder of a run.
        CheckpointError: the run has no undamaged checkpoint yet, or trains no generator.
    """
    program = _program(folder)
    part = read_best(folder / "checkpoints", PARTS)
    if part is None and not list((folder / "checkpoints").glob("*/*/manifest.json")):
        raise CheckpointError(
            f"{folder} has no checkpoint yet: train on, at least to the end of the first epoch"
        )
    if part is None or "generator" not in part.tree:
        raise CheckpointError(
            f"{folder} is a run of {program!r}, which trains no generator; give a run of DCGAN"
        )
    return TrainedGenerator(*_network(part, folder, averaged), _source(part, folder))


def _program(folder: Path) -> str:
    """The name of the program whose run is in the folder."""
    try:
        return str(json.loads((folder / "config.json").read_bytes())["program"])
    except FileNotFoundError:
        raise WorkdirError(
            f"{folder} is not the folder of a run: it has no config.json; give a run's folder or a "
            "file of weights"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WorkdirError(f"{folder / 'config.json'} cannot be read: {error}") from error


def _network(
    part: CheckpointPart, folder: Path, averaged: bool
) -> tuple[Generator, dict[str, Any]]:
    """The generator in a checkpoint, the network by the shapes of its kernels."""
    tree = part.tree
    variables = jax.tree.map(jnp.asarray, (averaged and tree.get("average")) or tree["generator"])
    layers = variables.get("params", {})
    doublings = len([name for name in layers if name.startswith("conv_transpose_")]) - 1
    try:
        base, _, latent_dim, _ = layers["conv_transpose_0"]["kernel"].shape
        classes = 0
        if "class_scale_0" in layers:
            classes = layers["class_scale_0"]["kernel"].shape[0]
        *_, features, channels = layers[f"conv_transpose_{doublings}"]["kernel"].shape
        normalization = "batch" if "batch_norm_0" in layers else "none"
        model = Generator(
            features,
            latent_dim,
            base * 2**doublings,
            channels,
            normalization=normalization,
            num_classes=classes,
        )
        expected = _shapes(model)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"the generator in {folder} is not a DCGAN: {error}") from error
    if differences := table_differences(leaf_table(variables), leaf_table(expected)):
        raise CheckpointError(f"the generator in {folder} is not a DCGAN: {differences}")
    return model, variables


def _shapes(model: Generator) -> Any:
    z = jax.ShapeDtypeStruct((1, model.latent_dim), jnp.float32)
    given = [jnp.zeros(1, jnp.int32)] if model.num_classes else []
    initialize = functools.partial(model.init, train=False)
    return jax.eval_shape(initialize, jax.random.key(0), z, *given)


def _source(part: CheckpointPart, folder: Path) -> str:
    newer = ", ".join(map(str, part.damaged))
    return f"{folder}, step {part.step}" + (f" (damaged: {newer})" if newer else "")
