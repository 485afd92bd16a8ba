"""Checks on values to plot; the messages name the culprit."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.errors import ConfigError, ShapeError


def vector(values: ArrayLike, name: str, length: int | None = None) -> np.ndarray:
    """Returns ``values`` of any real type as a float64 vector (N,), N ≥ 1, if given of ``length``.

    Raises:
        ShapeError: It is not a vector, is empty, or has another length.

    Example:
        >>> vector([1, 2], "loss")
        array([1., 2.])
    """
    array = np.asarray(values).astype(np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ShapeError(f"{name} has shape {array.shape}: need a vector of at least one value")
    if length is not None and array.size != length:
        raise ShapeError(f"{name} has {array.size} values: need {length}")
    return array


def finite(array: np.ndarray, name: str) -> np.ndarray:
    """Returns ``array`` if every value is finite.

    Raises:
        ConfigError: Some are not; the message says how many.

    Example:
        >>> finite(np.array([1.0, np.nan]), "scores")
        Traceback (most recent call last):
        jaxdl.errors.ConfigError: scores: 1 of 2 values is NaN or infinite; leave it out or ...
    """
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        verb, it = ("is", "it") if bad == 1 else ("are", "them")
        raise ConfigError(
            f"{name}: {bad} of {array.size} values {verb} NaN or infinite; "
            f"leave {it} out or find where {it} came from"
        )
    return array


def points(values: ArrayLike, name: str) -> np.ndarray:
    """Returns ``values`` as points in the plane, float64 (N, 2).

    Raises:
        ShapeError: The shape is different.

    Example:
        >>> points([[0, 1]], "path").shape
        (1, 2)
    """
    array = np.asarray(values).astype(np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ShapeError(f"{name} has shape {array.shape}: need (N, 2) with N at least 1")
    return array


def not_empty(mapping: Mapping, name: str) -> None:
    """Raises ConfigError if ``mapping`` is empty.

    Example:
        >>> not_empty({"loss": [1.0]}, "series")
    """
    if not mapping:
        raise ConfigError(f"{name} is empty: give at least one name with its values")


def known_names(given: Mapping, known: Mapping, name: str) -> None:
    """Raises ConfigError if a key of ``given`` is not in ``known``.

    Example:
        >>> known_names({"loss": 0.0}, {"loss": 1.0}, "bands")
    """
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(f"{name} for {unknown}, which are not among {list(known)}")
