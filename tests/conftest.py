"""Test set-up: eight virtual CPU devices, strict shapes; made before JAX starts a backend."""

import contextlib
import functools
import gc
import io
import os
import shutil
import sys
import tempfile
import tracemalloc

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("JAXDL_HUGE_PAGES", "0")  # else programs start themselves again: 3 s more
# Many tests run the same small programs: compiled once a session by whichever worker comes first,
# and never in the user's cache.
os.environ["JAXDL_CACHE_DIR"] = (
    os.environ["JAXDL_CACHE_DIR"]
    if "PYTEST_XDIST_WORKER" in os.environ
    else tempfile.mkdtemp(prefix="jaxdl-tests-")
)

import jax
import numpy as np
import pytest

from jaxdl.data.sources import loading
from jaxdl.distributed.compilation import enable_cache

collect_ignore = ["references"]  # scripts that need PyTorch, run by hand
MAX_WORKERS = 4  # each takes up to 4 GB, most of it compiled programs

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
enable_cache()
jax.config.update("jax_default_matmul_precision", "highest")


def pytest_addoption(parser):
    """`--optimize`, see `pytest_configure`."""
    parser.addoption(
        "--optimize", action="store_true", help="compile all tests' programs with optimisation"
    )


def pytest_configure(config):
    """Compiles without optimisation, in a quarter of the time; child processes keep theirs."""
    gc.set_threshold(200_000, 50, 100)  # traced programs are many small objects: 7% of the time
    optimize = config.getoption("--optimize")
    jax.config.update("jax_disable_most_optimizations", not optimize)
    if not optimize and jax.__version_info__ < (0, 11):  # later ones end at a flag they lack
        flags = os.environ.get("XLA_FLAGS", "")
        quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        os.environ["XLA_FLAGS"] = f"{flags} {quick}"
        jax.jit(lambda: 0)()  # XLA reads its flags once
        os.environ["XLA_FLAGS"] = flags


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process a core that this process may use; none beside this one for named files."""
    if all(argument.partition("::")[0].endswith(".py") for argument in config.args):
        return 0
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, MAX_WORKERS)


def pytest_unconfigure(config):
    """Removes the compiled programs."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ["JAXDL_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _embedded_digits_are_parsed_once():
    """Programs load them again and again, 0.1 s each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_embedded", functools.cache(loading.load_embedded))
        yield


@pytest.fixture(scope="module")
def optimized():
    """Compiles a module's programs as users do: for tests of bits, or of the compiler's defects."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    jax.clear_caches()


@pytest.fixture
def rng():
    """A NumPy generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def frugal():
    """A context in which Python may not allocate more than some megabytes."""

    @contextlib.contextmanager
    def context(megabytes=16):
        tracemalloc.start()
        try:
            yield
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < megabytes * 2**20

    return context


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
