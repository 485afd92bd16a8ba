"""Pictures and images on disk for measurements, removed when the process ends."""

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

SIDES = (240, 320)  # pixels of a picture
QUALITY = 90  # of JPEG


def temporary_folder() -> Path:
    """A new folder, removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="jaxdl-benchmark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_pictures(count: int) -> Path:
    """JPEG files in a new folder: parts of scikit-learn's two photographs, always the same ones."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    folder, rng = temporary_folder(), np.random.default_rng(0)
    photographs = load_sample_images().images
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        top, left = (
            rng.integers(0, whole - part)
            for whole, part in zip(photograph.shape[:2], SIDES, strict=True)
        )
        part = photograph[top : top + SIDES[0], left : left + SIDES[1]]
        Image.fromarray(part).save(folder / f"{number:06}.jpg", quality=QUALITY)
    return folder


def write_array(count: int, size: int) -> Path:
    """A `.npy` file of random images (count, size, size, 3), uint8."""
    path = temporary_folder() / "images.npy"
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    np.save(path, images)
    return path
