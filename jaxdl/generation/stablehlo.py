"""A generator as StableHLO, which runs with JAX alone: without flax and without this library.

It is read back by ``jax.export.deserialize(data).call(z)``, for any number of z's, on a CPU or a
CUDA GPU. JAX keeps such files readable for at least six months.

References:
    https://docs.jax.dev/en/latest/export/export.html
"""

import jax
import jax.numpy as jnp

from jaxdl.errors import ConfigError
from jaxdl.generation.generator import TrainedGenerator, draw_rows

PLATFORMS = ("cpu", "cuda")


def encode(generator: TrainedGenerator) -> bytes:
    """Returns a function from z, float32 (N, latent_dim), to images (N, H, W, C) in [-1, 1].

    For a generator of classes each z is followed by the shares of the classes, such as a one-hot
    vector: (N, latent_dim + classes).

    The weights are part of it. Products are float32 on a GPU too, and convolutions are plain ones,
    which each platform's compiler lowers in its own way.

    Raises:
        ConfigError: the package `flatbuffers` is not installed.
    """
    from jax import export

    model = generator.exact_model
    count, width = export.symbolic_shape(f"n, {model.latent_dim + model.num_classes}")
    z = jax.ShapeDtypeStruct((count, width), jnp.float32)

    @jax.jit
    def draw(z: jax.Array) -> jax.Array:
        return draw_rows(model, generator.variables, z)

    try:
        with jax.default_matmul_precision("highest"):
            return bytes(export.export(draw, platforms=PLATFORMS)(z).serialize())
    except ImportError as error:
        raise ConfigError(
            "StableHLO files need the package flatbuffers: pip install flatbuffers"
        ) from error
