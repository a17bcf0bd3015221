"""SQLite files that were damaged: set aside whole, and a new one goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pcedge.camera import Event, EventStore, Outbox
from pcedge.errors import OutputError


def _damage(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[: len(content) // 2] = b"\xff" * (len(content) // 2)
    path.write_bytes(content)
    return bytes(content)


def test_a_damaged_outbox_is_set_aside_and_another_takes_messages(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sqlite"
    outbox = Outbox(path, max_messages=10)
    outbox.open()
    outbox.add("a", "left", "{}")
    outbox.close()
    damaged = _damage(path)

    outbox = Outbox(path, max_messages=10)
    outbox.open()
    outbox.add("b", "left", "{}")

    assert [message.key for message in outbox.first(10)] == ["b"]
    assert (tmp_path / "mqtt.sqlite.damaged-1").read_bytes() == damaged
    outbox.close()


def test_an_event_store_that_is_no_database_is_set_aside_each_under_its_own_name(
    tmp_path: Path, event: Callable[..., Event]
) -> None:
    path = tmp_path / "events.sqlite"
    for number in (1, 2):
        path.write_bytes(b"no database " * 1000)
        Path(f"{path}-wal").unlink(missing_ok=True)
        with EventStore(path) as store:
            store.write(event(number))
            assert store.holds(event(number))
            assert f"events.sqlite.damaged-{number}" in store.note

    assert sorted(one.name for one in tmp_path.glob("*.damaged-?")) == [
        "events.sqlite.damaged-1",
        "events.sqlite.damaged-2",
    ]


def test_a_file_that_cannot_be_opened_for_another_reason_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").mkdir()

    with pytest.raises(OutputError, match="cannot be opened"), EventStore(tmp_path / "events.sqlite"):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["events.sqlite"]
