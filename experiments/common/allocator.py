"""Huge pages for the C allocator, which must be asked for before a process starts.

XLA's CPU backend takes a step's temporaries, hundreds of megabytes, from the C allocator and
gives them back after it. With pages of 4 kB a fifth of DCGAN's step is spent in page faults; with
transparent huge pages (glibc 2.35 or later, on Linux) hardly any. A program that wants them starts
itself once more with the setting in its environment.
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
    """An environment in which the C allocator uses transparent huge pages.

    Example:
        >>> with_huge_pages({})["GLIBC_TUNABLES"]
        'glibc.malloc.hugetlb=1'
    """
    settings = [s for s in environment.get(SETTING, "").split(":") if s]
    return {**environment, SETTING: ":".join([*settings, f"{TUNABLE}=1"])}


def can_use_huge_pages() -> bool:
    """Whether this system's allocator and kernel have them."""
    name, version = platform.libc_ver()
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if sys.platform != "linux" or name != "glibc" or numbers < [2, 35]:
        return False
    try:
        return "[never]" not in KERNEL_SWITCH.read_text()
    except OSError:
        return False


def _wants_huge_pages(environment: Mapping[str, str]) -> bool:
    """Whether nothing was decided yet, and the CPU will do the work."""
    if environment.get(SWITCH, "1") == "0" or TUNABLE in environment.get(SETTING, ""):
        return False
    platforms = environment.get("JAX_PLATFORMS", "")
    return platforms == "cpu" if platforms else not _has_accelerator()


def _has_accelerator() -> bool:
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd", "/dev/accel0"))


def restart_with_huge_pages() -> None:
    """Starts this program once more with huge pages, if that is possible and of use.

    It takes this process's place (``exec``): same arguments, same process number. To be called
    before anything is written or any device is started.
    """
    if not _wants_huge_pages(os.environ) or not can_use_huge_pages() or not sys.orig_argv:
        return
    print(f"Starting again with huge pages for the allocator ({SWITCH}=0 leaves them off).")
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], with_huge_pages(os.environ))
    except OSError as error:
        print(f"That failed ({error.strerror}): going on without them.")
