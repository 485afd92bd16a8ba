"""A checkpoint's manifest: what every file in its folder must be, to the last bit.

The manifest is written last: a folder without one is no finished checkpoint. It holds its own
digest too, so that damage to the manifest is not taken for damage to the files that it lists.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxdl.errors import CheckpointError

MANIFEST = "manifest.json"


def write_manifest(folder: str | os.PathLike, facts: dict[str, Any]) -> None:
    """Writes the manifest of a folder that is complete, and syncs all of it to the disk.

    Args:
        folder: the folder; every file in it is listed with its size and SHA-256.
        facts: what else the manifest says: plain values that JSON holds.

    Raises:
        OSError: a file cannot be read, written or synced.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "weights").write_bytes(b"123")
        >>> write_manifest(folder, {"step": 7})
        >>> find_damage(folder), read_manifest(folder)["step"]
        ([], 7)
        >>> _ = (folder / "weights").write_bytes(b"12")
        >>> find_damage(folder)
        ['weights has 2 bytes instead of 3']
    """
    folder = Path(folder)
    files = {name: _describe(folder / name, sync=True) for name in _names(folder)}
    for path in [*(p for p in folder.rglob("*") if p.is_dir()), folder]:
        sync_folder(path)
    with (folder / MANIFEST).open("w") as file:
        file.write(_dump({**facts, "files": files}))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def read_manifest(folder: str | os.PathLike) -> dict[str, Any]:
    """The manifest of a folder: ``files``, and the facts that it was written with.

    Raises:
        CheckpointError: it is missing, or it is not what was written.
    """
    path = Path(folder) / MANIFEST
    if path.is_symlink():
        raise CheckpointError(f"{MANIFEST} is no regular file")
    try:
        text = path.read_text()
        content = json.loads(text)["content"]
    except FileNotFoundError:
        raise CheckpointError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{MANIFEST} cannot be read ({error})") from None
    if text != _dump(content):
        raise CheckpointError(f"{MANIFEST} is not what was written (its own SHA-256 differs)")
    return content


def find_damage(folder: str | os.PathLike) -> list[str]:
    """Compares every file of a folder with the manifest.

    Args:
        folder: the folder of a checkpoint.

    Returns:
        One phrase for each file that is missing, foreign, of another size or of other content,
        with its name; an empty list if the checkpoint is sound.
    """
    folder = Path(folder)
    try:
        expected = read_manifest(folder)["files"]
    except CheckpointError as error:
        return [str(error)]
    there = set(_names(folder))
    damage = [f"{name} is missing" for name in expected if name not in there]
    damage += [f"{name} is foreign" for name in sorted(there - set(expected))]
    for name in sorted(there & set(expected)):
        damage += _compare(folder / name, name, expected[name])
    return damage


def sync_folder(path: str | os.PathLike) -> None:
    """Makes the names in a folder last through a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dump(content: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({"content": content, "sha256": digest}, sort_keys=True, indent=1) + "\n"


def _names(folder: Path) -> Iterator[str]:
    """Every file under a folder but the manifest, and every link: a checkpoint has none."""
    for path in sorted(folder.rglob("*")):
        if (path.is_symlink() or not path.is_dir()) and path != folder / MANIFEST:
            yield path.relative_to(folder).as_posix()


def _describe(path: Path, sync: bool = False) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sync:
            os.fsync(file.fileno())
        return {"size": os.fstat(file.fileno()).st_size, "sha256": digest}


def _compare(path: Path, name: str, expected: dict[str, Any]) -> list[str]:
    """What is wrong with one file: nothing, or one phrase."""
    if path.is_symlink() or not path.is_file():
        return [f"{name} is no regular file"]
    try:
        if (size := path.stat().st_size) != expected["size"]:
            return [f"{name} has {size} bytes instead of {expected['size']}"]
        same = _describe(path) == expected
    except OSError as error:
        return [f"{name} cannot be read ({error.strerror})"]
    return [] if same else [f"{name} is not what was written (its SHA-256 differs)"]
