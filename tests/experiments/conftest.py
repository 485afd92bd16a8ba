"""A small folder of real digits, for programs whose data set's size is not the subject."""

import numpy as np
import pytest

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
