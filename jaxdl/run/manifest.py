"""A checkpoint's manifest: the size and SHA-256 of every file in its folder.

The manifest is written last, so a folder without one is incomplete. It also contains its own
digest, so damage to the manifest is not mistaken for damage to the files it lists.
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
    """Writes a complete folder's manifest, including the given facts, and syncs it to disk.

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
    """Reads a folder's manifest (``files`` and the stored facts), or raises a CheckpointError."""
    path = Path(folder) / MANIFEST
    if path.is_symlink():
        raise CheckpointError(f"{MANIFEST} is not a regular file")
    try:
        text = path.read_text()
        content = json.loads(text)["content"]
    except FileNotFoundError:
        raise CheckpointError(f"{MANIFEST} is missing") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{MANIFEST} cannot be read ({error})") from None
    if text != _dump(content):
        raise CheckpointError(f"{MANIFEST} has changed (its own SHA-256 differs)")
    return content


def find_damage(folder: str | os.PathLike) -> list[str]:
    """Compares every file in a checkpoint's folder with the manifest.

    Returns:
        One phrase per file that is missing, unexpected or changed; empty if all are intact.
    """
    folder = Path(folder)
    try:
        expected = read_manifest(folder)["files"]
    except CheckpointError as error:
        return [str(error)]
    there = set(_names(folder))
    damage = [f"{name} is missing" for name in expected if name not in there]
    damage += [f"{name} is unexpected" for name in sorted(there - set(expected))]
    for name in sorted(there & set(expected)):
        damage += _compare(folder / name, name, expected[name])
    return damage


def sync_folder(path: str | os.PathLike) -> None:
    """Syncs a folder's entries to disk, so that new names survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dump(content: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({"content": content, "sha256": digest}, sort_keys=True, indent=1) + "\n"


def _names(folder: Path) -> Iterator[str]:
    """All files and links below a folder, except the manifest."""
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
    if path.is_symlink() or not path.is_file():
        return [f"{name} is not a regular file"]
    try:
        if (size := path.stat().st_size) != expected["size"]:
            return [f"{name} has {size} bytes instead of {expected['size']}"]
        same = _describe(path) == expected
    except OSError as error:
        return [f"{name} cannot be read ({error.strerror})"]
    return [] if same else [f"{name} has changed (its SHA-256 differs)"]
