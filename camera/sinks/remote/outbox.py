"""Outbox: a queue on disk of messages that the remote endpoint has not received yet."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pcedge.errors import OutputError

from ...util.sqlite_file import Database

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    body TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Message:
    """A message to send.

    Attributes:
        number: Sequence number.
        key: Unique key, the same each time the message is sent.
        topic: Topic, such as the name of the camera.
        body: One JSON object.
    """

    number: int
    key: str
    topic: str
    body: str


class Outbox:
    """A queue of messages in a file; thread-safe, survives a kill.

    If the file is removed by somebody, the messages in it are lost: they are counted.

    A message is on the disk when ``add`` returns: it survives a power cut. One that was removed shortly
    before may be there again, and is then sent twice.

    Args:
        path: The SQLite file; it and its folder are created if they are missing.
        max_messages: Maximum number of messages; further ones are refused.

    Attributes:
        removed: Messages that were lost because somebody has removed the file.
    """

    def __init__(self, path: Path, *, max_messages: int) -> None:
        self._path = path
        self._max_messages = max_messages
        self._database = Database(path, _SCHEMA, _SCHEMA_VERSION)
        self._lock = threading.Lock()
        self._count = self._last_number = 0
        self.removed = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def open(self) -> None:
        """Open the file.

        Raises:
            OutputError: It cannot be opened, or was written by another version.
        """
        self._database.open()
        ((self._count,),) = self._database.read("SELECT count(*) FROM message")

    def close(self) -> None:
        """Close the file; the messages stay in it."""
        self._database.close()

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, topic: str, body: str) -> None:
        """Append a message, unless one with the same key is already in the queue.

        Raises:
            OutputError: The outbox is full, or the disk is.
        """
        with self._lock:
            self._begin_anew_if_gone()
            if self._count >= self._max_messages:
                raise OutputError(
                    f"{self._path}: {self._count:,} messages wait already, and no more are kept.",
                    "Check that the remote endpoint is reachable, or raise max_waiting.",
                )
            self._count += self._database.change(
                "INSERT OR IGNORE INTO message (key, topic, body) VALUES (?, ?, ?)", [(key, topic, body)]
            )

    def first(self, count: int) -> list[Message]:
        """Return the oldest messages, at most ``count``.

        Raises:
            OutputError: The file cannot be read.
        """
        query = "SELECT number, key, topic, body FROM message ORDER BY number LIMIT ?"
        with self._lock:
            self._begin_anew_if_gone()
            found = [Message(*row) for row in self._database.read(query, (count,))]
        self._last_number = max([self._last_number, *(one.number for one in found)])
        return found

    def remove(self, numbers: Collection[int]) -> None:
        """Remove messages that were received.

        Raises:
            OutputError: The file cannot be written.
        """
        if numbers:
            with self._lock:
                self._begin_anew_if_gone()
                rows = [(number,) for number in numbers]
                self._count -= self._database.change(
                    "DELETE FROM message WHERE number = ?", rows, power_safe=False
                )

    def _begin_anew_if_gone(self) -> None:
        """Count what was in a file that somebody has removed, and use none of its numbers again."""
        if not self._database.check():
            return
        self.removed += self._count
        self._database.change("INSERT INTO sqlite_sequence VALUES ('message', ?)", [(self._last_number,)])
        ((self._count,),) = self._database.read("SELECT count(*) FROM message")
