"""Dead letters: messages that the remote endpoint does not take, set aside on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pcedge.errors import OutputError

from ...events.event import iso_utc
from .outbox import Message


class DeadLetters:
    """A file of JSON lines, one for each message that was set aside: time, reason, key, topic and event.

    Args:
        path: The file; it is created with the first message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, message: Message, reason: str, now_unix_s: float) -> None:
        """Append a message; it is on disk when this returns.

        Raises:
            OutputError: It could not be written.
        """
        fields = {
            "time": iso_utc(now_unix_s),
            "reason": reason,
            "key": message.key,
            "topic": message.topic,
            "event": message.body,
        }
        line = json.dumps(fields).encode() + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = os.open(self.path, flags, 0o640)
            try:
                if os.write(file, line) != len(line):
                    raise OutputError(f"{self.path}: the disk is full.", "Free some space on it.")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written: {error.strerror}.", "Check that the disk is writable."
            ) from error
