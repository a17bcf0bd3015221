"""What a power cut leaves: everything that was not handed to the disk is taken away again, as it would be."""

import os
import sqlite3
from pathlib import Path

import pytest

from pcedge.camera import Event, EventStore, Frame, Inspection, Journal, Journaled, JsonLines, Outbox, Verdict

_KEY = "file-00000000-{:016x}"


class Disk:
    """Remembers what of every file was handed to the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._safe: dict[Path, int] = {}
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._sync)

    def _sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self._safe[path] = os.fstat(descriptor).st_size

    def cut(self, *paths: Path) -> None:
        """Cut the power: files are as long as the disk knows them."""
        for path in paths:
            os.truncate(path, self._safe.get(path, 0))


def _event(number: int) -> Event:
    frame = Frame("f", number, f"{number}.png", 1e9, None, "x", _KEY.format(number))
    return Event.of(frame, Inspection(Verdict.INVALID, None, 0.5), 1.0, {})


def test_no_judged_file_is_without_its_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    events, noted = tmp_path / "events.jsonl", tmp_path / "judged.txt"
    with Journal(noted, events) as journal, Journaled(JsonLines(events), journal) as sink:
        for number in range(3):
            sink.write(_event(number))
        disk.cut(events)

    assert len(events.read_bytes().splitlines()) == 3, "the journal holds all three: so must the events file"
    noted.unlink()
    with Journal(noted, events) as journal:
        assert len(journal) == 3, "what the journal has lost is found in the events file"


def test_a_journal_that_was_written_anew_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    events, noted = tmp_path / "events.jsonl", tmp_path / "judged.txt"
    renamed: list[int] = []
    replace = Path.replace

    def cut_and_replace(path: Path, target: Path) -> Path:
        disk.cut(path)
        renamed.append(path.stat().st_size)
        return replace(path, target)

    with Journal(noted, events) as journal:
        journal.add(_KEY.format(7))
        monkeypatch.setattr(Path, "replace", cut_and_replace)
        journal.forget_others("file-11111111", [])

    assert renamed == [len(_KEY.format(7)) + 1]


def test_what_databases_have_taken_is_on_the_disk(tmp_path: Path) -> None:
    store, outbox = tmp_path / "events.sqlite", Outbox(tmp_path / "outbox.sqlite", max_messages=9)
    outbox.open()

    with EventStore(store) as opened:
        opened.write(_event(1))
        assert _waits_for_the_disk(opened)
    outbox.add("key", "topic", "body")
    assert _waits_for_the_disk(outbox)
    outbox.remove([message.number for message in outbox.first(9)])
    assert not _waits_for_the_disk(outbox), "one that is there again is sent twice, which is allowed"
    outbox.close()


def _waits_for_the_disk(sink: EventStore | Outbox) -> bool:
    """Whether SQLite's last change waited (``synchronous=FULL``); its writes cannot be watched from here."""
    connection = sink._database._connection
    assert isinstance(connection, sqlite3.Connection)
    return bool(connection.execute("PRAGMA synchronous").fetchone() == (2,))
