"""A run's folder: one configuration, atomic writes, continued or refused."""

import json
import os
from pathlib import Path
from typing import Any

from jaxdl.errors import WorkdirError
from jaxdl.files import PART, to_json, write_atomically

CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
CHECKPOINTS, SAMPLES = "checkpoints", "samples"
GENERATOR_FILES = ("generator.safetensors", "model.pt")

# A continued run may change where it runs and how far it goes, but not what it computes.
FREE_FIELDS = frozenset(
    {
        *("workdir", "preset", "data_dir", "data_source", "num_devices", "epochs", "max_steps"),
        # What these have given, the data's fingerprint says.
        *("images", "skip_bad", "follow_links", "data_place"),
        *("resume", "dry_run", "coordinator_address", "num_processes", "process_id"),
        *("save_every_steps", "save_every_seconds", "keep_every", "debug_step"),
        "tensorboard",
    }
)
LENGTH = frozenset({"epochs", "max_steps"})  # not free where the step sizes depend on it


class Workdir:
    """The folder of one run.

    Args:
        path: created if missing.
        record: the content of ``config.json``: ``config`` (all fields, resolved), ``data`` (with
            ``fingerprint``), and whatever else describes the run.
        resume: whether to continue an earlier run there.
        write: whether this process writes (only one of several does).

    Attributes:
        path: the folder.
        identity: what determines the run's numbers, by name: the program, the data, and the
            configuration fields that may not change.

    Raises:
        WorkdirError: the folder cannot be used, or holds another run.
    """

    def __init__(
        self, path: str | os.PathLike, record: dict[str, Any], resume: bool, write: bool = True
    ) -> None:
        self.path = Path(path)
        self.identity = _identity(json.loads(to_json(record)))
        earlier = self._read_config()
        if earlier is not None:
            self._check_same(earlier, record)
            if not resume:
                raise WorkdirError(
                    f"{self.path} holds an earlier run and --resume is off; choose another "
                    "--workdir or remove the folder"
                )
        if write:
            self.remove_leftovers()
            write_atomically(self.path / CONFIG, to_json(record, indent=2) + "\n")

    def _read_config(self) -> dict[str, Any] | None:
        try:
            text = (self.path / CONFIG).read_bytes()
        except FileNotFoundError:
            self._check_unused()
            return None
        except OSError as error:
            raise WorkdirError(
                f"cannot use {self.path} as a run's folder: {error.strerror}; "
                "choose another --workdir"
            ) from error
        try:
            earlier = json.loads(text)
            return {**earlier, **{name: {**earlier[name]} for name in ("config", "data")}}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise WorkdirError(
                f"{self.path / CONFIG} is damaged ({error}); remove {self.path} or choose another "
                "--workdir"
            ) from error

    def _check_unused(self) -> None:
        for name in (METRICS, SUMMARY, CHECKPOINTS, SAMPLES):
            if (self.path / name).exists():
                raise WorkdirError(
                    f"{self.path} holds {name} but no {CONFIG}: which run that was is unknown; "
                    "choose another --workdir or remove the folder"
                )

    def _check_same(self, earlier: dict[str, Any], record: dict[str, Any]) -> None:
        differing = [
            f"{name}: {before!r} there, {now!r} now"
            for name, before, now in _differences(earlier, record)
        ]
        if differing:
            raise WorkdirError(
                f"{self.path} holds a run of another configuration ({'; '.join(differing)}); "
                "give the same flags to continue it, or choose another --workdir"
            )

    def remove_leftovers(self) -> None:
        """Removes half-written files left in the folder and its samples by a kill."""
        for folder in (self.path, self.path / SAMPLES):
            for path in folder.glob(f".*{PART}"):
                path.unlink()

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def metrics(self) -> Path:
        """File of the run log."""
        return self.path / METRICS

    def write(self, name: str, content: bytes | str) -> Path:
        """Writes a file of the run atomically."""
        write_atomically(self.path / name, content)
        return self.path / name

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes ``summary.json``."""
        self.write(SUMMARY, to_json(summary, indent=2) + "\n")


def _identity(record: dict[str, Any], free: frozenset[str] = FREE_FIELDS) -> dict[str, Any]:
    """Returns what determines the numbers of the recorded run."""
    config = {n: v for n, v in record.get("config", {}).items() if n not in free}
    fingerprint = record.get("data", {}).get("fingerprint")
    return {"program": record.get("program"), **config, "data fingerprint": fingerprint}


def _differences(earlier: dict[str, Any], record: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Lists what determines the numbers and differs."""
    free = FREE_FIELDS - LENGTH if record.get("length_is_fixed") else FREE_FIELDS
    before, now = (_identity(one, free) for one in (earlier, json.loads(to_json(record))))
    names = {**before, **now}
    return [(n, before.get(n), now.get(n)) for n in names if before.get(n) != now.get(n)]
