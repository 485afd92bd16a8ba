"""Generated images as files, with memory that does not grow with their number."""

import functools
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, DataError, WorkdirError, brief
from jaxdl.files import check_unused, new_folder, open_atomically, open_regular
from jaxdl.generation.generator import TrainedGenerator, numbers_of_passes
from jaxdl.plot import png_bytes, tile
from jaxdl.run.progress import has_screen, tqdm_class

GRID = "grid.png"
IN_GRID = 100  # images
DEFAULT_COUNT = 100


def generate_images(
    generator: TrainedGenerator,
    out: str | os.PathLike,
    count: int | None = None,
    *,
    seed: int = 0,
    z: ArrayLike | None = None,
    progress: bool | None = None,
) -> Path:
    """Draws images into a new folder or an `.npz` file, and returns its path.

    Nothing is left if it is interrupted or fails.

    Args:
        generator: from :func:`jaxdl.generation.load_generator`.
        out: a folder that does not exist or is empty, for ``000000.png``, ``000001.png``, … and
            ``grid.png`` with the first hundred, sorted by class if there are any; or a file ending
            in `.npz` for the arrays ``images``, uint8 (N, H, W, C), and ``z``, float32
            (N, latent_dim), and with classes ``labels``, int32 (N,).
        count: number of images; by default 100, or one per given z.
        seed: the images are those of ``generator.sample(count, seed)``.
        z: noise (N, latent_dim) to use instead.
        progress: whether to show a bar; None: if there is a screen.

    Raises:
        ConfigError: ``count`` is below 1, or given together with z.
        ShapeError: z does not fit the generator.
        WorkdirError: ``out`` cannot be written, or is something else already.
    """
    out = Path(out)
    check_out(out)
    if z is not None and count is not None:
        raise ConfigError("count and z are given: images are drawn for each z; leave count out")
    if z is None:
        count = DEFAULT_COUNT if count is None else count
        noise = functools.partial(generator.noise_batches, count, seed)
    else:
        noise = functools.partial(generator.given_batches, z)
    batches = generator.pixels(noise())  # checks the arguments
    count = len(z) if count is None else count
    pixels = _with_bar(batches, count, progress)
    if out.suffix == ".npz":
        model = generator.model
        shape = (count, model.image_size, model.image_size, model.channels)
        with open_atomically(out) as file, zipfile.ZipFile(file, "w") as archive:
            _write_array(archive, "images", shape, np.dtype(np.uint8), pixels)
            alone = (rows[:, : model.latent_dim] for rows in noise())
            _write_array(archive, "z", (count, model.latent_dim), np.dtype("<f4"), alone)
            if model.num_classes:
                labels = (generator.classes(block) for block in numbers_of_passes(count))
                _write_array(archive, "labels", (count,), np.dtype("<i4"), labels)
    else:
        with new_folder(out) as folder:
            labels = generator.classes(np.arange(min(count, IN_GRID)))
            _write_pictures(folder, pixels, count, labels)
    return out


def check_out(out: str | os.PathLike) -> None:
    """Raises a WorkdirError if :func:`generate_images` could not write there."""
    out = Path(out)
    if out.suffix in (".npy", ".png", ".zip"):
        raise WorkdirError(f"{out}: give a folder, or a file ending in .npz")
    if out.suffix != ".npz":
        check_unused(out)
    elif out.is_dir():
        raise WorkdirError(f"{out} is a folder; choose another name")


def read_noise(path: str | os.PathLike) -> np.ndarray:
    """Reads z from a `.npy` file, or as ``z`` from an `.npz` file such as generated images are in.

    A `.npy` file stays on disk and is read piece by piece.

    Raises:
        DataError: the file is missing or damaged, or holds no such array.
    """
    path = Path(path)
    try:
        with open_regular(path):  # not a pipe or a device
            pass
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return loaded["z"]
    except KeyError:
        raise DataError(f"{path} has no array named z, as generated images have") from None
    except Exception as error:  # NumPy and zipfile raise many types on a damaged file
        raise DataError(f"cannot read z from {path}: {brief(error)}") from error


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    blocks: Iterable[np.ndarray],
) -> None:
    """Writes an array of an `.npz` file block by block."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        np.lib.format.write_array_header_1_0(entry, header)
        for block in blocks:
            entry.write(np.ascontiguousarray(block, dtype).data)


def _write_pictures(
    folder: Path, batches: Iterable[np.ndarray], count: int, labels: np.ndarray | None
) -> None:
    first, done, digits = [], 0, max(6, len(str(count - 1)))
    for batch in batches:
        for number, image in enumerate(batch, done):
            pixels = image[..., 0] if image.shape[-1] == 1 else image
            (folder / f"{number:0{digits}d}.png").write_bytes(png_bytes(pixels, level=1))
        if done < IN_GRID:
            first.append(batch[: IN_GRID - done])
        done += len(batch)
    in_grid = np.concatenate(first)
    if labels is not None:
        in_grid = in_grid[np.argsort(labels, kind="stable")]
    (folder / GRID).write_bytes(png_bytes(tile(in_grid)))


def _with_bar(
    batches: Iterable[np.ndarray], total: int, progress: bool | None
) -> Iterator[np.ndarray]:
    hidden = not (has_screen() if progress is None else progress)
    with tqdm_class()(total=total, unit=" images", dynamic_ncols=True, disable=hidden) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))
