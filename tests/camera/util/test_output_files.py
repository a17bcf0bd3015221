"""Output directories into which others can write: no link is followed, and nothing is for everybody."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pcedge.camera import Event, EventStore, Journal, JsonLines, write_image
from pcedge.errors import OutputError


def _write_events(folder: Path, event: Event) -> None:
    with JsonLines(folder / "events.jsonl") as sink:
        sink.write(event)


def _write_store(folder: Path, event: Event) -> None:
    with EventStore(folder / "events.sqlite") as store:
        store.write(event)


def _write_journal(folder: Path, _event: Event) -> None:
    with Journal(folder / "judged.txt", folder / "none.jsonl") as journal:
        journal.add("file-0123abcd-0123456789abcdef")


WRITERS = {"events.jsonl": _write_events, "events.sqlite": _write_store, "judged.txt": _write_journal}


@pytest.fixture(autouse=True)
def _usual_mask() -> None:
    os.umask(0o022)


@pytest.mark.parametrize("name", ["events.jsonl", "events.sqlite"])
def test_a_link_in_the_place_of_a_file_is_not_followed(
    tmp_path: Path, event: Callable[..., Event], name: str
) -> None:
    (tmp_path / "out").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    (tmp_path / "out" / name).symlink_to(victim)

    with pytest.raises(OutputError, match=name):
        WRITERS[name](tmp_path / "out", event(1))

    assert victim.read_text() == "of somebody else"


def test_a_link_in_the_place_of_the_journal_is_replaced(tmp_path: Path, event: Callable[..., Event]) -> None:
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    (tmp_path / "judged.txt").symlink_to(victim)

    _write_journal(tmp_path, event(1))

    assert victim.read_text() == "of somebody else"
    assert not (tmp_path / "judged.txt").is_symlink()


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_files_and_folders_are_for_this_user_and_its_group(
    tmp_path: Path, event: Callable[..., Event], name: str
) -> None:
    WRITERS[name](tmp_path / "out", event(1))

    assert (tmp_path / "out" / name).stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


def test_an_image_is_written_under_a_name_that_nobody_can_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: set[str] = set()
    opened = os.open

    def noted(path: str | Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_EXCL:
            names.add(Path(path).name)
            assert flags & os.O_NOFOLLOW
        return opened(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", noted)
    for _ in range(2):
        write_image(tmp_path / "part.png", np.zeros((8, 8, 3), np.uint8))

    assert len(names) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["part.png"]
    assert (tmp_path / "part.png").stat().st_mode & 0o777 == 0o640
