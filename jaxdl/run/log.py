"""The run log: ``metrics.jsonl``, one JSON object a logged step or epoch."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl.errors import WorkdirError
from jaxdl.files import to_json, write_atomically

Record = dict[str, Any]

# What a record holds beside the metrics.
_NO_METRICS = ("run", "kind", "epoch", "step", "steps_done", "seconds", "images_per_second")


class RunLog:
    """Appends records to ``metrics.jsonl`` and keeps them for curves.

    Every record has ``kind`` ("step" or "epoch"), ``epoch`` (from 1), ``step`` (steps done since
    the run's start) and the metrics. A log opened again after a checkpoint at step s drops what
    came after s, so that a resumed run neither doubles nor loses a line. Several named runs may
    share a file, one after the other; each sees its own records alone.

    Attributes:
        path: the file, or None for a log that lives in memory only.
        name: goes into each record as ``run``, if given.
        write: whether this process writes the file, or only reads what is there.
        records: everything this run has logged so far.

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
                    f"{self.path} is missing, and the checkpoint is of step {keep_until_step}: put "
                    "it back, or choose another folder to start again"
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
        epochs = sum(record["kind"] == "epoch" for record in self.records)
        return (
            f"RunLog({name}{where}, {len(self.records) - epochs} steps, {epochs} epochs, last at "
            f"step {self.records[-1]['step']}: {shown_metrics(self.records[-1])})"
        )

    def _rewrite(self) -> None:
        if self.path is not None and self.write:
            kept = [*self._others, *self.records]
            write_atomically(self.path, "".join(to_json(record) + "\n" for record in kept))

    def append(self, *records: Record) -> None:
        """Adds records; they reach the file in one write."""
        if self.name is not None:
            records = tuple({"run": self.name, **record} for record in records)
        if records and self.records and not _is_final(self.records[-1]):
            # The run goes on through an epoch in which it had stopped.
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
        """Steps and values of one metric, from the records of one kind that have it."""
        chosen = [r for r in self.records if r["kind"] == kind and name in r]
        return [record["step"] for record in chosen], [record[name] for record in chosen]


def shown_metrics(record: Record) -> str:
    """A record's metrics in a line; of a list with a number a seed, the mean.

    Example:
        >>> shown_metrics({"kind": "step", "epoch": 1, "step": 9, "loss": [0.5, 1.0], "seconds": 3})
        'loss 0.75'
    """
    known = {name: _mean(v) for name, v in record.items() if name not in _NO_METRICS}
    return " ".join(f"{name} {mean:.4g}" for name, mean in known.items() if mean is not None)


def _mean(value: Any) -> float | None:
    """Of a number or several, without those that are None; None for what is no number."""
    values = value if isinstance(value, list | tuple) else [value]
    numbers = np.asarray([number for number in values if number is not None])
    return float(numbers.mean()) if numbers.size and numbers.dtype.kind in "iuf" else None


def _is_final(record: Record) -> bool:
    """False for the record of an epoch in which the run stopped: it will be written again."""
    return "steps_done" not in record


def _complete_lines(path: Path, name: str | None, keep_until_step: int) -> list[Record]:
    """The records of a log whose end may be torn, which a kill or a loss of power leaves behind.

    What was there when the newest checkpoint was written is safe on disk, and what came after it
    is dropped in any case; so damage that is followed by a record of before is of another kind.
    """
    if not path.exists():
        return []
    found = [_record(line) for line in path.read_bytes().splitlines()]
    whole = found.index(None) if None in found else len(found)
    after = [record for record in found[whole:] if record]
    if any(r.get("run") != name or r["step"] <= keep_until_step for r in after):
        raise WorkdirError(
            f"{path} is damaged: line {whole + 1} is no record, and records follow it; put the "
            "file back from a copy, or remove that line to go on without it"
        )
    return found[:whole]


def _record(line: bytes) -> Record | None:
    """The record that a line holds; None for a line that is damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # no JSON, or no UTF-8
        return None
    is_record = isinstance(record, dict) and {"kind", "epoch", "step"} <= set(record)
    return record if is_record and type(record["step"]) is int else None
