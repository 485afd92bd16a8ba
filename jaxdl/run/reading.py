"""Parts of a run's checkpoint, read without the program, the configuration or the data set."""

import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.errors import CheckpointError
from jaxdl.run.checkpoint import CheckpointStore
from jaxdl.run.manifest import find_damage, read_manifest


class CheckpointPart(NamedTuple):
    """What :func:`read_best` returns.

    Attributes:
        step: the checkpoint's step.
        damaged: steps of better or newer checkpoints, which are damaged.
        tree: nested dictionaries of NumPy arrays.
    """

    step: int
    damaged: list[int]
    tree: dict[str, Any]


def read_best(folder: str | os.PathLike, prefixes: Sequence[str]) -> CheckpointPart | None:
    """Reads the leaves below some paths from the checkpoint with the best score in a folder.

    That is the newest one if the run keeps no scores. A damaged checkpoint is passed over.

    Nothing is written. Only these leaves are read from disk, after every file was verified.

    Args:
        folder: the folder of the checkpoints.
        prefixes: paths such as ``"generator/params"``.

    Returns:
        The part; its tree lacks what the checkpoint lacks. None without checkpoints.

    Raises:
        CheckpointError: every checkpoint is damaged.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with CheckpointStore(folder) as store:
        ...     store.save(3, {"net": {"w": np.arange(2.0), "b": np.zeros(1)}, "n": np.ones(1)}, {})
        >>> read_best(folder, ["net/w"])
        CheckpointPart(step=3, damaged=[], tree={'net': {'w': array([0., 1.])}})
    """
    with CheckpointStore(folder, write=False) as store:
        step = store.find_sound()
        if step is None:
            return None
        damaged = [newer for newer in store.steps if newer > step]
        meta = read_manifest(store.folder / str(step))["meta"]
        best = meta.get("best_at_end") or meta.get("best")
        if best and best[0] != step:
            if find_damage(store.folder / str(best[0])):
                damaged.append(best[0])
            else:
                step = best[0]
    place = Path(folder).absolute() / str(step)
    leaves = read_manifest(place)["leaves"]
    wanted = {
        name: text
        for name, text in leaves.items()
        if any(name.startswith(f"{prefix}/") or name == prefix for prefix in prefixes)
    }
    return CheckpointPart(step, damaged, _restore(place / "state", _nested(wanted)))


def _nested(leaves: dict[str, str]) -> dict[str, Any]:
    """Empty arrays for the leaves of a manifest, such as ``{"net/w": "float32 (3, 4)"}``."""
    tree: dict[str, Any] = {}
    for name, text in leaves.items():
        dtype, shape = text.split(" ", 1)
        *path, last = name.split("/")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[last] = np.empty(ast.literal_eval(shape), jax.numpy.dtype(dtype))
    return tree


def _restore(path: Path, empty: dict[str, Any]) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    if not empty:
        return {}
    # For this process alone, so that no barrier waits for another one.
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    try:
        with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
            args = ocp.args.PyTreeRestore(item=empty, partial_restore=True)
            return checkpointer.restore(path, args=args)
    except Exception as error:  # Orbax documents no error types; the digests already matched
        raise CheckpointError(
            f"checkpoint {path.parent} cannot be read: {error}; was it written by this version of "
            "jaxdl?"
        ) from error
