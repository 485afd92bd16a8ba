"""Exchanges values between processes that must take the same decisions to avoid deadlock."""

from collections.abc import Sequence

import jax
import numpy as np


def gather(values: Sequence[int]) -> np.ndarray:
    """Every process's integers, (processes, len(values)); a collective that all must call.

    Example:
        >>> gather([3, 0]).tolist()
        [[3, 0]]
    """
    own = np.asarray(values, np.int32)
    if jax.process_count() == 1:
        return own[None]
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(own))


def largest(values: Sequence[int]) -> list[int]:
    """The elementwise maximum over all processes; a collective like :func:`gather`.

    Example:
        >>> largest([3, 0])
        [3, 0]
    """
    return gather(values).max(axis=0).tolist()


def of_first(value: float) -> float:
    """Process 0's number, exactly; a collective like :func:`gather`.

    Example:
        >>> of_first(0.1)
        0.1
    """
    bits = np.array([value], np.float64).view(np.int32)
    return float(gather(bits)[0].view(np.float64)[0])
