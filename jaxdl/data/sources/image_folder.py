"""A folder of pictures as a data set: listed, checked by content, decoded once, cached."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxdl._cores import usable_cores
from jaxdl.data.dataset import Dataset, fingerprint
from jaxdl.data.sources.image_files import SUFFIXES, Picture, decode_picture, read_content
from jaxdl.data.stored import StoredImages, write_images
from jaxdl.errors import DataError, WorkdirError
from jaxdl.files import CACHE_VARIABLE, cache_root, new_folder, to_json

READER = 1  # to be counted up when the same files give other pixels
TEST_SHARE, MOST_TEST = 0.1, 10_000
MOST_BAD = 0.1  # share of files that may be left out
NAMED = 10  # files named in a message
KEPT_NAMES = 1000  # of files that were left out
AT_ONCE = 1024  # files in work at a time
SOURCE = "folder"
TRAIN, TESTS = "train", ("test", "val", "valid", "validation")  # sub-folders that are parts
IMAGES, ABOUT = "images.npy", "about.json"
DAMAGED = (OSError, ValueError, KeyError, TypeError, RecursionError)  # what such a file raises

Progress = Callable[[str, int, int], None]  # what is done, how many files, of how many
T = TypeVar("T")


class Listing(NamedTuple):
    """The pictures below a folder, and other files: paths from the folder, sorted."""

    names: list[str]
    others: list[str]


class Parts(NamedTuple):
    """Names of pictures by the part of the data set they belong to.

    Attributes:
        named: whether the parts are sub-folders, so that classes are sub-folders of these.
    """

    train: list[str]
    test: list[str]
    neither: list[str]
    named: bool


def load_image_folder(
    folder: str | os.PathLike,
    picture: Picture,
    *,
    skip_bad: bool = False,
    follow_links: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Loads the PNG, JPEG, WebP, BMP and GIF files in a folder and below it.

    What :func:`read_picture` makes of them is kept in the user's cache under the SHA-256 of their
    names and contents, and checked when it is read again. Images of the data set are in that file
    (:class:`StoredImages`), not in memory.

    If all pictures lie in sub-folders, the names of these are the classes, in alphabetical order.
    The test part is the sub-folder ``test`` (or ``val``, ``valid``, ``validation``) if there is one
    beside ``train``; else a tenth of the pictures, at most 10,000, chosen by their content: the
    same pictures always, and copies of one never in both parts.

    Args:
        folder: the folder; names that begin with a dot are left out.
        picture: what the pictures are made into.
        skip_bad: leave damaged files out, unless they are more than a tenth.
        follow_links: also follow symbolic links that lead out of the folder.
        progress: told how far the work is, see :data:`Progress`.

    Raises:
        DataError: there are too few pictures, damaged ones, or links out of the folder.
        WorkdirError: the cache cannot be written.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp(), "greys")
        >>> folder.mkdir()
        >>> for grey in range(20):
        ...     Image.new("L", (9, 8), grey).save(folder / f"{grey}.png")
        >>> greys = load_image_folder(folder, Picture(4, grey=True))
        >>> greys.images.shape, greys.num_train, greys.name
        ((20, 4, 4, 1), 18, 'greys')
    """
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    tell = progress or (lambda what, done, total: None)
    listing = list_pictures(folder, follow_links)
    if not listing.names:
        raise DataError(f"{folder} holds no pictures: need {', '.join(sorted(SUFFIXES))} files")
    digests = _digests(folder, listing.names, tell)
    cache = cache_root() / "images" / _key(digests, picture)
    about = _checked(cache)
    if about is None:
        _decode(cache, folder, digests, picture, tell)
        about = _checked(cache)
    if about is None:
        raise WorkdirError(f"{cache} was damaged as soon as it was written; check the disk")
    _refuse_bad(about["bad"], len(digests), folder, skip_bad)
    images = StoredImages(cache / IMAGES)
    if not 0 < about["num_train"] < len(images):
        part = "test" if about["num_train"] else "training"
        raise DataError(f"{folder} has no {part} part: need at least two different pictures")
    return Dataset(
        images=images,
        labels=np.array(about["labels"], np.int32),
        name=folder.name,
        source=SOURCE,
        location=str(folder),
        num_train=about["num_train"],
        num_classes=max(1, len(about["classes"])),
        fingerprint=about["fingerprint"],
        notice=_notice(about, listing.others),
        class_names=tuple(about["classes"]),
    )


