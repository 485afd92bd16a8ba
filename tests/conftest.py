"""Test set-up: eight virtual CPU devices, strict shapes; made before JAX starts a backend."""

import io
import os
import shutil
import sys
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
# Many tests run the same small programs: compiled once a session, and never in the user's cache.
os.environ["JAXDL_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxdl-tests-")

import jax
import numpy as np
import pytest

from jaxdl.distributed.compilation import enable_cache

collect_ignore = ["references"]  # scripts that need PyTorch, run by hand

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
enable_cache()
jax.config.update("jax_default_matmul_precision", "highest")


def pytest_unconfigure(config):
    """Removes the compiled programs."""
    shutil.rmtree(os.environ["JAXDL_CACHE_DIR"], ignore_errors=True)


@pytest.fixture
def rng():
    """A NumPy generator with a fixed seed."""
    return np.random.default_rng(0)


class Terminal(io.StringIO):
    """What a terminal shows."""

    def isatty(self):
        """Says that it is one."""
        return True


@pytest.fixture
def open_terminal(monkeypatch):
    """Makes the error stream a terminal; to be called in a test, after pytest has set its own."""

    def open_terminal():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return open_terminal
