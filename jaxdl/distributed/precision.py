"""The arithmetic of a network's products: exact float32, or what accelerators do faster.

Parameters, running statistics, optimiser states and losses are float32 in every case; a precision
decides in what type activations are kept between layers, and how products are computed.
"""

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError


class Precision(NamedTuple):
    """One way to compute products.

    Attributes:
        dtype: type of activations, and of the kernels inside a layer.
        products: JAX's name for the precision of products, see ``jax.default_matmul_precision``.
    """

    dtype: Any
    products: str


PRECISIONS = {
    "float32": Precision(jnp.float32, "highest"),
    "tf32": Precision(jnp.float32, "tensorfloat32"),
    "bfloat16": Precision(jnp.bfloat16, "default"),
}


def find_precision(name: str) -> Precision:
    """The precision of a name.

    Args:
        name: "float32": 24 bits in every product, also on a GPU, where JAX left alone takes fewer;
            "tf32": float32 arrays whose products keep 11 bits, on tensor cores;
            "bfloat16": activations of 8 bits, half the memory traffic.

    Returns:
        The precision.

    Raises:
        ConfigError: there is none of that name.

    Example:
        >>> find_precision("bfloat16").dtype.__name__
        'bfloat16'
    """
    if name not in PRECISIONS:
        raise ConfigError(f"precision {name!r}: choose {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def products_as(name: str, platform: str) -> contextlib.AbstractContextManager:
    """A context in which what is compiled computes its products in that precision.

    A CPU has float32 products alone, so there it changes nothing.

    Example:
        >>> with products_as("tf32", "gpu"):
        ...     jax.config.jax_default_matmul_precision
        'tensorfloat32'
    """
    precision = find_precision(name)
    if platform == "cpu":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(precision.products)
