"""Checks, before allocating anything, whether a configuration can fit into memory."""

import math
import os
from typing import Any

import jax

from jaxdl.errors import ConfigError

PyTree = Any

DEVICE, HOST, DISK = "device", "host", "disk"
PLACES = (DEVICE, HOST, DISK)
DEVICE_SHARE, HOST_SHARE = 0.25, 0.5  # of the memory that images may take up


def num_bytes(shapes: PyTree) -> int:
    """Bytes of a tree's arrays, real or abstract (``jax.eval_shape``).

    Example:
        >>> num_bytes({"w": jax.ShapeDtypeStruct((1000, 1000), "float32")})
        4000000
    """
    # Python integers, which do not overflow; a random key takes a few bytes.
    return sum(
        math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8)
        for leaf in jax.tree.leaves(shapes)
    )


def device_bytes() -> int:
    """Memory of this process's first device; for a CPU, the machine's."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    return limit or host_bytes()


def host_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def place_for(data: PyTree) -> str:
    """Where arrays of this size had best be: "device", "host" or "disk".

    On the device if they take up to a quarter of its memory, else on the host if they take up to
    half of that.

    Example:
        >>> place_for(jax.ShapeDtypeStruct((1000,), "uint8"))
        'device'
        >>> place_for(jax.ShapeDtypeStruct((2**60,), "uint8"))
        'disk'
    """
    size = num_bytes(data)
    if size <= DEVICE_SHARE * device_bytes():
        return DEVICE
    return HOST if size <= HOST_SHARE * host_bytes() else DISK


def check_fits(state: PyTree, data: PyTree, what: str) -> None:
    """Refuses what certainly does not fit; what passes may still be too large.

    A state counts three times: the initial one, the one in training, and about one more for the
    gradients together with the copy being saved.

    Args:
        state: shapes of the weights and the optimiser's state.
        data: shapes of arrays held once.
        what: for the message: what they are and which arguments make them smaller.

    Raises:
        ConfigError: they exceed the device's memory.

    Example:
        >>> check_fits(jax.ShapeDtypeStruct((2**50,), "float32"), (), "the weights (width)")
        Traceback (most recent call last):
            ...
        jaxdl.errors.ConfigError: the weights (width) would take 12582912.0 GiB, ...
    """
    needed, there = 3 * num_bytes(state) + num_bytes(data), device_bytes()
    if needed > there:
        raise ConfigError(
            f"{what} would take {needed / 2**30:.1f} GiB, but the device has only "
            f"{there / 2**30:.1f} GiB: choose smaller values"
        )
