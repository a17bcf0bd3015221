"""How many processor cores there are to work with."""

import os


def usable_cores() -> int:
    """Cores this process may use, which in a container or under taskset are fewer than the machine's."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
