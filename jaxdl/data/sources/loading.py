"""Loads data sets by name from the first source that has them."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from jaxdl.data.dataset import Dataset, make_dataset
from jaxdl.data.sources.embedded import EMBEDDED_NAME, load_embedded
from jaxdl.data.sources.idx import IDX_STEMS, read_folder
from jaxdl.data.sources.published import PUBLISHED
from jaxdl.data.sources.tfds import default_root, find_prepared, read_prepared
from jaxdl.data.sources.tfds_prepare import prepare
from jaxdl.errors import ConfigError, DataError, DataUnavailableError

DATA_DIR_VARIABLE = "JAXDL_DATA_DIR"


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    *,
    source: str | None = None,
    image_size: int | None = None,
) -> Dataset:
    """Loads a data set from the first source that has it.

    1. ``<data_dir>/<name>/``: the four IDX files (plain or gzip), or a folder ``<version>``
       prepared by tensorflow-datasets. If the argument ``data_dir`` is given but has no such data,
       that is an error. Without it, the environment variable ``JAXDL_DATA_DIR`` is used; if that
       folder has no ``<name>``, the search continues and the notice says so.
    2. TFDS's own folder (``TFDS_DATA_DIR``), if the data set is prepared there.
    3. Download and preparation by TFDS, if the network answers within seconds.
    4. The embedded sample of 5,000 digits ("mnist" only).

    A source without the data is skipped; damaged data is always an error.

    Args:
        name: "mnist", "fashion_mnist", another TFDS set of images, or any name whose
            IDX files are in ``<data_dir>/<name>/``.
        data_dir: the folder of step 1. With ``source="tfds"`` it is the folder to prepare in
            (created if missing); with ``source="embedded"`` it is unused.
        source: "idx", "tfds" or "embedded" to allow only one source and see its own error.
        image_size: height and width to which larger TFDS images are reduced while they are read, by
            :func:`resize_square`: celeb_a takes 23 GB, and 2.5 GB with 64.

    Raises:
        ConfigError: unknown ``source`` or malformed ``name``.
        DataUnavailableError: no allowed source has the data.
        DataError: unknown name, or damaged data.

    Example:
        >>> sample = load("mnist", source="embedded")
        >>> sample.images.shape, sample.num_train, sample.source
        ((5000, 28, 28, 1), 4000, 'embedded')
    """
    _check_arguments(name, data_dir, source)
    try:
        return _load(name, _data_root(data_dir), source, image_size)
    except OSError as error:
        raise DataError(
            f"cannot read {error.filename}: {error.strerror or error}; check its permissions"
        ) from error


def load_idx(name: str, root: Path) -> Dataset:
    """Loads the four IDX files in ``<root>/<name>/``.

    If the name has no published number of classes, the labels determine it.

    Raises:
        DataUnavailableError: the files are not there.
        DataError: a file is missing, unreadable or damaged.
    """
    folder = root / name
    known_classes = PUBLISHED[name].num_classes if name in PUBLISHED else None
    try:
        train, test = read_folder(folder, known_classes)
    except DataUnavailableError as error:
        raise DataUnavailableError(f"{error}{_misplaced_hint(name, root)}") from error
    return make_dataset(
        train,
        test,
        name=name,
        source="idx",
        location=str(folder),
        num_classes=known_classes or 1 + int(max(train.labels.max(), test.labels.max())),
    )


def load_tfds(name: str, root: Path, image_size: int | None = None) -> Dataset:
    """Loads a prepared data set from ``<root>/<name>/<version>``, preparing it first if necessary.

    The name is "mnist", "fashion_mnist", or a TFDS name (``name/config`` for a configuration).

    Raises:
        DataUnavailableError: it is not prepared, and cannot be downloaded now.
        DataError: unknown name, not an image-classification set, damaged folder or download.
    """
    folder = find_prepared(root, name)
    if folder is None:
        folder = prepare(name, root)
    return read_prepared(folder, name, image_size)


# A source of its own is a function here: load(name, data_dir or None, image_size) -> Dataset.
LOADERS: dict[str, Callable[[str, Path | None, int | None], Dataset]] = {
    "idx": lambda name, root, size: load_idx(name, _existing_root(root)),
    "tfds": lambda name, root, size: load_tfds(name, root or default_root(), size),
    "embedded": lambda name, root, size: load_embedded(name),
}
SOURCES = tuple(LOADERS)


def _load(
    name: str, place: tuple[Path | None, bool], source: str | None, image_size: int | None
) -> Dataset:
    root, is_argument = place
    if source is not None:
        return LOADERS[source](name, root, image_size)
    if is_argument:
        return _load_from_root(name, _existing_root(root), image_size)
    return _load_first(name, root, image_size)


def _load_first(name: str, variable_root: Path | None, image_size: int | None) -> Dataset:
    """Steps 1 (environment variable) to 4; the notice lists the skipped sources."""
    passed_over: list[str] = []
    if variable_root is not None:
        if (variable_root / name).is_dir():
            return _load_from_root(name, variable_root, image_size)
        passed_over.append(f"{DATA_DIR_VARIABLE}={variable_root} has no folder {name!r}")
    try:
        return _with_notice(load_tfds(name, default_root(), image_size), passed_over)
    except DataUnavailableError as error:
        if name != EMBEDDED_NAME:
            raise DataUnavailableError("; ".join([*passed_over, str(error)])) from error
        passed_over.append(f"source 'tfds': {error}")
    return _with_notice(load_embedded(name), passed_over)


def _load_from_root(name: str, root: Path, image_size: int | None) -> Dataset:
    """Step 1: IDX files, else a prepared TFDS folder."""
    try:
        return load_idx(name, root)
    except DataUnavailableError:
        prepared = find_prepared(root, name)
        if prepared is None:
            raise
    return read_prepared(prepared, name, image_size)


def _with_notice(dataset: Dataset, passed_over: list[str]) -> Dataset:
    notices = [dataset.notice, *(f"skipped: {reason}" for reason in passed_over)]
    return dataset._replace(notice="\n".join(filter(None, notices)))


def _check_arguments(name: str, data_dir: str | os.PathLike | None, source: str | None) -> None:
    if source not in (None, *SOURCES):
        raise ConfigError(f"unknown data source {source!r}: choose one of {', '.join(SOURCES)}")
    if not re.fullmatch(r"\w+(/[\w.-]*\w)?", name):  # it becomes part of a path
        raise ConfigError(
            f"malformed data set name {name!r}: letters, digits and underscores, for example "
            f"{', '.join(PUBLISHED)}"
        )
    if data_dir is not None and not os.fspath(data_dir):
        raise DataError("data_dir is empty: name a folder, or leave it out")


def _data_root(data_dir: str | os.PathLike | None) -> tuple[Path | None, bool]:
    """The folder of step 1, and whether it was an argument (not the environment variable)."""
    if data_dir is not None:
        return _expanded(data_dir), True
    variable = os.environ.get(DATA_DIR_VARIABLE)
    return (_expanded(variable) if variable else None), False


def _expanded(folder: str | os.PathLike) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # ~user of an unknown user
        raise DataUnavailableError(f"data folder {folder}: {error}; give the full path") from error


def _existing_root(root: Path | None) -> Path:
    if root is None:
        raise DataUnavailableError(
            f"source 'idx' needs a folder: give data_dir or set {DATA_DIR_VARIABLE}"
        )
    if not root.is_dir():
        kind = "is not a folder" if root.exists() else "does not exist"
        raise DataUnavailableError(f"data_dir {root} {kind}; name the parent folder of <name>/")
    return root


def _misplaced_hint(name: str, root: Path) -> str:
    """A hint for users who passed the folder of the files instead of its parent."""
    stem = IDX_STEMS["train_images"]
    if not any((root / f"{stem}{suffix}").exists() for suffix in ("", ".gz")):
        return ""
    if root.name == name:
        return f" (the files lie in {root} itself: give {root.parent} as data_dir)"
    return f" (files lie in {root} itself: move them to {root / name})"
