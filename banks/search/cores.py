"""Number of usable processor cores."""

import os


def usable_cores() -> int:
    """Return the number of cores that this process may use, for example in a container or under taskset."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
