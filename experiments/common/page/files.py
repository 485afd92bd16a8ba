"""The files of a run with their sizes and checksums."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.common.page.reading import LARGEST, part_of
from experiments.common.workdir import CHECKPOINTS
from jaxdl.files import PART, open_regular
from jaxdl.run.lock import LOCK

REPORT = "report.html"
MOST = 300  # files that are listed
MANIFEST = "manifest.json"


class File(NamedTuple):
    """A file, or a checkpoint's folder with the checksum that its manifest states of itself."""

    name: str
    size: int | None
    checksum: str


def files_of(folder: Path) -> tuple[list[File], int]:
    """The files but for this page, by name; at most :data:`MOST`, and how many more there are."""
    paths = sorted(_paths(folder))
    found = []
    for path in paths[:MOST]:
        name = path.relative_to(folder).as_posix()
        is_checkpoint = path.name == MANIFEST and name.startswith(f"{CHECKPOINTS}/")
        found.append(_checkpoint(path, name) if is_checkpoint else _file(path, name))
    return found, len(paths) - len(found)


def _paths(folder: Path) -> Iterator[Path]:
    """Of a checkpoint's many files only the manifest."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here != folder and MANIFEST in names and CHECKPOINTS in here.parts:
            folders.clear()
            names = [MANIFEST]
        hidden = (LOCK, REPORT)
        yield from (here / n for n in names if n not in hidden and not n.endswith(PART))


def _file(path: Path, name: str) -> File:
    if path.is_symlink():
        return File(name, None, "a link")
    try:
        with open_regular(path) as file:
            return File(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        return File(name, None, f"not read: {error.strerror}")


def _checkpoint(path: Path, name: str) -> File:
    name = name.removesuffix(MANIFEST)
    try:
        with open_regular(path) as file:
            found = json.loads(file.read(LARGEST))
        sizes = [each["size"] for each in part_of(found["content"], "files").values()]
        return File(name, sum(sizes), str(found["sha256"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return File(name, None, "its manifest is damaged")
