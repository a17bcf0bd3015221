"""Messages that wait on disk until the far side has them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pcedge.errors import OutputError

from .database import open_database

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
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._count = 0

    def open(self) -> None:
        """Open the file.

        Raises:
            OutputError: It cannot be opened, or another version made it.
        """
        self._database = open_database(self._path, _SCHEMA, _SCHEMA_VERSION, power_safe=False)
        (self._count,) = self._database.execute("SELECT count(*) FROM message").fetchone()

    def close(self) -> None:
        """Close it; what waits stays in the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, topic: str, body: str) -> None:
        """Put a message at the end; one whose key is there already is not added again.

        Raises:
            OutputError: The outbox is full, or the disk is.
        """
        with self._lock:
            if self._count >= self._max_messages:
                raise OutputError(
                    f"{self._path}: {self._count:,} messages wait already, and no more are kept.",
                    "Check that the far side is there, or raise max_waiting.",
                )
            rows = self._change(
                "INSERT OR IGNORE INTO message (key, topic, body) VALUES (?, ?, ?)", [(key, topic, body)]
            )
            self._count += rows

    def first(self, count: int) -> list[Message]:
        """The oldest messages, at most so many.

        Raises:
            OutputError: The file cannot be read.
        """
        with self._lock:
            try:
                rows = self._opened().execute(
                    "SELECT number, key, topic, body FROM message ORDER BY number LIMIT ?", (count,)
                )
                return [Message(*row) for row in rows]
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def remove(self, numbers: Collection[int]) -> None:
        """Forget messages that have arrived.

        Raises:
            OutputError: The file cannot be written.
        """
        if numbers:
            with self._lock:
                self._count -= self._change(
                    "DELETE FROM message WHERE number = ?", [(number,) for number in numbers]
                )

    def _change(self, statement: str, rows: list[tuple[object, ...]]) -> int:
        database = self._opened()
        try:
            with database:
                return database.executemany(statement, rows).rowcount
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise OutputError(f"{self._path}: is not open.", "Use it in a with block.")
        return self._database

    def _failed(self, error: sqlite3.Error) -> OutputError:
        return OutputError(f"{self._path}: {error}.", "Check that the disk has room and may be written to.")
