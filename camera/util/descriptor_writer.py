"""Writing to a file descriptor whose reader may stop reading."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

# A pipe with room takes so much without waiting.
_AT_ONCE = select.PIPE_BUF
_STEP_MS = 200
_PATIENCE_S = 2.0


class DescriptorWriter:
    """Writes to a pipe, terminal, socket or file.

    It never hangs in a write to a pipe: it asks first whether there is room.

    Args:
        descriptor: The file descriptor; stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False
        self._waiting_since: float | None = None

    def write(self, line: bytes) -> None:
        """Write a line, and wait while its reader does not read.

        Raises:
            OSError: It cannot be written. What follows a line that was cut off begins on a new one.
        """
        left = b"\n" + line if self._torn else line
        try:
            while left:
                self._wait_for_room()
                with suppress(BlockingIOError):  # another program has taken the room
                    left = left[os.write(self._descriptor, left[:_AT_ONCE]) :]
                    self._torn = True
            self._torn = False
        finally:
            self._waiting_since = None

    def trouble(self) -> str:
        """Return why nothing has been written for long; empty if all is well."""
        since = self._waiting_since
        if since is None or time.monotonic() - since < _PATIENCE_S:
            return ""
        return f"its reader has read nothing for {_PATIENCE_S:g} s"

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            self._waiting_since = self._waiting_since or time.monotonic()
            while not poll.poll(_STEP_MS):
                pass
        self._waiting_since = None
