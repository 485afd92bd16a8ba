"""A small folder of real digits, and a short run of DCGAN on them, for all who look at one."""

import numpy as np
import pytest

from experiments import dcgan
from jaxdl import plot
from jaxdl.data import write_idx
from jaxdl.data.sources.embedded import load_embedded
from jaxdl.data.sources.idx import IDX_STEMS

TRAIN, TEST = 320, 96


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """A ``data_dir`` with 416 digits, 320 of them to train on."""
    root = tmp_path_factory.mktemp("few_digits")
    digits = load_embedded()
    for role, part, count in (("train", digits.train, TRAIN), ("test", digits.test, TEST)):
        for kind, array in (("images", part.images[..., 0]), ("labels", part.labels)):
            path = root / "mnist" / IDX_STEMS[f"{role}_{kind}"]
            path.parent.mkdir(exist_ok=True)
            write_idx(path, array[:count].astype(np.uint8))
    return str(root)


@pytest.fixture(scope="session")
def dcgan_config(few_digits):
    """Makes a configuration of two epochs of four steps."""

    def config(folder, **fields):
        defaults = {
            "workdir": str(folder),
            "data_dir": few_digits,
            "num_devices": 1,
            "batch_size": 104,
            "epochs": 2,
            "max_steps": None,
            "sample_every": 3,
            "evaluate_every": 3,
            "learning_rate": 2e-3,  # G and its average differ visibly in the end
        }
        return dcgan.DCGANConfig.from_preset("smoke", **{**defaults, **fields})

    return config


@pytest.fixture(scope="session")
def dcgan_run(tmp_path_factory, dcgan_config):
    """The folder and the result of a whole run of that length."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, dcgan.run(dcgan_config(folder))


@pytest.fixture
def no_pictures(monkeypatch):
    """Leaves figures unwritten, the dearest part of a short run's end."""
    monkeypatch.setattr(plot, "save_figure", lambda *_: None)
