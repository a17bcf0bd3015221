import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from pcedge.camera import Event, JsonLines, Verdict
from pcedge.errors import OutputError

EVENT = Event("2026-11-22T10:15:30.123456+00:00", "cam0", 12, "frame-000012", Verdict.NG, 3.5, 2.0, 12.3)


def test_events_are_appended_and_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    for number in range(2):
        with JsonLines(path) as sink:
            sink.write(replace(EVENT, frame=2 * number))
            sink.write(replace(EVENT, frame=2 * number + 1))
            lines = path.read_text().splitlines()
            assert [json.loads(line)["frame"] for line in lines] == list(range(2 * number + 2))


def test_a_disk_without_room_fails_every_line_and_never_writes_one_late(
    tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 3999 + b"\n")
    with no_room(), JsonLines(path) as sink:
        for _ in range(3):
            with pytest.raises(OutputError, match=r"events\.jsonl: cannot be written"):
                sink.write(EVENT)
    assert path.stat().st_size == 4000


def test_a_line_that_fits_only_in_part_is_a_failure_and_spoils_no_later_line(
    tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * 3949 + b"\n")
    with no_room(), JsonLines(path) as sink:
        with pytest.raises(OutputError):
            sink.write(EVENT)
        path.write_bytes(path.read_bytes()[3950:])  # somebody makes room
        sink.write(EVENT)

    assert path.read_text().splitlines()[-1] == EVENT.to_json()


def test_a_line_torn_by_a_power_cut_spoils_no_later_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{EVENT.to_json()}\n{EVENT.to_json()[:20]}")
    with JsonLines(path) as sink:
        sink.write(EVENT)
        sink.write(EVENT)

    lines = path.read_text().splitlines()
    assert [line == EVENT.to_json() for line in lines] == [True, True, True]


def test_a_file_that_cannot_be_opened_fails_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for path in (tmp_path, tmp_path / "file" / "events.jsonl"):
        with pytest.raises(OutputError, match="cannot be written"), JsonLines(path):
            pytest.fail("opened")


def test_writing_to_a_closed_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not open"):
        JsonLines(tmp_path / "events.jsonl").write(EVENT)


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_torn_last_line_is_cut_off_even_where_it_is_the_only_one(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(EVENT.to_json()[:cut])
    with JsonLines(path):
        assert path.read_bytes() == b""


def test_a_last_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{EVENT.to_json()}\n{EVENT.to_json()}")
    with JsonLines(path) as sink:
        sink.write(EVENT)

    assert path.read_text() == 3 * f"{EVENT.to_json()}\n"


def test_a_torn_line_longer_than_what_is_read_at_once_is_cut_off_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(EVENT.to_json().encode() + b"\n{" + b"x" * 200_000)
    with JsonLines(path):
        assert path.read_text() == f"{EVENT.to_json()}\n"


def test_files_are_rotated_before_they_grow_too_large_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    size = len(EVENT.to_json()) + 1
    with JsonLines(path, max_bytes=3 * size, keep=2) as sink:
        for number in range(11):
            sink.write(replace(EVENT, frame=number + 10))

    kept = {
        file.name: [json.loads(line)["frame"] - 10 for line in file.read_text().splitlines()]
        for file in tmp_path.iterdir()
    }
    assert kept == {"events.jsonl": [9, 10], "events.jsonl.1": [6, 7, 8], "events.jsonl.2": [3, 4, 5]}


def test_nothing_put_aside_is_kept_where_none_is_to_be(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with JsonLines(path, max_bytes=1, keep=0) as sink:
        for number in range(3):
            sink.write(replace(EVENT, frame=number))

    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [2]
    assert [file.name for file in tmp_path.iterdir()] == ["events.jsonl"]
