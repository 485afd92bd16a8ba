"""How many processor cores there are for this process."""

import os


def usable_cores() -> int:
    """The cores that this process may use; all of the machine's where the system does not say."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1
