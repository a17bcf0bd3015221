"""SQLite files that survive a kill and say which version wrote them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pcedge.errors import OutputError

_BUSY_TIMEOUT_S = 5.0
_HINT = "Check that the disk has room and may be written to."


class Database:
    """An SQLite file, safe to use from several threads.

    Write-ahead logging: what was changed is still there after a kill, and readers do not disturb the writer.

    Args:
        path: The file; it and its folder are made if they are missing.
        schema: Statements that make the tables of a new file.
        version: Of the schema, kept in the file.
        power_safe: Whether every change waits for the disk, which takes milliseconds. Without it, a power cut
            costs the changes that the system had not written yet, though never the file.
    """

    def __init__(self, path: Path, schema: str, version: int, *, power_safe: bool) -> None:
        self._path = path
        self._schema = schema
        self._version = version
        self._synchronous = "FULL" if power_safe else "NORMAL"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file.

        Raises:
            OutputError: It cannot be opened, is damaged, or was made with another version of the schema.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
            found = self._prepare(self._connection)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise OutputError(f"{self._path}: cannot be opened: {error}.", _HINT) from error
        if found not in (0, self._version):
            self.close()
            raise OutputError(
                f"{self._path}: has schema version {found}, and this pcedge knows {self._version}.",
                "Move the file away, or use the version of pcedge that wrote it.",
            )

    def close(self) -> None:
        """Close it; once is enough."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query gives.

        Raises:
            OutputError: The file cannot be read.
        """
        with self._opened() as connection:
            return connection.execute(statement, values).fetchall()

    def change(self, statement: str, rows: Sequence[Sequence[object]]) -> int:
        """Do a statement once for every row of values, all of it or nothing; returns how many rows changed.

        Raises:
            OutputError: The file cannot be written.
        """
        with self._opened() as connection, connection:
            return connection.executemany(statement, rows).rowcount

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                raise OutputError(f"{self._path}: is not open.", "Use it in a with block.")
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise OutputError(f"{self._path}: {error}.", _HINT) from error

    def _prepare(self, connection: sqlite3.Connection) -> int:
        """Make the tables if the file is new; returns the version that it had."""
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            # One transaction, so that a kill leaves an empty file or a whole one.
            connection.executescript(
                f"BEGIN IMMEDIATE; {self._schema} PRAGMA user_version = {self._version}; COMMIT;"
            )
        return int(found)
