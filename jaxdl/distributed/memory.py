"""Whether what a configuration asks for can fit into memory at all, before any of it is made."""

import math
import os
from typing import Any

import jax

from jaxdl.errors import ConfigError

PyTree = Any


def num_bytes(shapes: PyTree) -> int:
    """What the arrays of a tree take, real or as ``jax.eval_shape`` describes them.

    Example:
        >>> num_bytes({"w": jax.ShapeDtypeStruct((1000, 1000), "float32")})
        4000000
    """
    # Python's whole numbers, which do not overflow; keys of random numbers take a few bytes.
    return sum(
        math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8)
        for leaf in jax.tree.leaves(shapes)
    )


def device_bytes() -> int:
    """Memory of this process's first device; for a CPU all of the machine's."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    return limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits(state: PyTree, data: PyTree, what: str) -> None:
    """Refuses what can certainly not be held; what passes may still be too much.

    A state is there three times: as it was at first, as it is trained, and its gradients and the
    copy that is being saved are together about another one.

    Args:
        state: shapes of the weights, with the optimiser's.
        data: shapes of what is there once.
        what: what they are, and which arguments make them smaller.

    Raises:
        ConfigError: they are larger than the device's memory.

    Example:
        >>> check_fits(jax.ShapeDtypeStruct((2**50,), "float32"), (), "the weights (width)")
        Traceback (most recent call last):
            ...
        jaxdl.errors.ConfigError: the weights (width) would take 12582912.0 GiB, ...
    """
    needed, there = 3 * num_bytes(state) + num_bytes(data), device_bytes()
    if needed > there:
        raise ConfigError(
            f"{what} would take {needed / 2**30:.1f} GiB, and there are {there / 2**30:.1f} GiB: "
            "choose smaller values"
        )
