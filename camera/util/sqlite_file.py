"""SQLite files with write-ahead logging and a schema version."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from pcedge.errors import OutputError

from .file_identity import identity_of
from .output_files import make_folder, make_if_missing

_BUSY_TIMEOUT_S = 5.0
_Identity = tuple[tuple[int, int] | None, ...]
# SQLite's codes of errors (sqlite.org/rescode.html); Python has no names for them before 3.11.
_CORRUPT, _NOT_A_DATABASE = 11, 26
_HINT = "Check that the disk is writable and has free space."


class _DamagedError(OutputError):
    """The file is not what SQLite wrote."""


class Database:
    """A thread-safe SQLite file.

    It uses write-ahead logging: changes survive a kill, and readers do not block the writer. A file that was
    moved or removed is made anew; a damaged one is set aside, under a name of its own, and made anew.

    Args:
        path: The file; it and its folder are created if they are missing.
        schema: Statements that create the tables of a new file.
        version: Version of the schema, stored in the file.

    Attributes:
        renewed: How often the file was made anew, since it was moved, removed or damaged.
        set_aside: Where the last damaged file lies; None if none was.
    """

    def __init__(self, path: Path, schema: str, version: int) -> None:
        self._path = path
        self._schema = schema
        self._version = version
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: _Identity = ()
        self.renewed = 0
        self.set_aside: Path | None = None

    def open(self) -> None:
        """Open the file.

        Raises:
            OutputError: It cannot be opened, or was made with another version of the schema.
        """
        with self._lock:
            self._open()

    def _open(self) -> None:
        try:
            self._connect()
        except _DamagedError:
            self._set_aside()
            self._connect()

    def _connect(self) -> None:
        try:
            make_folder(self._path.parent)
            make_if_missing(self._path)
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
            found = self._prepare(self._connection)
            self._identity = self._identity_now()
        except (OSError, sqlite3.Error, UnicodeError) as error:
            self._close()
            kind = _DamagedError if _is_damage(error) else OutputError
            raise kind(f"{self._path}: cannot be opened: {error}.", _HINT) from error
        if found not in (0, self._version):
            self._close()
            raise OutputError(
                f"{self._path}: has schema version {found}, and this pcedge knows {self._version}.",
                "Move the file away, or use the version of pcedge that wrote it.",
            )

    def close(self) -> None:
        """Close the file; further calls have no effect."""
        with self._lock:
            self._close()
            self._identity = ()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def check(self) -> bool:
        """Make the file anew if it was moved or removed, as every access does; returns whether it was.

        Raises:
            OutputError: It cannot be made.
        """
        before = self.renewed
        with self._opened():
            return self.renewed > before

    def read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            OutputError: The file cannot be read.
        """
        with self._opened() as connection:
            return connection.execute(statement, values).fetchall()

    def change(self, statement: str, rows: Sequence[Sequence[object]], *, power_safe: bool = True) -> int:
        """Execute a statement for every row of values in one transaction; returns how many rows changed.

        Args:
            statement: With a place for every value.
            rows: The values.
            power_safe: Whether it waits for the disk, which takes milliseconds. Without it, a power cut loses
                the change if the system has not written it yet, but does not damage the file.

        Raises:
            OutputError: The file cannot be written.
        """
        with self._opened() as connection:
            connection.execute(f"PRAGMA synchronous={'FULL' if power_safe else 'NORMAL'}")
            with connection:
                return connection.executemany(statement, rows).rowcount

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if not self._identity:
                raise OutputError(f"{self._path}: is not open.", "Use it in a with block.")
            self._renew_if_gone()
            assert self._connection is not None
            try:
                yield self._connection
            except (sqlite3.Error, UnicodeError) as error:
                if _is_damage(error):  # what is written next finds a new file
                    self._close()
                    self._set_aside()
                raise OutputError(f"{self._path}: {error}.", _HINT) from error
            self._identity = self._identity_now()

    def _renew_if_gone(self) -> None:
        """Open the file that is now at the path; the log beside it counts too, once there was one."""
        now = self._identity_now()
        same = all(before in (None, after) for before, after in zip(self._identity, now, strict=True))
        if same and self._connection is not None:
            return
        if not same:
            self.renewed += 1
            self._identity = (None, None)
        self._close()
        self._open()

    def _set_aside(self) -> None:
        """Rename a damaged file, and what belongs to it."""
        aside = next(path for path in _names_aside(self._path) if not path.exists())
        try:
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
        except OSError as error:
            raise OutputError(
                f"{self._path}: is damaged, and cannot be moved away: {error}.", _HINT
            ) from error
        self.set_aside = aside
        self.renewed += 1

    def _identity_now(self) -> _Identity:
        return tuple(identity_of(path) for path in (self._path, Path(f"{self._path}-wal")))

    def _prepare(self, connection: sqlite3.Connection) -> int:
        """Create the tables if the file is new; returns its schema version, 0 for a new file."""
        connection.execute("PRAGMA journal_mode=WAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            # One transaction, so that a kill leaves an empty file or a complete one.
            connection.executescript(
                f"BEGIN IMMEDIATE; {self._schema} PRAGMA user_version = {self._version}; COMMIT;"
            )
        return int(found)


def _is_damage(error: Exception) -> bool:
    """Whether the content of the file is at fault; not the disk, a lock or a statement."""
    if isinstance(error, UnicodeError):  # of SQLite's message, which quotes a damaged schema
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python 3.10 does not tell
        return isinstance(error, sqlite3.DatabaseError) and str(error).startswith(
            ("database disk image is malformed", "file is not a database")
        )
    return code & 0xFF in (_CORRUPT, _NOT_A_DATABASE)


def _names_aside(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
