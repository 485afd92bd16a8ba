"""Arrays from file bytes and from tensors of other libraries."""

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
    """Returns an array that is a view of bytes; nothing is copied, and it is read-only if they are.

    Args:
        name: the entry, for the error.
        offset: start, in bytes.
        strides: in bytes along each axis; None for a dense array.
        order: "C" or "F", for a dense array.

    Raises:
        WeightsError: NumPy cannot make such an array, it extends beyond the content, or a dense
            bool array has bytes other than 0 and 1.

    Example:
        >>> view("a", bytes(range(6)), np.dtype("u1"), (2, 2), offset=2)
        array([[2, 3],
               [4, 5]], dtype=uint8)
    """
    try:
        array = np.ndarray(shape, dtype, content, offset, strides, order)
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"entry {brief(name)!r} cannot be an array: {brief(error)}") from error
    if dtype.kind == "b" and strides is None and array.view(np.uint8).max(initial=0) > 1:
        raise WeightsError(f"entry {brief(name)!r} of type bool has bytes other than 0 and 1")
    return array


def as_arrays(state_dict: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    """Converts the values of a state dict to NumPy arrays.

    Args:
        state_dict: lists, NumPy or JAX arrays, or PyTorch tensors. Tensors may require gradients
            and live on any device; bfloat16, which NumPy lacks, becomes float32 with the same
            values.

    Raises:
        WeightsError: it is not a mapping from names to arrays.

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
        raise WeightsError(f"{brief(name)!r} of state_dict is not the name of an array")
    if isinstance(value, Mapping):
        raise WeightsError(f"entry {brief(name)!r} of state_dict is itself a mapping; pass that")
    try:
        return np.asarray(_without_torch(value))
    except Exception as error:  # every library raises its own type
        raise WeightsError(
            f"entry {brief(name)!r} of type {type(value).__name__} cannot become an array: "
            f"{brief(error)}"
        ) from error


def _without_torch(value: Any) -> Any:
    """Returns a PyTorch tensor in a form NumPy can read; anything else unchanged."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
