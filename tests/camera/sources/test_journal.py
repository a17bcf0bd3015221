import json
import time
from pathlib import Path

import pytest
from PIL import Image

from pcedge.camera import (
    Delivery,
    Event,
    FolderSource,
    Frame,
    Inspection,
    Journal,
    Journaled,
    JsonLines,
    NoFrame,
    Stream,
    Verdict,
)
from pcedge.errors import OutputError

KEY = "file-00000000-0123456789abcdef"


def _folder(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        Image.new("RGB", (20, 16), (90, 0, 0)).save(path / name)
    return path


def _judge(folder: Path, out: Path, limit: int | None = None) -> list[str]:
    """Names of the files that got a verdict now."""
    events = out / "events.jsonl"
    names = []
    with (
        Journal(out / "journal", events) as journal,
        Journaled(JsonLines(events), journal) as sink,
        Stream(FolderSource(folder, follow=False, done=journal)) as stream,
    ):
        for frames in stream.batches(1, limit):
            for frame in frames:
                sink.write(Event.of(frame, Inspection(Verdict.OK, 0.1, 0.5), 1.0, {}))
                names.append(frame.name)
    return names


def _recorded(out: Path) -> list[str]:
    return [json.loads(line)["name"] for line in (out / "events.jsonl").read_text().splitlines()]


def test_every_file_is_judged_once_across_restarts_and_again_when_it_is_written_again(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "in", "1.png", "2.png", "3.png")

    assert _judge(folder, tmp_path, limit=2) == ["1.png", "2.png"]
    assert _judge(folder, tmp_path) == ["3.png"]
    assert _judge(folder, tmp_path) == []
    _folder(folder, "2.png", "4.png")
    assert _judge(folder, tmp_path) == ["2.png", "4.png"]
    assert _recorded(tmp_path) == ["1.png", "2.png", "3.png", "2.png", "4.png"]


@pytest.mark.parametrize("end", [b"", b'{"time": "2026-11'])
def test_a_kill_between_event_and_journal_makes_no_second_event(tmp_path: Path, end: bytes) -> None:
    folder = _folder(tmp_path / "in", "1.png", "2.png")
    _judge(folder, tmp_path)
    journal = (tmp_path / "journal").read_text().split("\n")
    (tmp_path / "journal").write_text("\n".join(journal[:-1]) + "\n" + journal[-1][:9])
    with (tmp_path / "events.jsonl").open("ab") as file:
        if end:
            file.write(end)
        else:
            file.truncate(file.tell() - 1)

    assert _judge(folder, tmp_path) == []
    assert _recorded(tmp_path)[:2] == ["1.png", "2.png"]
    assert len([line for line in _recorded(tmp_path) if line]) == 2


def test_an_event_that_was_put_aside_with_its_file_is_found(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "in", "1.png")
    _judge(folder, tmp_path)
    (tmp_path / "journal").unlink()
    (tmp_path / "events.jsonl").rename(tmp_path / "events.jsonl.1")

    assert _judge(folder, tmp_path) == []


def test_an_event_given_twice_is_written_once_and_what_is_no_file_always(tmp_path: Path) -> None:
    frames = [Frame("f", 0, "a", 1e9, None, "x", KEY)] * 2 + [Frame("f", 1, "b", 1e9, None, "x")] * 2
    events = tmp_path / "events.jsonl"
    with Journal(tmp_path / "journal", events) as journal, Journaled(JsonLines(events), journal) as sink:
        for frame in frames:
            sink.write(Event.of(frame, Inspection(Verdict.INVALID, None, 0.5), 1.0, {}))

    assert _recorded(tmp_path) == ["a", "b", "b"]


def test_files_that_are_gone_are_forgotten_but_those_of_other_folders_are_not(tmp_path: Path) -> None:
    other = "file-11111111-0123456789abcdef"
    with Journal(tmp_path / "journal", tmp_path / "none") as journal:
        for key in (KEY, "file-00000000-aaaaaaaaaaaaaaaa", other):
            journal.add(key)
        journal.forget_others("file-00000000-", [KEY])
    with Journal(tmp_path / "journal", tmp_path / "none") as journal:
        assert [key in journal for key in (KEY, "file-00000000-aaaaaaaaaaaaaaaa", other)] == [
            True,
            False,
            True,
        ]


def test_a_journal_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()

    with (
        pytest.raises(OutputError, match="journal: cannot be written"),
        Journal(tmp_path / "journal", tmp_path / "e"),
    ):
        pytest.fail("opened")


def test_passed_over_files_are_counted(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "in", "1.png", "2.png")
    _judge(folder, tmp_path)
    with (
        Journal(tmp_path / "journal", tmp_path / "events.jsonl") as journal,
        FolderSource(folder, follow=False, done=journal) as source,
    ):
        assert source.read(1) is NoFrame.END
        assert source.passed_over == 2


def test_a_files_event_is_noted_when_every_other_sink_has_taken_it(tmp_path: Path) -> None:
    class Slow:
        def __init__(self) -> None:
            self.taken: list[str] = []

        def __enter__(self) -> "Slow":
            return self

        def __exit__(self, *_: object) -> None:
            return

        def write(self, event: Event) -> None:
            time.sleep(0.2)
            self.taken.append(event.id)

    slow, events = Slow(), tmp_path / "events.jsonl"
    frames = [Frame("f", n, "a", 1e9, None, "x", f"{KEY[:-1]}{n}") for n in range(2)]
    with Journal(tmp_path / "journal", events) as journal:
        jsonl = Journaled(JsonLines(events), journal, lambda: delivery.wait_for_others("jsonl", 5))
        delivery = Delivery({"jsonl": jsonl, "slow": slow})
        with delivery:
            for frame in frames:
                inspection = Inspection(Verdict.INVALID, None, 0.5)
                delivery.put(Event.of(frame, inspection, 1.0, {}), frame, inspection)
            while len(journal) < 1:
                time.sleep(0.005)
            assert slow.taken[:1] == [frames[0].key]
            assert delivery.flush(5)

    assert len(journal) == len(_recorded(tmp_path)) == 2
