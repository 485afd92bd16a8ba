"""Checkpoints: one device's copy of the state, written by Orbax, with a manifest of digests.

Each checkpoint is a folder named after its step. ``state/`` is written by Orbax. ``manifest.json``
lists every file with its SHA-256 (see ``run.manifest``) and stores the run's position. A checkpoint
is written as ``STEP.part``, synced to disk and renamed once complete. A kill at any moment
therefore leaves either a complete checkpoint or a ``.part`` folder that the next start deletes.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import flax.serialization
import jax
import numpy as np

from jaxdl.errors import CheckpointError
from jaxdl.files import to_json
from jaxdl.run.manifest import find_damage, read_manifest, sync_folder, write_manifest
from jaxdl.training.leaves import leaf_table, table_differences

PyTree = Any

KEPT_NEWEST = 2  # the older one is the fallback if the newest is damaged
PART, DAMAGED = ".part", ".damaged"
_LEFTOVER = re.compile(r"\d+\.(part|orbax-checkpoint-tmp)")


class CheckpointStore:
    """Saves, verifies and restores the checkpoints in a folder; use it in a ``with`` block.

    States are saved as nested dictionaries of arrays (:func:`flax.serialization.to_state_dict`)
    from one device's copy, so files do not depend on the device count. Saving, hashing and syncing
    run in the background; leaving the block waits for them and raises their errors.

    Args:
        folder: created by the first save.
        keep_every: besides the newest two, keep checkpoints whose step is a multiple of this;
            0 keeps only the newest two.
        identity: plain values, such as the configuration; a checkpoint saved with other values is
            not restored.
        write: whether this process writes. In a distributed run the other processes only read.
        sync_first: files, such as the log, to sync to disk before a checkpoint counts as complete.

    Attributes:
        notices: warnings about the checkpoints found, one line each.
        seconds: how long the last background save took.

    Example:
        >>> import tempfile, jax.numpy as jnp
        >>> folder = tempfile.mkdtemp()
        >>> with CheckpointStore(folder) as store:
        ...     store.save(3, {"w": jnp.arange(2.0)}, {"epoch": 1})
        >>> with CheckpointStore(folder) as store:
        ...     state, meta = store.restore({"w": jnp.zeros(2)})
        >>> state["w"].tolist(), meta["epoch"]
        ([0.0, 1.0], 1)
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        keep_every: int = 0,
        *,
        identity: Mapping[str, Any] | None = None,
        write: bool = True,
        sync_first: tuple[Path, ...] = (),
    ) -> None:
        self.folder, self.keep_every = Path(folder).absolute(), keep_every
        self.identity = json.loads(to_json(identity or {}))
        self.write, self.sync_first = write, sync_first
        self.notices: list[str] = []
        self.seconds = 0.0
        self._verified: set[int] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: tuple[int, Future] | None = None
        if write:
            self._remove_leftovers()

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        if kind is None:
            self.check()

    @property
    def steps(self) -> list[int]:
        """The steps of all checkpoints, damaged ones included, in ascending order."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def find_sound(self, before: int | None = None) -> int | None:
        """Verifies checkpoints, newest first, and returns the step of the first undamaged one.

        ``before`` limits the search to earlier steps. Returns None if there are no checkpoints.

        Raises:
            CheckpointError: every checkpoint is damaged.
        """
        damaged = {}
        for step in reversed([s for s in self.steps if before is None or s < before]):
            damage = [] if step in self._verified else find_damage(self.folder / str(step))
            if not damage:
                self._verified.add(step)
                self._note(damaged, step)
                return step
            damaged[step] = damage
        if damaged or (before is None and list(self.folder.glob(f"*{DAMAGED}"))):
            found = "; ".join(f"{step}: {_several(d)}" for step, d in damaged.items())
            raise CheckpointError(
                f"no checkpoint in {self.folder} is sound ({found or 'all were set aside'}); "
                "restore one from a copy, or remove the run's folder to start again"
            )
        return None

    def restore(self, target: PyTree, before: int | None = None) -> tuple[PyTree, dict[str, Any]]:
        """Restores the newest undamaged checkpoint and renames damaged newer ones.

        Args:
            target: a state with the expected structure, shapes and types.
            before: restore the newest checkpoint of an earlier step, and rename nothing.

        Returns:
            The state, in host memory with the target's structure, and the ``meta`` saved with it.

        Raises:
            CheckpointError: there is no undamaged checkpoint, or it belongs to another network or
                configuration (the message lists the first differences).
        """
        step = self.find_sound(before)
        if step is None:
            raise CheckpointError(f"{self.folder} holds no checkpoint")
        facts = read_manifest(self.folder / str(step))
        self._check_same(step, facts, target)
        plain = flax.serialization.to_state_dict(target)
        empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), plain)
        try:
            restored = _orbax_restore(self.folder / str(step) / "state", empty)
        except Exception as error:  # Orbax documents no error types; the digests already matched
            raise CheckpointError(
                f"checkpoint {self.folder / str(step)} cannot be restored: {error}; "
                "choose another folder"
            ) from error
        if self.write and before is None:
            self._set_aside(step)
        return flax.serialization.from_state_dict(target, restored), facts["meta"]

    def save(self, step: int, state: PyTree, meta: dict[str, Any], best: int | None = None) -> None:
        """Starts saving a state in the background, after any earlier save has finished.

        Args:
            step: steps done; must exceed every saved step.
            state: a pytree of host arrays, which must not change afterwards.
            meta: JSON-serialisable values.
            best: the step of a checkpoint that is kept beside the newest and the multiples of
                ``keep_every``.

        Raises:
            CheckpointError: the step is not new, or an earlier save failed.
        """
        self.wait()
        if self.steps and step <= self.steps[-1]:
            raise CheckpointError(
                f"step {step} was not saved in {self.folder}, which holds {self.steps}"
            )
        facts = {"step": step, "meta": meta, "identity": self.identity, "leaves": leaf_table(state)}
        plain = jax.tree.map(np.asarray, flax.serialization.to_state_dict(state))
        self._saving = step, self._thread.submit(self._write, step, plain, facts, best)

    def wait(self) -> None:
        """Waits for any background save; raises a CheckpointError if it failed."""
        if self._saving:
            self._saving[1].exception()
        self.check()

    def check(self) -> None:
        """Raises a CheckpointError if a background save has failed; does not wait."""
        if self._saving is None or not self._saving[1].done():
            return
        (step, future), self._saving = self._saving, None
        if error := future.exception():
            reason = getattr(error, "strerror", None) or error
            raise CheckpointError(
                f"saving step {step} in {self.folder} failed: {reason}; older checkpoints are "
                "intact: free space and permissions there and start the same run again"
            ) from error

    @property
    def has_failed(self) -> bool:
        """Whether :meth:`check` would raise."""
        return bool(self._saving and self._saving[1].done() and self._saving[1].exception())

    def _write(self, step: int, plain: PyTree, facts: dict[str, Any], best: int | None) -> None:
        begin = time.perf_counter()
        part = self.folder / f"{step}{PART}"
        try:
            part.mkdir(parents=True)
            _orbax_save(part / "state", plain)
            write_manifest(part, facts)
            for path in self.sync_first:
                _sync_file(path)
            part.rename(self.folder / str(step))
            sync_folder(self.folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        kept = [*self.steps[-KEPT_NEWEST:], best]
        for old in self.steps:
            if old not in kept and not (self.keep_every and old % self.keep_every == 0):
                self._remove(old)
        self.seconds = time.perf_counter() - begin

    def _remove(self, step: int) -> None:
        # Rename first: a kill while deleting must not leave a partial checkpoint.
        part = self.folder / f"{step}{PART}"
        (self.folder / str(step)).rename(part)
        shutil.rmtree(part)

    def _remove_leftovers(self) -> None:
        try:
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if _LEFTOVER.match(path.name):
                    shutil.rmtree(path)
        except OSError as error:
            raise CheckpointError(
                f"cannot tidy up {self.folder}: {error.strerror}; check its permissions"
            ) from error

    def _note(self, damaged: dict[int, list[str]], sound: int) -> None:
        for step, damage in damaged.items():
            line = (
                f"Warning: checkpoint {step} in {self.folder} is damaged ({_several(damage)}): "
                f"continuing from the newest sound one, step {sound}; the damaged one is kept as "
                f"{step}{DAMAGED}."
            )
            if line not in self.notices:
                self.notices.append(line)

    def _set_aside(self, sound: int) -> None:
        """Renames damaged newer checkpoints, because the run will save those steps again."""
        for step in self.steps:
            if step > sound:
                aside = self.folder / f"{step}{DAMAGED}"
                shutil.rmtree(aside, ignore_errors=True)
                (self.folder / str(step)).rename(aside)

    def _check_same(self, step: int, facts: dict[str, Any], target: PyTree) -> None:
        place = self.folder / str(step)
        if facts["step"] != step:
            raise CheckpointError(f"checkpoint {place} is of step {facts['step']}: rename it")
        there = {name: repr(value) for name, value in facts["identity"].items()}
        now = {name: repr(value) for name, value in self.identity.items()}
        for what, saved, wanted in (
            ("configuration", there, now),
            ("network", facts["leaves"], leaf_table(target)),
        ):
            if differences := table_differences(saved, wanted):
                raise CheckpointError(
                    f"checkpoint {place} belongs to another {what} ({differences}); use the "
                    "values it was made with, or choose another folder"
                )


def _several(damage: list[str]) -> str:
    return damage[0] + (f", and {len(damage) - 1} more files" if len(damage) > 1 else "")


def _sync_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        os.fsync(file.fileno())


def _checkpointer() -> Any:
    """An Orbax checkpointer for this process alone, so no barrier waits for another process."""
    import orbax.checkpoint as ocp

    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _orbax_save(path: Path, plain: PyTree) -> None:
    import orbax.checkpoint as ocp

    with _checkpointer() as checkpointer:
        checkpointer.save(path, args=ocp.args.StandardSave(plain))


def _orbax_restore(path: Path, empty: PyTree) -> PyTree:
    import orbax.checkpoint as ocp

    with _checkpointer() as checkpointer:
        return checkpointer.restore(path, args=ocp.args.StandardRestore(empty))
