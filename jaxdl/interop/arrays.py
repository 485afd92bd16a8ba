"""Arrays that are views of a file's bytes: nothing is copied or allocated."""

from collections.abc import Sequence

import numpy as np

from jaxdl.errors import WeightsError, brief


def view(
    name: str,
    content: bytes,
    dtype: np.dtype,
    shape: Sequence[int],
    *,
    offset: int = 0,
    strides: Sequence[int] | None = None,
    order: str = "C",
) -> np.ndarray:
    """An entry's numbers, read-only; NumPy checks that they do not leave the content.

    Args:
        name: the entry, for the error.
        content: what holds the numbers.
        dtype: their type.
        shape: the array's shape.
        offset: where it begins, in bytes.
        strides: distances between neighbours along each axis, in bytes; None for a dense array.
        order: "C" or "F", for a dense array.

    Returns:
        The array.

    Raises:
        WeightsError: NumPy cannot make such an array.

    Example:
        >>> view("a", bytes(range(6)), np.dtype("u1"), (2, 2), offset=2)
        array([[2, 3],
               [4, 5]], dtype=uint8)
    """
    try:
        return np.ndarray(shape, dtype, content, offset, strides, order)
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"entry {brief(name)!r} is no possible array: {brief(error)}") from error
