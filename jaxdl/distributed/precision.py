"""The precision of a network's products: exact float32, or faster formats on accelerators.

Parameters, running statistics, optimiser states and losses are always float32. The precision sets
the type of activations between layers and the way products are computed.
"""

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError


class Precision(NamedTuple):
    """A way to compute products.

    Attributes:
        dtype: type of activations, and of kernels inside a layer.
        products: JAX's name for it, see ``jax.default_matmul_precision``.
    """

    dtype: Any
    products: str


PRECISIONS = {
    "float32": Precision(jnp.float32, "highest"),
    "tf32": Precision(jnp.float32, "tensorfloat32"),
    "bfloat16": Precision(jnp.bfloat16, "default"),
}


def find_precision(name: str) -> Precision:
    """Looks up a precision by name.

    Args:
        name: "float32": 24 significant bits in every product, also on a GPU, where JAX's default
            has fewer; "tf32": float32 arrays whose products keep 11 bits, on tensor cores;
            "bfloat16": activations with 8 bits, half the memory traffic.

    Raises:
        ConfigError: the name is unknown.

    Example:
        >>> find_precision("bfloat16").dtype.__name__
        'bfloat16'
    """
    if name not in PRECISIONS:
        raise ConfigError(f"precision {name!r}: choose {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def products_as(name: str, platform: str) -> contextlib.AbstractContextManager:
    """A context in which compiled functions compute products in the named precision.

    It has no effect on a CPU, which only has float32 products.

    Example:
        >>> with products_as("tf32", "gpu"):
        ...     jax.config.jax_default_matmul_precision
        'tensorfloat32'
    """
    precision = find_precision(name)
    if platform == "cpu":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(precision.products)
