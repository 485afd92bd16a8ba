"""TensorBoard's event files of a run, made from its log and its sample grids."""

import hashlib
import importlib.util
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from experiments.common.workdir import METRICS, SAMPLES
from jaxdl.errors import ConfigError, WorkdirError

FOLDER = "tensorboard"
PREFIX, SUFFIX = "events.out.tfevents.", ".jaxdl"
SECONDS_BETWEEN_FLUSHES = 10.0
NO_SCALARS = ("run", "kind", "epoch", "step", "steps_done", "class_shares", "class_shares_raw")
# The columns of TensorBoard's table of hyperparameters, where a run has them.
COLUMNS = ("fid", "precision", "recall", "val_accuracy", "test_accuracy", "test_loss")


def check_installed() -> None:
    """Raises a ConfigError if the package that writes event files is not there."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            "--tensorboard needs the package tensorboardX: install it (pip install tensorboardX), "
            "or leave the flag out"
        )


class EventFiles:
    """The event files of a run, in ``tensorboard`` within its folder; a folder for a named run.

    They hold what the log holds, each record once: when the log drops records, as it does where a
    run resumes, they are written again from its beginning.

    Args:
        workdir: the run's folder.
        settings: the configuration, for TensorBoard's table of hyperparameters.
    """

    def __init__(self, workdir: Path, settings: Mapping[str, Any]) -> None:
        self.workdir, self.settings = workdir, settings
        self._log: BinaryIO | None = None
        self._writers: dict[str | None, Any] = {}
        self._closed = False
        self._start_again()

    def _start_again(self) -> None:
        """Removes what is there; also what an earlier session wrote."""
        for writer in self._writers.values():
            writer.close()
        for path in (self.workdir / FOLDER).glob(f"**/{PREFIX}*{SUFFIX}"):
            path.unlink()
        self._writers = {}
        self._read, self._digest = 0, hashlib.sha256()
        self._whole, self._seconds = 0.0, 0.0  # of training: ended epochs, all
        self._begin, self._flushed = 0.0, time.monotonic()
        self._last, self._pictures = 0, set()  # steps

    def follow(self) -> None:
        """Writes what the log has got since the last call.

        Raises:
            WorkdirError: the files cannot be written.
        """
        try:
            records = [json.loads(line) for line in self._new_lines()]
            if records and not self._begin:
                # Times are of training, counted back from now: so a resumed run shows no pause.
                self._begin = time.time() - _training_seconds(records)
            pictures = self._new_pictures()
            for record in records:
                self._last = max(self._last, record["step"])
                self._add_pictures(pictures)
                self._add(record)
            self._add_pictures(pictures)
            ends = any(record["kind"] != "step" for record in records)
            if ends or time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
                self._flush()
        except OSError as error:
            raise WorkdirError(
                f"cannot write {self.workdir / FOLDER}: {error.strerror}; free space there and "
                "start the same run again, or leave --tensorboard out"
            ) from error

    def close(self) -> None:
        """Writes the rest and closes the files; a second time does nothing."""
        try:
            if not self._closed:
                self.follow()
        finally:
            self._closed = True
            for file in (*self._writers.values(), *([self._log] if self._log else [])):
                file.close()

    def _new_lines(self) -> list[bytes]:
        path = self.workdir / METRICS
        if not path.exists():
            return []
        # The open file keeps its number, so a file of the same number is the same one.
        if self._log is None or os.stat(path).st_ino != os.fstat(self._log.fileno()).st_ino:
            if self._log:
                self._log.close()
            self._log = path.open("rb")
            if hashlib.sha256(self._log.read(self._read)).digest() != self._digest.digest():
                self._start_again()
        self._log.seek(self._read)
        whole = self._log.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        self._read += len(whole)
        self._digest.update(whole)
        return whole.splitlines()

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        for writer in self._writers.values():
            writer.flush()

    def _add(self, record: Mapping[str, Any]) -> None:
        seconds = record.get("seconds") or 0.0
        self._seconds = max(self._seconds, self._whole + seconds)
        if record["kind"] == "epoch":
            self._whole += seconds
        values = dict(self._scalars(record))
        summaries = [{"tag": tag, "simple_value": value} for tag, value in values.items()]
        self._write(record.get("run"), record["step"], [*summaries, *self._epoch_picture(record)])

    def _scalars(self, record: Mapping[str, Any]) -> Any:
        """Tags and values: the mean over the seeds, and each seed's where there are several."""
        group = "step" if record["kind"] == "step" else "epoch"
        for name, value in record.items():
            numbers = [v for v in (value if isinstance(value, list) else [value]) if _is_number(v)]
            if name in NO_SCALARS or not numbers:
                continue
            yield f"{group}/{name}", float(np.mean(numbers))
            if isinstance(value, list) and len(value) > 1:
                each = ((i, v) for i, v in enumerate(value) if _is_number(v))
                yield from ((f"{group}/{name}/seed_{i}", float(v)) for i, v in each)

    def _epoch_picture(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The sample grid of the end of an epoch, if that step has none yet."""
        path = self.workdir / SAMPLES / f"epoch_{record['epoch']:04d}.png"
        if record["kind"] != "epoch" or record["step"] in self._pictures or not path.exists():
            return []
        self._pictures.add(record["step"])
        return [{"tag": SAMPLES, "image": _image(path)}]

    def _new_pictures(self) -> dict[int, Path]:
        """The sample grids between, by step; they are drawn after their step has been logged."""
        paths = sorted((self.workdir / SAMPLES).glob("step_*.png"))
        numbers = [(path.stem.removeprefix("step_"), path) for path in paths]
        found = {int(number): path for number, path in numbers if number.isdecimal()}
        return {step: path for step, path in found.items() if step not in self._pictures}

    def _add_pictures(self, pictures: dict[int, Path]) -> None:
        """Adds those that the log has reached."""
        for step in [step for step in pictures if step <= self._last]:
            self._pictures.add(step)
            self._write(None, step, [{"tag": SAMPLES, "image": _image(pictures.pop(step))}])

    def _write(self, run: str | None, step: int, values: list[dict[str, Any]]) -> None:
        from tensorboardX.proto import event_pb2, summary_pb2

        if run not in self._writers:
            self._writers[run] = self._open(run)
        value = [summary_pb2.Summary.Value(**each) for each in values]
        event = event_pb2.Event(
            step=step,
            wall_time=self._begin + self._seconds,
            summary=summary_pb2.Summary(value=value),
        )
        self._writers[run].write(event.SerializeToString())

    def _open(self, run: str | None) -> Any:
        """A new file, with the hyperparameters at its beginning."""
        from tensorboardX import summary
        from tensorboardX.proto import event_pb2
        from tensorboardX.record_writer import RecordWriter

        folder = self.workdir / FOLDER / (run or "")
        folder.mkdir(parents=True, exist_ok=True)
        writer = RecordWriter(str(folder / f"{PREFIX}{int(time.time())}{SUFFIX}"))
        first = {"wall_time": self._begin}
        writer.write(event_pb2.Event(file_version="brain.Event:2", **first).SerializeToString())
        known = {name: value for name, value in self.settings.items() if value is not None}
        for part in summary.hparams(known, {f"epoch/{name}": 0 for name in COLUMNS}):
            writer.write(event_pb2.Event(summary=part, **first).SerializeToString())
        return writer


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _training_seconds(records: list[dict[str, Any]]) -> float:
    """The seconds of training in some records: those of ended epochs, and of the last one."""
    ends = [record.get("seconds") or 0.0 for record in records if record["kind"] == "epoch"]
    last = 0.0 if records[-1]["kind"] == "epoch" else records[-1].get("seconds") or 0.0
    return sum(ends) + last


def _image(path: Path) -> Any:
    from PIL import Image
    from tensorboardX.proto.summary_pb2 import Summary

    with Image.open(path) as image:
        width, height, channels = *image.size, len(image.getbands())
    content = path.read_bytes()
    return Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=content
    )
