"""The run log: ``metrics.jsonl``, one JSON object per logged step or epoch."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl.errors import WorkdirError
from jaxdl.files import to_json, write_atomically

Record = dict[str, Any]

# Fields of a record that are not metrics.
_NO_METRICS = ("run", "kind", "epoch", "step", "steps_done", "seconds", "images_per_second")


class RunLog:
    """Appends records to ``metrics.jsonl`` and keeps them in memory.

    Every record has ``kind`` ("step", "epoch" or "score"), ``epoch`` (from 1), ``step`` (steps done
    since the start of the run) and the metrics. Reopening a log at a checkpoint's step drops later
    records, so a resumed run neither repeats nor loses one. Several named runs may share a file,
    one after the other; each sees only its own records.

    Args:
        path: the file; None keeps the log in memory.
        keep_until_step: the checkpoint's step; 0 for a new run.
        name: stored in each record as ``run``.
        write: whether this process writes the file; if not, it only reads it.

    Attributes:
        records: everything this run has logged.

    Raises:
        WorkdirError: the run continues at a step, but the log is missing, damaged before its end,
            or cannot be written.

    Example:
        >>> log = RunLog(None)
        >>> log.append({"kind": "step", "epoch": 1, "step": 1, "loss": 0.7})
        >>> log.series("loss")
        ([1], [0.7])
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        keep_until_step: int = 0,
        name: str | None = None,
        write: bool = True,
    ) -> None:
        self.path, self.name, self.write = None if path is None else Path(path), name, write
        self.records: list[Record] = []
        self._others: list[Record] = []
        if self.path is not None:
            if keep_until_step and not self.path.exists():
                raise WorkdirError(
                    f"{self.path} is missing, and the checkpoint is of step {keep_until_step}: "
                    "restore it, or choose another folder to start again"
                )
            lines = _complete_lines(self.path, name, keep_until_step)
            self._others = [r for r in lines if r.get("run") != name]
            own = [r for r in lines if r.get("run") == name and r["step"] <= keep_until_step]
            self.records = [r for r in own if _is_final(r) or r["step"] == keep_until_step]
            self._rewrite()

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        where = "in memory" if self.path is None else f"in {self.path}"
        if not self.records:
            return f"RunLog({name}{where}, empty)"
        kinds = [record["kind"] for record in self.records]
        steps, epochs = kinds.count("step"), kinds.count("epoch")
        return (
            f"RunLog({name}{where}, {steps} steps, {epochs} epochs, last at "
            f"step {self.records[-1]['step']}: {shown_metrics(self.records[-1])})"
        )

    def _rewrite(self) -> None:
        if self.path is not None and self.write:
            kept = [*self._others, *self.records]
            write_atomically(self.path, "".join(to_json(record) + "\n" for record in kept))

    def append(self, *records: Record) -> None:
        """Adds records, writing them to the file in one call."""
        if self.name is not None:
            records = tuple({"run": self.name, **record} for record in records)
        if records and self.records and not _is_final(self.records[-1]):
            # The run continues the epoch in which it had stopped.
            del self.records[-1]
            self._rewrite()
        self.records.extend(records)
        if self.path is None or not self.write:
            return
        try:
            with self.path.open("a") as file:
                file.write("".join(to_json(record) + "\n" for record in records))
        except OSError as error:
            raise WorkdirError(
                f"cannot write {self.path}: {error.strerror}; free space there and start the "
                "same run again: it continues from its last checkpoint"
            ) from error

    def series(self, name: str, kind: str = "step") -> tuple[list[int], list[Any]]:
        """Steps and values of one metric, from the records of the given kind that contain it."""
        chosen = [r for r in self.records if r["kind"] == kind and name in r]
        return [record["step"] for record in chosen], [record[name] for record in chosen]


def shown_metrics(record: Record) -> str:
    """Formats a record's metrics on one line, averaging lists over seeds.

    Example:
        >>> shown_metrics({"kind": "step", "epoch": 1, "step": 9, "loss": [0.5, 1.0], "seconds": 3})
        'loss 0.75'
    """
    known = {name: _mean(v) for name, v in record.items() if name not in _NO_METRICS}
    return " ".join(f"{name} {mean:.4g}" for name, mean in known.items() if mean is not None)


def _mean(value: Any) -> float | None:
    """The mean of a number or a list, ignoring None; None if there are no numbers."""
    values = value if isinstance(value, list | tuple) else [value]
    numbers = np.asarray([number for number in values if number is not None])
    return float(numbers.mean()) if numbers.size and numbers.dtype.kind in "iuf" else None


def _is_final(record: Record) -> bool:
    """False for the record of an unfinished epoch, which will be written again."""
    return "steps_done" not in record


def _complete_lines(path: Path, name: str | None, keep_until_step: int) -> list[Record]:
    """The records of a log whose end may be torn by a kill or a power loss.

    Records older than the newest checkpoint are safely on disk; newer ones are dropped anyway. So
    if an older record follows a damaged line, the damage has another cause, and this raises.
    """
    if not path.exists():
        return []
    found = [_record(line) for line in path.read_bytes().splitlines()]
    whole = found.index(None) if None in found else len(found)
    after = [record for record in found[whole:] if record]
    if any(r.get("run") != name or r["step"] <= keep_until_step for r in after):
        raise WorkdirError(
            f"{path} is damaged: line {whole + 1} is not a record, but records follow it; restore "
            "the file from a copy, or remove that line to continue without it"
        )
    return found[:whole]


def _record(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        return None
    is_record = isinstance(record, dict) and {"kind", "epoch", "step"} <= set(record)
    return record if is_record and type(record["step"]) is int else None
