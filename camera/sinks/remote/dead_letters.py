"""Dead letters: messages that the remote endpoint does not take, set aside on disk."""

from __future__ import annotations

import json
from pathlib import Path

from pcedge.errors import OutputError

from ...events.event import iso_utc
from ...util.output_files import append_line, open_to_append
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
        try:
            with open_to_append(self.path) as file:
                if not append_line(file, line):
                    raise OutputError(f"{self.path}: the disk is full.", "Free some space on it.")
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written: {error.strerror}.", "Check that the disk is writable."
            ) from error
