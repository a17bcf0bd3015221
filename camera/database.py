"""SQLite files that survive a kill and say which version wrote them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pcedge.errors import OutputError

_BUSY_TIMEOUT_S = 5.0


def open_database(path: Path, schema: str, version: int, *, power_safe: bool) -> sqlite3.Connection:
    """Open an SQLite file, made with ``schema`` if it is new.

    Write-ahead logging: what was committed is still there after a kill, and readers do not disturb the
    writer. The connection may be used from any thread, by one at a time.

    Args:
        path: The file; its folder is made if it is missing.
        schema: Statements that make the tables.
        version: Of the schema, kept in the file.
        power_safe: Whether every commit waits for the disk, which takes milliseconds. Without it, a power cut
            costs the commits that the system had not written yet, though never the file.

    Raises:
        OutputError: It cannot be opened, is damaged, or was made with another version of the schema.
    """
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if power_safe else 'NORMAL'}")
        found = _version(connection)
        if found == 0:
            # One transaction, so that a kill leaves an empty file or a whole one.
            connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {version}; COMMIT;")
    except (OSError, sqlite3.Error) as error:
        if connection is not None:
            connection.close()
        raise OutputError(
            f"{path}: cannot be opened: {error}.",
            "Check that it is an SQLite file of pcedge that may be written to, and that the disk has room.",
        ) from error
    if found not in (0, version):
        connection.close()
        raise OutputError(
            f"{path}: has schema version {found}, and this pcedge knows {version}.",
            "Move the file away, or use the version of pcedge that wrote it.",
        )
    return connection


def _version(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)
