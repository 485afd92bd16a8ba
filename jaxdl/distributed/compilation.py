"""The persistent compilation cache: a program compiled once on this machine starts at once."""

import hashlib
import os
import platform
from pathlib import Path

import jax

CACHE_VARIABLE = "JAXDL_CACHE_DIR"


def cache_folder() -> Path:
    """The per-user folder of compiled programs, one for each kind of processor.

    ``JAXDL_CACHE_DIR`` names another place. Programs compiled for a CPU hold its instructions, so
    machines with different processors that share a home folder keep apart.
    """
    root = os.environ.get(CACHE_VARIABLE)
    if root is None:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxdl"
    return Path(root) / "compiled" / _processor()


def _processor() -> str:
    """A short name for this processor's architecture and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    features = next((line for line in lines if line.startswith(("flags", "Features"))), lines[0])
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:12]}"


def enable_cache() -> Path | None:
    """Switches JAX's persistent cache on, for small programs too.

    A folder that JAX has been given already (``JAX_COMPILATION_CACHE_DIR``) is left alone, and a
    folder that cannot be made is done without: a cache is never a reason to fail.

    Returns:
        The folder in use, None without one.
    """
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
