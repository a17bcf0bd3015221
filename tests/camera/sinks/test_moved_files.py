"""Files that somebody moves or removes while they are open."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcedge.camera import Event, EventStore, JsonLines, Mending, Outbox, Sink

Make = Callable[..., Event]


def _move(path: Path) -> None:
    path.replace(path.with_name("moved"))


def _replace(path: Path) -> None:
    _move(path)
    path.write_bytes(b"")


def _remove(path: Path) -> None:
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def _remove_folder(path: Path) -> None:
    for one in path.parent.iterdir():
        one.unlink()
    path.parent.rmdir()


def _frames(path: Path) -> list[int]:
    if path.suffix == ".jsonl":
        return [json.loads(line)["frame"] for line in path.read_text().splitlines()]
    with closing(sqlite3.connect(path)) as database:
        return [json.loads(text)["frame"] for (text,) in database.execute("SELECT json FROM event")]


@pytest.mark.parametrize("away", [_move, _replace, _remove, _remove_folder])
@pytest.mark.parametrize(
    ("name", "kind"), [("events.jsonl", JsonLines), ("events.sqlite", EventStore)], ids=["jsonl", "sqlite"]
)
def test_what_comes_after_is_in_the_file_at_the_path_and_that_is_said(
    away: Callable[[Path], None], name: str, kind: Callable[[Path], Any], tmp_path: Path, event: Make
) -> None:
    path = tmp_path / "out" / name
    sink: Sink = kind(path)
    assert isinstance(sink, Mending)
    with sink:
        sink.write(event(0))
        assert (sink.notes, sink.note) == (0, "")
        away(path)
        for number in (1, 2):
            sink.write(event(number))

        assert sink.notes == 1
        assert "is made anew" in sink.note
    assert _frames(path) == [1, 2]


def test_a_log_of_the_database_that_is_removed_costs_no_event(tmp_path: Path, event: Make) -> None:
    path = tmp_path / "events.sqlite"
    with EventStore(path) as store:
        store.write(event(0))
        Path(f"{path}-wal").unlink()
        store.write(event(1))

    assert _frames(path) == [0, 1]


def test_what_came_first_is_deleted_first_whatever_the_clock_said(tmp_path: Path, event: Make) -> None:
    path = tmp_path / "events.sqlite"
    with EventStore(path, max_events=10) as store:
        for number in range(10):
            store.write(replace(event(number), time="2036-01-01T00:00:00+00:00"))
    with EventStore(path, max_events=10) as store:
        for number in range(10, 20):
            store.write(event(number))

    assert _frames(path) == list(range(10, 20))


def test_messages_of_an_outbox_that_is_removed_are_counted_and_their_numbers_not_used_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mqtt.sqlite"
    outbox = Outbox(path, max_messages=100)
    outbox.open()
    outbox.add("a", "t", "A")
    (first,) = outbox.first(9)
    _remove(path)

    outbox.add("b", "t", "B")

    (second,) = outbox.first(9)
    assert (second.key, second.number > first.number) == ("b", True)
    assert (len(outbox), outbox.removed) == (1, 1)
    outbox.remove([first.number])
    assert len(outbox) == 1
    outbox.close()
