"""Test set-up: eight virtual CPU devices, strict shapes; made before JAX starts a backend."""

import os
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
# Many tests run the same small programs: compiled once a session, and never in the user's cache.
_CACHE = tempfile.TemporaryDirectory(prefix="jaxdl-tests-")
os.environ["JAXDL_CACHE_DIR"] = _CACHE.name

import jax
import numpy as np
import pytest

from jaxdl.training.compilation import enable_cache

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
enable_cache()
jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture
def rng():
    """A NumPy generator with a fixed seed."""
    return np.random.default_rng(0)
