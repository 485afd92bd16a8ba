"""What a run left in its folder, complete or not; whatever can be read is."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from experiments.common.diagnosing import DIAGNOSIS
from experiments.common.workdir import METRICS, SUMMARY
from jaxdl.diagnosis import read_config
from jaxdl.errors import WorkdirError
from jaxdl.files import open_regular

LARGEST = 2**30  # bytes of a file that is read
LAST_STEP = 10**15  # more is no step
FACTS, DIVERGENCE = "facts.json", "divergence.json"

Record = dict[str, Any]


class RunFolder(NamedTuple):
    """The files of a run.

    Attributes:
        path: the folder.
        record: the content of ``config.json``.
        log: the records of ``metrics.jsonl`` in their order.
        summary: the content of ``summary.json``; empty without one.
        facts: of ``facts.json``, likewise.
        diagnosis: of ``diagnosis.json``, likewise.
        divergence: of ``divergence.json``, likewise.
        problems: what could not be read, in sentences.
    """

    path: Path
    record: Record
    log: list[Record]
    summary: Record
    facts: Record
    diagnosis: Record
    divergence: Record
    problems: list[str]

    @property
    def program(self) -> str:
        """The program's name as it was recorded."""
        return str(self.record.get("program", "unknown"))

    @property
    def settings(self) -> Record:
        """The configuration."""
        return part_of(self.record, "config")

    @property
    def last_step(self) -> int:
        """The last logged step."""
        return max((record["step"] for record in self.log), default=0)

    @property
    def names(self) -> list[str | None]:
        """The names of the runs that share the log; None for a run without one."""
        return list(dict.fromkeys(record.get("run") for record in self.log))

    def by_name(self, *kinds: str) -> dict[str | None, list[Record]]:
        """The log's records of some kinds for each run's name."""
        found: dict[str | None, list[Record]] = {}
        for record in self.records(*kinds):
            found.setdefault(record.get("run"), []).append(record)
        return found

    def records(self, *kinds: str) -> list[Record]:
        """The log's records of some kinds."""
        return [record for record in self.log if record["kind"] in kinds]


def read_run(folder: Path) -> RunFolder:
    """Reads a run's folder.

    Raises:
        WorkdirError: it is no run's, or a file cannot be read. A damaged file other than
            ``config.json`` is a problem that the page names.
    """
    record, problems = read_config(folder), []
    log = _read_log(folder / METRICS, problems)
    names = (SUMMARY, FACTS, DIAGNOSIS, DIVERGENCE)
    return RunFolder(folder, record, log, *(_object(folder / n, problems) for n in names), problems)


def part_of(record: Any, name: str) -> Record:
    """A dictionary within a dictionary; empty if there is none."""
    found = record.get(name) if isinstance(record, dict) else None
    return found if isinstance(found, dict) else {}


def numbers(value: Any) -> list[float]:
    """A number or a list of them, one for each seed; NaN for what is none.

    Example:
        >>> numbers(0.5), numbers([1, None, "x"]), numbers(10**400), numbers([])
        ([0.5], [1.0, nan, nan], [nan], [nan])
    """
    return [_number(each) for each in (value if isinstance(value, list) and value else [value])]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        found = float(value)
    except OverflowError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(LARGEST)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise WorkdirError(f"{path} cannot be read: {error.strerror}") from error


def _object(path: Path, problems: list[str]) -> Record:
    """The object in a file; empty, and a problem, if it holds none."""
    content = _content(path)
    found = _parsed(content) if content else {}
    if isinstance(found, dict):
        return found
    problems.append(f"{path.name} is damaged and left out.")
    return {}


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _read_log(path: Path, problems: list[str]) -> list[Record]:
    content = _content(path)
    *lines, torn = content.split(b"\n")
    found = [record for line in lines if _is_record(record := _parsed(line))]
    if torn:
        problems.append(f"The last line of {path.name} is cut off: the run was killed, or goes on.")
    if len(found) < len(lines):
        problems.append(f"{len(lines) - len(found)} damaged lines of {path.name} are left out.")
    return found


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or record.get("kind") not in ("step", "epoch", "score"):
        return False
    places = record.get("step"), record.get("epoch")
    named = isinstance(record.get("run"), str | None)
    return named and all(type(n) is int and 0 <= n < LAST_STEP for n in places)
