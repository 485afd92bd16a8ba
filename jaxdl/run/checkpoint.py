"""Checkpoints: the unreplicated state, kept by Orbax, and a manifest that proves it whole.

A checkpoint is a folder named after its step: ``state/`` is Orbax's, ``manifest.json`` lists every
file with its SHA-256 (see ``training.manifest``) and holds the run's position. It is written under
another name (``STEP.part``), synced to the disk, and renamed when it is complete. So a kill at any
moment leaves a folder that is whole, or one that the next start removes.
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

KEPT_NEWEST = 2  # if the newest is damaged, the other one serves
PART, DAMAGED = ".part", ".damaged"
_LEFTOVER = re.compile(r"\d+\.(part|orbax-checkpoint-tmp)")


class CheckpointStore:
    """A folder of checkpoints, one a step; use it in a ``with`` block.

    States are saved as plain nested dictionaries of arrays
    (:func:`flax.serialization.to_state_dict`), from one device's copy: what is written does not
    depend on how many devices there were. Saving, hashing and syncing go on in the background;
    leaving the block waits for them and raises what went wrong.

    Args:
        folder: where the checkpoints go; made with the first one.
        keep_every: keep every checkpoint whose step is a multiple of this (0 for none), beside
            the newest two.
        identity: what a checkpoint must have been saved with to be restored: plain values, for
            example the configuration.
        write: whether this process writes and tidies up; the others of a distributed run only
            read.
        sync_first: files that are synced to the disk before a checkpoint counts, such as the log.

    Attributes:
        notices: what the user should know of the checkpoints found, one line each.
        seconds: how long the last save was at work in the background.

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
        """The steps of all checkpoints there, sound or not, in order."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def find_sound(self, before: int | None = None) -> int | None:
        """Verifies checkpoints, newest first, up to the first sound one.

        Args:
            before: look only at checkpoints of earlier steps than this.

        Returns:
            Its step; None where there is no checkpoint at all.

        Raises:
            CheckpointError: there are checkpoints, but none of them is sound.
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
                f"no checkpoint in {self.folder} is sound ({found or 'all are set aside'}); put "
                "one back from a copy, or remove the run's folder to start again"
            )
        return None

    def restore(self, target: PyTree, before: int | None = None) -> tuple[PyTree, dict[str, Any]]:
        """Restores the newest sound checkpoint; newer, damaged ones are set aside.

        Args:
            target: a state of the right structure, shapes and types.
            before: restore the newest one of an earlier step than this, and set nothing aside.

        Returns:
            The state as it was saved, in host memory, with the target's structure, and what was
            saved beside it.

        Raises:
            CheckpointError: there is none, none is sound, or it is one of another network or
                another configuration (with the first differences).
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
        except Exception as error:  # whatever Orbax raises: the files are those that were written
            raise CheckpointError(
                f"checkpoint {self.folder / str(step)} cannot be restored: {error}; "
                "choose another folder"
            ) from error
        if self.write and before is None:
            self._set_aside(step)
        return flax.serialization.from_state_dict(target, restored), facts["meta"]

    def save(self, step: int, state: PyTree, meta: dict[str, Any]) -> None:
        """Saves a state in the background; waits for an earlier save first.

        Args:
            step: steps done; must be larger than any saved before.
            state: a pytree of arrays in host memory, which nobody changes any more.
            meta: plain values that JSON holds.

        Raises:
            CheckpointError: the step is not a new one, or an earlier save failed.
        """
        self.wait()
        if self.steps and step <= self.steps[-1]:
            raise CheckpointError(
                f"step {step} was not saved in {self.folder}, which holds {self.steps}"
            )
        facts = {"step": step, "meta": meta, "identity": self.identity, "leaves": leaf_table(state)}
        plain = jax.tree.map(np.asarray, flax.serialization.to_state_dict(state))
        self._saving = step, self._thread.submit(self._write, step, plain, facts)

    def wait(self) -> None:
        """Waits for the save under way, if there is one.

        Raises:
            CheckpointError: it failed.
        """
        if self._saving:
            self._saving[1].exception()
        self.check()

    def check(self) -> None:
        """Returns at once.

        Raises:
            CheckpointError: a save in the background has failed since the last call.
        """
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

    def _write(self, step: int, plain: PyTree, facts: dict[str, Any]) -> None:
        """Writes a checkpoint, proves it, gives it its name, and removes those not kept."""
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
        kept = self.steps[-KEPT_NEWEST:]
        for old in self.steps:
            if old not in kept and not (self.keep_every and old % self.keep_every == 0):
                self._remove(old)
        self.seconds = time.perf_counter() - begin

    def _remove(self, step: int) -> None:
        # Renamed first: a kill while its files go must not leave a damaged checkpoint.
        part = self.folder / f"{step}{PART}"
        (self.folder / str(step)).rename(part)
        shutil.rmtree(part)

    def _remove_leftovers(self) -> None:
        """Removes what a kill or a full disk left unfinished."""
        try:
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if _LEFTOVER.match(path.name):
                    shutil.rmtree(path)
        except OSError as error:
            raise CheckpointError(
                f"cannot tidy up {self.folder}: {error.strerror}; see to its permissions"
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
        """Renames the damaged checkpoints newer than the sound one: their steps come again."""
        for step in self.steps:
            if step > sound:
                aside = self.folder / f"{step}{DAMAGED}"
                shutil.rmtree(aside, ignore_errors=True)
                (self.folder / str(step)).rename(aside)

    def _check_same(self, step: int, facts: dict[str, Any], target: PyTree) -> None:
        place = self.folder / str(step)
        if facts["step"] != step:
            raise CheckpointError(f"checkpoint {place} is one of step {facts['step']}: rename it")
        there = {name: repr(value) for name, value in facts["identity"].items()}
        now = {name: repr(value) for name, value in self.identity.items()}
        for what, saved, wanted in (
            ("configuration", there, now),
            ("network", facts["leaves"], leaf_table(target)),
        ):
            if differences := table_differences(saved, wanted):
                raise CheckpointError(
                    f"checkpoint {place} is one of another {what} ({differences}); give the values "
                    "it was made with, or choose another folder"
                )


def _several(damage: list[str]) -> str:
    return damage[0] + (f", and {len(damage) - 1} more files" if len(damage) > 1 else "")


def _sync_file(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        os.fsync(file.fileno())


def _checkpointer() -> Any:
    """Orbax for this process alone: no barrier can hang, whatever the other processes do."""
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
