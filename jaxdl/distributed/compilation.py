"""JAX's persistent compilation cache, so that a program compiles once per machine."""

import hashlib
import platform
import warnings
from pathlib import Path

import jax

from jaxdl.files import cache_root

UNREADABLE = "Error reading persistent compilation cache entry"


def cache_folder() -> Path:
    """The user's folder of compiled programs, one per kind of processor.

    ``JAXDL_CACHE_DIR`` overrides the location. Compiled CPU programs contain processor-specific
    instructions, so machines with different processors that share a home folder use separate
    folders.
    """
    return cache_root() / "compiled" / _processor()


def _processor() -> str:
    """A short id of this processor's architecture and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    features = next((line for line in lines if line.startswith(("flags", "Features"))), lines[0])
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:12]}"


def enable_cache() -> Path | None:
    """Enables JAX's persistent cache, for small programs too, and returns its folder.

    Leaves a folder already configured in JAX (``JAX_COMPILATION_CACHE_DIR``) alone. Returns None if
    the folder cannot be created: a missing cache is not an error. Neither is a program that another
    process is just writing, or was writing when it was killed: it is compiled again.
    """
    warnings.filterwarnings("ignore", UNREADABLE)
    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder
