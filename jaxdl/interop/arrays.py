"""Arrays from what is not an array yet: the bytes of a file, and tensors of other libraries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

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
    """An array that is a view of bytes: nothing is copied or allocated.

    Args:
        name: the entry, for the error.
        content: the bytes.
        dtype: type of the numbers.
        shape: the array's shape.
        offset: where it begins, in bytes.
        strides: distances between neighbours along each axis, in bytes; None for a dense array.
        order: "C" or "F", for a dense array.

    Returns:
        The array, read-only if the bytes are.

    Raises:
        WeightsError: NumPy cannot make such an array, it leaves the content, or a dense array of
            type bool has bytes that are neither 0 nor 1.

    Example:
        >>> view("a", bytes(range(6)), np.dtype("u1"), (2, 2), offset=2)
        array([[2, 3],
               [4, 5]], dtype=uint8)
    """
    try:
        array = np.ndarray(shape, dtype, content, offset, strides, order)
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"entry {brief(name)!r} is no possible array: {brief(error)}") from error
    if dtype.kind == "b" and strides is None and array.view(np.uint8).max(initial=0) > 1:
        raise WeightsError(f"entry {brief(name)!r} of type bool has other bytes than 0 and 1")
    return array


def as_arrays(state_dict: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """NumPy arrays of a state dict that a program has in hand.

    Args:
        state_dict: lists, NumPy or JAX arrays, or PyTorch tensors. A tensor may need gradients and
            be on any device; bfloat16, which NumPy lacks, becomes float32 of the same values.

    Returns:
        Arrays by name.

    Raises:
        WeightsError: this is no mapping of names to arrays.

    Example:
        >>> as_arrays({"bias": [1.0, 2.0]})
        {'bias': array([1., 2.])}
    """
    if not isinstance(state_dict, Mapping):
        raise WeightsError(
            f"state_dict is a {type(state_dict).__name__}, not a mapping of names to arrays; "
            "of a PyTorch network pass network.state_dict()"
        )
    return {name: _as_array(name, value) for name, value in state_dict.items()}


def _as_array(name: str, value: Any) -> np.ndarray:
    if not isinstance(name, str):
        raise WeightsError(f"{brief(name)!r} of state_dict is no name of an array")
    if isinstance(value, Mapping):
        raise WeightsError(f"entry {brief(name)!r} of state_dict is itself a mapping; pass that")
    try:
        return np.asarray(_without_torch(value))
    except Exception as error:  # each library raises its own
        raise WeightsError(
            f"entry {brief(name)!r} of type {type(value).__name__} cannot become an array: "
            f"{brief(error)}"
        ) from error


def _without_torch(value: Any) -> Any:
    """A PyTorch tensor in a form that NumPy can read; anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
