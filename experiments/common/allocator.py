"""Huge pages for the C allocator, which must be requested before a process starts.

XLA's CPU backend allocates a step's temporaries, hundreds of megabytes, through the C allocator and
frees them afterwards. With 4 kB pages DCGAN's step spends a fifth of its time in page faults; with
transparent huge pages (Linux, glibc 2.35 or later) hardly any. A program that wants them restarts
itself with the setting in its environment.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

SETTING, TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
SWITCH = "JAXDL_HUGE_PAGES"  # "0" leaves the allocator as it is
KERNEL_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which the C allocator uses transparent huge pages.

    Example:
        >>> with_huge_pages({})["GLIBC_TUNABLES"]
        'glibc.malloc.hugetlb=1'
    """
    settings = [s for s in environment.get(SETTING, "").split(":") if s]
    return {**environment, SETTING: ":".join([*settings, f"{TUNABLE}=1"])}


def uses_huge_pages(environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment has them, or was asked to.

    Example:
        >>> uses_huge_pages(with_huge_pages({}))
        True
    """
    return f"{TUNABLE}=1" in environment.get(SETTING, "").split(":")


def can_use_huge_pages() -> bool:
    """Whether this system's allocator and kernel support them."""
    name, version = platform.libc_ver()
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if sys.platform != "linux" or name != "glibc" or numbers < [2, 35]:
        return False
    try:
        return "[never]" not in KERNEL_SWITCH.read_text()
    except OSError:
        return False


def _wants_huge_pages(environment: Mapping[str, str]) -> bool:
    """Whether nothing is decided yet and the CPU will do the work."""
    if environment.get(SWITCH, "1") == "0" or TUNABLE in environment.get(SETTING, ""):
        return False
    platforms = environment.get("JAX_PLATFORMS", "")
    return platforms == "cpu" if platforms else not _has_accelerator()


def _has_accelerator() -> bool:
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd", "/dev/accel0"))


def restart_with_huge_pages() -> None:
    """Restarts this program with huge pages, if that is possible and useful.

    The new program replaces this process (``exec``) with the same arguments and process number.
    Call this before anything is written and before any device starts.
    """
    if not _wants_huge_pages(os.environ) or not can_use_huge_pages() or not sys.orig_argv:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], with_huge_pages(os.environ))
    except OSError as error:
        print(f"Restarting with huge pages failed ({error.strerror}): {SWITCH}=0 turns it off.")
