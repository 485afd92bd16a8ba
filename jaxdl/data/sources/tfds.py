"""Reads data sets prepared by tensorflow-datasets, without TensorFlow.

Without TensorFlow, TFDS reads folders in ``array_record`` format, not ``tfrecord``.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.data.dataset import Dataset, Split, make_dataset
from jaxdl.data.resize import resize_square
from jaxdl.errors import DataError, DataUnavailableError, brief
from jaxdl.files import open_regular

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_READ_CHUNK, _AT_ONCE = 256, 4096  # records of a read, and of the reads that run side by side
_CLASS_KEYS = ("pythonClassName", "python_class_name", "type")
_OF_TFDS = re.compile(r"tensorflow_datasets(\.\w+)+")


def default_root() -> Path:
    """TFDS's own data folder: ``TFDS_DATA_DIR``, else ``~/tensorflow_datasets``."""
    folder = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # ~user of an unknown user
        raise DataUnavailableError(f"data folder {folder}: {error}; give the full path") from error


def find_prepared(root: Path, name: str) -> Path | None:
    """The highest ``<root>/<name>/<version>`` in array_record format, or None.

    Raises:
        DataUnavailableError: it is prepared, but in a format that only TensorFlow reads.
        DataError: a folder's ``dataset_info.json`` is damaged.
    """
    formats = {folder: _file_format(folder) for folder in _version_folders(root / name)}
    readable = [folder for folder, file_format in formats.items() if file_format == "array_record"]
    if readable:
        return max(readable, key=_version_key)
    if formats:
        folder, file_format = formats.popitem()
        raise DataUnavailableError(
            f"{folder} is prepared as {file_format!r}, which only TensorFlow reads; convert it "
            f"where TensorFlow is installed (tfds convert_format --dataset_dir={folder} "
            "--out_file_format=array_record --out_dir=...), or move it away to prepare it "
            "again"
        )
    return None


def read_prepared(folder: Path, name: str, image_size: int | None = None) -> Dataset:
    """Reads a prepared folder ``<root>/<name>/<version>`` in array_record format.

    The test part is the split "test", else "validation". If there are no labels, all images are of
    one class. For ``image_size`` see :func:`jaxdl.data.load`.

    Raises:
        DataError: damaged, or not a set of images of one size.
    """
    _check_class_names(folder)
    tfds = import_tfds()
    with _damage_is_data_error(folder):
        builder = tfds.builder_from_directory(folder)
        features, splits = builder.info.features, builder.info.splits
    check_features(features, name)
    train_name, test_name = _split_names(splits, folder)
    with _damage_is_data_error(folder):
        train = _read_split(builder, train_name, image_size)
        test = _read_split(builder, test_name, image_size)
    return make_dataset(
        train,
        test,
        name=name,
        source="tfds",
        location=str(folder),
        num_classes=features["label"].num_classes if "label" in features else 1,
        notice="" if "label" in features else "its images have no labels",
    )


@contextlib.contextmanager
def _damage_is_data_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # TFDS and array_record raise whatever their parts raise
        raise DataError(
            f"prepared folder {folder} is damaged ({brief(error)}); delete it to prepare it again"
        ) from error


def _read_split(builder: "tfds.core.DatasetBuilder", split: str, image_size: int | None) -> Split:
    records = builder.as_data_source(split=split)
    shape = builder.info.features["image"].shape
    shrinks = image_size is not None and image_size < min(shape[:2])

    def read(first: int) -> Split:
        numbers = range(first, min(first + _READ_CHUNK, len(records)))
        found = records.__getitems__(list(numbers))
        if strange := [record["image"].shape for record in found if record["image"].shape != shape]:
            raise ValueError(f"an image of shape {strange[0]}, not {shape}")
        images = np.stack([record["image"] for record in found])
        labels = np.array([record.get("label", 0) for record in found], np.int32)
        return Split(resize_square(images, image_size) if shrinks else images, labels)

    parts: list[Split] = []  # grow with the content, not with the announced size
    with ThreadPoolExecutor() as threads:  # decoding releases the GIL
        for first in range(0, len(records), _AT_ONCE):
            stop = min(first + _AT_ONCE, len(records))
            parts += threads.map(read, range(first, stop, _READ_CHUNK))
    return Split(*map(np.concatenate, zip(*parts, strict=True)))


def check_features(features: "tfds.features.FeaturesDict", name: str) -> None:
    """Refuses anything but uint8 images of one size, with class labels if there are labels."""
    known = dict(features.items())
    image, label = known.get("image"), known.get("label")
    if image is None or (label is not None and not hasattr(label, "num_classes")):
        raise DataError(
            f"{name!r} is not a set of images: it has the features {sorted(known)}, need 'image' "
            "and, for classes, a class 'label'"
        )
    if image.np_dtype != np.uint8 or len(image.shape) != 3 or None in image.shape:
        raise DataError(
            f"images of {name!r} are {np.dtype(image.np_dtype)} of shape {image.shape}: need uint8 "
            "(H, W, C) of one fixed size"
        )


def _split_names(splits: dict, folder: Path) -> tuple[str, str]:
    test = next((split for split in ("test", "validation") if split in splits), None)
    if "train" not in splits or test is None:
        raise DataError(
            f"{folder} has the splits {sorted(splits)}: need 'train' and 'test' or 'validation'"
        )
    return "train", test


def _version_folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [folder for folder in parent.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)]


def _version_key(folder: Path) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split(".")))


def _file_format(folder: Path) -> str:
    info = folder / "dataset_info.json"
    try:
        # Folders prepared before TFDS wrote the format down are tfrecord.
        return _json_object(info).get("fileFormat", "tfrecord")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"cannot read {info} ({brief(error)}); delete {folder} to prepare it again"
        ) from error


def _json_object(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        content = json.load(file)
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__} in place of an object")
    return content


def _check_class_names(folder: Path) -> None:
    """Refuses a folder whose features are classes from outside TFDS.

    TFDS imports any module that `features.json` names, and importing a module runs its code.
    """
    path = folder / "features.json"
    with _damage_is_data_error(folder):
        foreign = sorted(
            name for name in _class_names(_json_object(path)) if not _OF_TFDS.fullmatch(str(name))
        )
    if foreign:
        raise DataError(
            f"{path} names {foreign[0]!r:.200}, which is not a feature of tensorflow-datasets: "
            "nothing of it was imported; delete the folder to prepare it again"
        )


def _class_names(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _class_names(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _CLASS_KEYS and not isinstance(item, dict | list):
                yield item
            yield from _class_names(item)


def import_tfds() -> ModuleType:
    """Imports tensorflow_datasets on first use: it takes half a second."""
    try:
        import importlib_resources  # noqa: F401 - an undeclared dependency of TFDS's preparation
        import tensorflow_datasets
    except ImportError as error:
        raise DataUnavailableError(
            f"tensorflow-datasets cannot be imported ({error}); pip install tensorflow-datasets "
            "importlib_resources"
        ) from error
    return tensorflow_datasets