def list_pictures(folder: Path, follow_links: bool = False) -> Listing:
    """The pictures below a folder, by the suffixes of their names.

    Raises:
        DataError: the folder cannot be read, or a link leads out of it.
    """
    names, others, outside = [], [], []
    root, seen, waiting = os.path.realpath(folder), set(), [(os.fspath(folder), "")]

    def leads_out(entry: os.DirEntry) -> bool:
        if follow_links or not entry.is_symlink():
            return False
        return os.path.commonpath([root, os.path.realpath(entry.path)]) != root

    def look(path: str, prefix: str) -> None:
        with os.scandir(path) as entries:
            for entry in entries:
                name = prefix + entry.name
                is_picture = os.path.splitext(name)[1].lower() in SUFFIXES
                if entry.name.startswith("."):
                    continue
                if (entry.is_dir() or is_picture) and leads_out(entry):
                    outside.append(name)
                elif entry.is_dir():
                    waiting.append((entry.path, f"{name}/"))
                else:
                    (names if is_picture else others).append(name)

    try:
        while waiting:
            path, prefix = waiting.pop()
            place = os.path.realpath(path)
            if place not in seen:  # links may lead in a circle
                seen.add(place)
                look(path, prefix)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror or error}") from error
    if outside:
        raise DataError(f"links lead out of {folder}: {_some(outside)}; follow_links follows them")
    return Listing(sorted(names), sorted(others))


def classes_of(names: list[str]) -> tuple[list[str], np.ndarray]:
    """Names of the classes, and the labels of pictures with these paths.

    Example:
        >>> classes_of(["cat/a.png", "dog/old/b.png"])
        (['cat', 'dog'], array([0, 1], dtype=int32))
        >>> classes_of(["cat/a.png", "b.png"])[0]
        []
    """
    tops = [name.partition("/")[0] if "/" in name else "" for name in names]
    classes = sorted(set(tops)) if "" not in tops else []
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, np.array([numbers.get(top, 0) for top in tops], np.int32)


def part_names(digests: dict[str, str]) -> Parts:
    """Divides pictures, given by the digests of their contents, into training and test part."""
    tops = {name.partition("/")[0] for name in digests if "/" in name}
    test = next((name for name in TESTS if name in tops), None)
    parts = Parts([], [], [], named=TRAIN in tops and test is not None)
    if parts.named:
        by_top = {TRAIN: parts.train, test: parts.test}
        for name in digests:
            by_top.get(name.partition("/")[0], parts.neither).append(name)
        return parts
    contents = sorted(filter(None, digests.values()))
    count = min(MOST_TEST, max(1, round(TEST_SHARE * len(contents))))
    last = contents[count - 1] if len(contents) > 1 else ""
    for name, digest in digests.items():
        (parts.test if digest and digest <= last else parts.train).append(name)
    return parts


