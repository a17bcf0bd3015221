"""Thread priority."""

import contextlib
import os
import sys
import threading

_NICENESS = 15


def give_way() -> None:
    """Lower the priority of the calling thread, as far as the system supports it."""
    if sys.platform == "linux":  # only there does each thread have its own priority
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
