"""Images to be judged, from a folder of PNG files or an ``.npz`` archive."""

import os
from pathlib import Path

import numpy as np

from jaxdl.errors import DataError, WeightsError, brief
from jaxdl.files import open_regular
from jaxdl.interop import npz

ENTRY = "images"
GRID = "grid.png"  # beside the images that experiments.generate draws
_CHANNELS = {"L": 1, "RGB": 3}  # Pillow's modes


def read_images(path: str | os.PathLike, limit: int | None = None) -> np.ndarray:
    """Reads uint8 images (N, H, W, C).

    Args:
        path: a folder of PNG files of one size, grey or RGB, taken in the order of their names
            (``grid.png`` is left out); or an ``.npz`` file with an array ``images``,
            (N, H, W, C) or (N, H, W).
        limit: read no more than this many.

    Raises:
        DataError: it is missing or empty, a file is damaged or no PNG, or the images are not of one
            size and type.
    """
    path = Path(path)
    if path.is_dir():
        images = _read_folder(path, limit)
    elif path.suffix == ".npz":
        images = _read_npz(path)[:limit]
    else:
        kind = "is not" if path.exists() else "does not exist; need"
        raise DataError(f"{path} {kind} a folder of PNG files or an .npz file")
    if not len(images):
        raise DataError(f"{path} holds no images")
    return images


def _read_folder(folder: Path, limit: int | None) -> np.ndarray:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error
    files = [folder / name for name in names if not name.startswith(".") and name != GRID]
    for path in files:
        if path.suffix.lower() != ".png" or path.is_dir():
            raise DataError(
                f"{folder} holds {path.name}, which is no PNG file: give a folder of images only"
            )
    if not files:
        raise DataError(f"{folder} is empty: need PNG files")
    images = [_read_png(path) for path in files[:limit]]
    for path, image in zip(files, images, strict=False):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path} is {_size(image)} and {files[0].name} is {_size(images[0])}: all images "
                "need one size and number of channels"
            )
    return np.stack(images)


def _size(image: np.ndarray) -> str:
    height, width, channels = image.shape
    return f"{height}x{width}x{channels}"


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image  # here, to keep importing jaxdl fast

    try:
        with open_regular(path) as file, Image.open(file, formats=("PNG",)) as image:
            if image.mode not in _CHANNELS:
                raise DataError(
                    f"{path} has Pillow's mode {image.mode!r}: need 8-bit grey or RGB; convert it"
                )
            pixels = np.asarray(image)
    except DataError:
        raise
    except Exception as error:  # Pillow raises many types on a damaged file
        raise DataError(f"{path} is no readable PNG file: {brief(error)}") from error
    return pixels.reshape(*pixels.shape[:2], _CHANNELS[image.mode])


def _read_npz(path: Path) -> np.ndarray:
    try:
        with open_regular(path) as file:
            arrays = npz.decode(file.read())
    except (OSError, WeightsError) as error:
        raise DataError(f"cannot read {path}: {brief(error)}") from error
    if ENTRY not in arrays:
        raise DataError(
            f"{path} has no array {ENTRY!r}; it has {brief(', '.join(arrays)) or 'nothing'}"
        )
    images = arrays[ENTRY]
    images = images[..., np.newaxis] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape[1:]:
        raise DataError(
            f"{ENTRY!r} in {path} is {images.dtype} of shape {images.shape}: need uint8 "
            "(N, H, W, C), grey values 0..255"
        )
    if images.shape[-1] not in (1, 3):
        raise DataError(
            f"{ENTRY!r} in {path} has shape {images.shape}: need (N, H, W, C) with 1 or 3 channels"
        )
    return images