def _key(digests: dict[str, str], picture: Picture) -> str:
    """A name for everything that the pixels depend on."""
    import PIL

    digest = hashlib.sha256(to_json([READER, PIL.__version__, *picture]).encode())
    for name, content in digests.items():
        digest.update(f"{content} {name}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _digests(folder: Path, names: list[str], tell: Progress) -> dict[str, str]:
    """SHA-256 of each file's content by its name; "" for a file that cannot be read."""

    def digest(name: str) -> str:
        try:
            return hashlib.sha256(read_content(folder / name)).hexdigest()
        except DataError:
            return ""

    found = _in_threads(digest, names, "looking for changes", tell)
    return dict(zip(names, found, strict=True))


def _in_threads(
    work: Callable[[str], T], names: Sequence[str], what: str, tell: Progress
) -> Iterator[T]:
    """The results of some work on files, in order; Pillow and hashlib use all cores."""
    # More threads than cores wait for each other in Python: two thirds more time, measured.
    with ThreadPoolExecutor(usable_cores()) as threads:
        for first in range(0, len(names), AT_ONCE):
            some = names[first : first + AT_ONCE]
            yield from threads.map(work, some)
            tell(what, first + len(some), len(names))


def _decode(
    cache: Path, folder: Path, digests: dict[str, str], picture: Picture, tell: Progress
) -> None:
    """Writes a folder of the cache: pixels, and what is known about them."""
    parts = part_names(digests)
    bad: dict[str, str] = {}

    def decode(name: str) -> np.ndarray | None:
        try:
            content = read_content(folder / name)
            if digests[name] not in ("", hashlib.sha256(content).hexdigest()):
                raise DataError("it changed while it was read; start again")
            return decode_picture(content, picture)
        except DataError as error:
            bad[name] = str(error)
            return None

    def decoded() -> Iterator[np.ndarray]:
        images = _in_threads(decode, [*parts.train, *parts.test], "decoding", tell)
        return (image for image in images if image is not None)

    try:
        with new_folder(cache) as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about metadata of sound pictures
            with (place / IMAGES).open("wb") as file:
                write_images(file, picture.shape, decoded())
            names, tests = ([n for n in part if n not in bad] for part in parts[:2])
            classes, labels = classes_of(
                [n.partition("/")[2] if parts.named else n for n in names + tests]
            )
            content = {
                "folder": os.fspath(folder),
                "picture": list(picture),
                "num_train": len(names),
                "classes": classes,
                "labels": labels,
                "bad": dict(sorted(bad.items())),
                "neither": len(parts.neither),
                "fingerprint": fingerprint(StoredImages(place / IMAGES), labels, len(names)),
            }
            text = to_json(content)
            (place / ABOUT).write_text(to_json({"sha256": _sha256(text), "content": text}))
    except WorkdirError as error:
        if not cache.is_dir():  # another process was not faster
            raise WorkdirError(f"{error} ({CACHE_VARIABLE} names the cache's folder)") from error
    _remove_older(cache, folder, picture)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _about(cache: Path) -> dict[str, Any]:
    """What is known about the pictures in a folder of the cache."""
    about = json.loads((cache / ABOUT).read_bytes())
    if _sha256(about["content"]) != about["sha256"]:
        raise ValueError("its checksum is wrong")
    return json.loads(about["content"])


def _checked(cache: Path) -> dict[str, Any] | None:
    """What is known about the cached pictures; None if there are none, or no sound ones."""
    if not cache.is_dir():
        return None
    try:
        about, images = _about(cache), StoredImages(cache / IMAGES)
        found = fingerprint(images, np.array(about["labels"], np.int32), about["num_train"])
        if found == about["fingerprint"]:
            return about
    except DAMAGED:
        pass
    shutil.rmtree(cache, ignore_errors=True)
    return None


def _remove_older(cache: Path, folder: Path, picture: Picture) -> None:
    """Removes what the cache holds of earlier contents of the same folder."""
    for other in cache.parent.iterdir():
        try:
            about = _about(other)
        except DAMAGED:
            continue
        same = about["folder"] == os.fspath(folder) and about["picture"] == list(picture)
        if same and other != cache:
            shutil.rmtree(other, ignore_errors=True)


def _refuse_bad(bad: dict[str, str], count: int, folder: Path, skip_bad: bool) -> None:
    many = len(bad) > MOST_BAD * count
    if not bad or (skip_bad and not many):
        return
    remedy = "skip_bad leaves them out"
    if many:
        remedy = f"more than {MOST_BAD:.0%} are not left out: is it the right folder?"
    reasons = _some([f"{name} ({reason})" for name, reason in bad.items()])
    raise DataError(
        f"{len(bad):,} of {count:,} pictures in {folder} cannot be read: {reasons}; {remedy}"
    )


def _notice(about: dict[str, Any], others: list[str]) -> str:
    lines = []
    if about["bad"]:
        lines.append(f"left out as damaged: {_some(list(about['bad']), KEPT_NAMES)}")
    if about["neither"]:
        lines.append(f"left out as in neither part: {about['neither']:,}")
    if others:
        lines.append(f"left out as no pictures: {_some(others)}")
    return "\n".join(lines)


def _some(names: list[str], count: int = NAMED) -> str:
    more = f", and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
