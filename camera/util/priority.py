"""Whose work may wait: threads that give way to the inspection."""

import contextlib
import os
import sys
import threading

_NICENESS = 15


def give_way() -> None:
    """Let every other thread of this process go before the calling one, as far as the system allows it."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
