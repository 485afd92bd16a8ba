"""Made-up IDX folders, and the real MNIST where JAXDL_DATA_DIR or the shared folder has it."""

import os
from pathlib import Path

import numpy as np
import pytest

from jaxdl.data import write_idx
from jaxdl.data.sources.idx import IDX_STEMS


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path):
    """No test sees the machine's data folders or reaches a real mirror by accident."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds_default"))
    monkeypatch.setenv("JAXDL_MNIST_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("JAXDL_FASHION_MNIST_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("JAXDL_DATA_DIR", raising=False)


@pytest.fixture
def made_parts():
    """Random digits: 30 training and 20 test images with every class present."""
    rng = np.random.default_rng(7)
    return {
        "train_images": rng.integers(0, 256, (30, 28, 28), np.uint8),
        "train_labels": np.arange(30, dtype=np.uint8) % 10,
        "test_images": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "test_labels": np.arange(20, dtype=np.uint8) % 10,
    }


@pytest.fixture
def write_folder(made_parts):
    """Writes the made-up files into a folder; keywords replace single arrays."""

    def write(folder, suffix="", **replacements):
        folder.mkdir(parents=True, exist_ok=True)
        for role, array in (made_parts | replacements).items():
            write_idx(folder / f"{IDX_STEMS[role]}{suffix}", array)
        return folder

    return write


_SHARED = Path(__file__).parents[3] / "shared" / "data"
_FULL_DATA_DIR = Path(os.environ.get("JAXDL_DATA_DIR") or _SHARED)


@pytest.fixture
def full_data_dir():
    """The folder with the whole of MNIST."""
    if not (_FULL_DATA_DIR / "mnist").is_dir():
        pytest.skip(f"full MNIST is not in {_FULL_DATA_DIR}: set JAXDL_DATA_DIR")
    return _FULL_DATA_DIR
