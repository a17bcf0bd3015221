import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcedge.camera import Event, EventStore, Phase, Verdict, record_key
from pcedge.errors import OutputError

EVENT = Event(
    "2026-11-22T10:15:30.123456+00:00",
    "cam0",
    12,
    "frame-000012",
    Verdict.NG,
    3.5,
    2.0,
    12.3,
    id="part-7",
    camera="left",
    product="bottle",
    decision=Verdict.NG,
)
WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from pcedge.camera import Event, EventStore, Verdict

with EventStore(sys.argv[1]) as store:
    for number in range(10**9):
        store.write(Event("2026", "cam0", number, "x", Verdict.OK, 1.0, 2.0, 3.0, id=f"{number}"))
        print(number, flush=True)
"""


def _rows(path: Path, query: str = "SELECT * FROM event ORDER BY time") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_an_event_is_one_row_with_what_people_search_for(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.sqlite"
    with EventStore(path) as store:
        store.write(EVENT)

    columns = "id, phase, camera, product, verdict, decision, score, json"
    (row,) = _rows(path, f"SELECT {columns} FROM event")
    assert row[:-1] == ("part-7", "end", "left", "bottle", "NG", "NG", 3.5)
    assert json.loads(row[-1]) == json.loads(EVENT.to_json())


def test_an_event_written_twice_is_there_once_also_when_its_file_is_judged_again(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    for again in (EVENT, EVENT, replace(EVENT, frame=0, time="2026-11-23T00:00:00+00:00", latency_ms=9.0)):
        with EventStore(path) as store:
            store.write(again)
            assert store.holds(again)
            assert not store.holds(replace(again, id="part-8"))

    assert len(_rows(path)) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(EVENT, id="part-8"),
        replace(EVENT, phase=Phase.NEW),
        replace(EVENT, camera="right"),
        replace(EVENT, id=""),
    ],
)
def test_keys_differ_where_events_do(other: Event) -> None:
    assert record_key(other) != record_key(EVENT)


def test_updates_of_a_part_differ_by_their_frames() -> None:
    update = replace(EVENT, phase=Phase.UPDATE)

    assert record_key(update) == record_key(replace(update, latency_ms=0))
    assert record_key(update) != record_key(replace(update, frame=13))


def test_the_oldest_rows_go_when_there_are_too_many(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with EventStore(path, max_events=5) as store:
        for number in range(20):
            store.write(replace(EVENT, id=f"{number}", time=f"2026-11-22T10:15:{number:02}"))

    assert [row[1] for row in _rows(path)] == ["15", "16", "17", "18", "19"]


def test_what_was_written_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        written = [writer.stdout.readline() for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        written += writer.stdout.read().splitlines(keepends=True)

    said = {line.strip().decode() for line in written if line.endswith(b"\n")}
    assert len(said) >= 50
    assert said <= {row[0] for row in _rows(path, "SELECT id FROM event")}
    assert _rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")

    with pytest.raises(OutputError, match="schema version 99"), EventStore(path):
        pytest.fail("opened")


def test_a_file_that_is_no_database_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    path.write_text("not a database, but long enough to be looked at " * 40)

    with EventStore(path) as store:
        assert "events.sqlite.damaged-1" in store.note

    assert (tmp_path / "events.sqlite.damaged-1").read_text().startswith("not a database")


def test_a_disk_without_room_is_an_error_and_the_store_goes_on_after_it(
    tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        with no_room(), pytest.raises(OutputError, match=r"events\.sqlite: "):
            store.write(EVENT)
        store.write(EVENT)

    assert len(_rows(path)) == 1


def test_writing_to_a_closed_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not open"):
        EventStore(tmp_path / "events.sqlite").write(EVENT)
