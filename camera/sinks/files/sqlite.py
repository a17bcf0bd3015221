"""SQLite sink: the event store, with each event exactly once."""

from __future__ import annotations

from pathlib import Path

from ...events.event import Event
from ...events.key import record_key
from ...util.sqlite_file import Database
from ..settings import Count, SinkKind, SinkTable, Text

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE event (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    phase TEXT NOT NULL,
    time TEXT NOT NULL,
    camera TEXT NOT NULL,
    product TEXT NOT NULL,
    name TEXT NOT NULL,
    verdict TEXT NOT NULL,
    decision TEXT NOT NULL,
    score REAL,
    threshold REAL,
    reason TEXT NOT NULL,
    json TEXT NOT NULL
);
CREATE INDEX event_by_time ON event (time);
CREATE INDEX event_by_id ON event (id);
CREATE INDEX event_by_decision ON event (decision, time);
"""
_INSERT = "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# By order of arrival: the clock may have been set.
_PRUNE = "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event ORDER BY rowid DESC LIMIT -1 OFFSET ?)"
_PRUNE_EVERY = 1000


class EventStore:
    """An SQLite file with one row per event; an event that is written twice is stored once.

    A row is on disk when ``write`` returns: it survives a kill and a power cut, and the file is not damaged
    by them. Others may read the file at the same time. A file that was moved or removed is made anew.

    Args:
        path: The file; it and its folder are created if they are missing.
        max_events: Approximate number of events to keep; those that came first are deleted. None keeps all.
    """

    def __init__(self, path: str | Path, *, max_events: int | None = None) -> None:
        self._path = Path(path)
        self._database = Database(Path(path), _SCHEMA, _SCHEMA_VERSION)
        self._max_events = max_events
        self._since_pruned = 0

    def __enter__(self) -> EventStore:
        self._database.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def notes(self) -> int:
        """How often the file was moved or removed, and made anew."""
        return self._database.renewed

    @property
    def note(self) -> str:
        """What was made anew; empty for nothing."""
        if (aside := self._database.set_aside) is not None:
            return f"{self._path} was damaged: it lies in {aside.name}, and is made anew"
        return f"{self._path} was moved or removed, and is made anew" if self.notes else ""

    def write(self, event: Event) -> None:
        """Store one event.

        Raises:
            OutputError: It could not be stored.
        """
        row = (
            record_key(event),
            event.id,
            event.phase.value,
            event.time,
            event.camera,
            event.product,
            event.name,
            event.verdict.value,
            event.decision.value,
            event.score,
            event.threshold,
            event.reason,
            event.to_json(),
        )
        self._database.change(_INSERT, [row])
        self._prune()

    def holds(self, event: Event) -> bool:
        """Whether an event is stored.

        Raises:
            OutputError: The file cannot be read.
        """
        return bool(self._database.read("SELECT 1 FROM event WHERE key = ?", (record_key(event),)))

    def _prune(self) -> None:
        self._since_pruned += 1
        if self._max_events is not None and self._since_pruned >= min(_PRUNE_EVERY, self._max_events):
            self._database.change(_PRUNE, [(self._max_events,)])
            self._since_pruned = 0


class SqliteTable(SinkTable, frozen=True):
    """``[sinks.sqlite]``: the event store.

    Attributes:
        file: File name, below the output directory.
        max_events: Events to keep; the oldest are deleted.
    """

    file: Text = "events.sqlite"
    max_events: Count | None = None


def _make(table: SqliteTable, output: Path) -> EventStore:
    return EventStore(output / table.file, max_events=table.max_events)


KIND = SinkKind("sqlite", SqliteTable, _make)
