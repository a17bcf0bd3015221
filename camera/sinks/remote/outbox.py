"""Messages that wait on disk until the remote endpoint has them."""

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
    """Something to send.

    Attributes:
        number: Its place in the order.
        key: The same however often it is sent, and no other message's.
        topic: What it is about, for those who sort by it.
        body: One JSON object.
    """

    number: int
    key: str
    topic: str
    body: str


class Outbox:
    """A file of messages in the order they came; safe to use from several threads, survives a kill.

    A power cut may cost the last seconds: what must survive that goes to the event store too.

    Args:
        path: The SQLite file; it and its folder are made if they are missing.
        max_messages: More are not taken.
    """

    def __init__(self, path: Path, *, max_messages: int) -> None:
        self._path = path
        self._max_messages = max_messages
        self._database = Database(path, _SCHEMA, _SCHEMA_VERSION, power_safe=False)
        self._lock = threading.Lock()
        self._count = 0

    def open(self) -> None:
        """Open the file.

        Raises:
            OutputError: It cannot be opened, or another version made it.
        """
        self._database.open()
        ((self._count,),) = self._database.read("SELECT count(*) FROM message")

    def close(self) -> None:
        """Close it; what waits stays in the file."""
        self._database.close()

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, topic: str, body: str) -> None:
        """Put a message at the end; one whose key is there already is not added again.

        Raises:
            OutputError: The outbox is full, or the disk is.
        """
        if self._count >= self._max_messages:
            raise OutputError(
                f"{self._path}: {self._count:,} messages wait already, and no more are kept.",
                "Check that the remote endpoint is there, or raise max_waiting.",
            )
        with self._lock:
            self._count += self._database.change(
                "INSERT OR IGNORE INTO message (key, topic, body) VALUES (?, ?, ?)", [(key, topic, body)]
            )

    def first(self, count: int) -> list[Message]:
        """The oldest messages, at most so many.

        Raises:
            OutputError: The file cannot be read.
        """
        query = "SELECT number, key, topic, body FROM message ORDER BY number LIMIT ?"
        return [Message(*row) for row in self._database.read(query, (count,))]

    def remove(self, numbers: Collection[int]) -> None:
        """Forget messages that have arrived.

        Raises:
            OutputError: The file cannot be written.
        """
        if numbers:
            with self._lock:
                rows = [(number,) for number in numbers]
                self._count -= self._database.change("DELETE FROM message WHERE number = ?", rows)
