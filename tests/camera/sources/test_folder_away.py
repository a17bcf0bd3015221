"""A watched folder that is away for a while, as shares are: said once, and looked for until it is back."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.camera import CameraState, FolderSource, Frame, Journal, NoFrame, Stream, write_image

IMAGE = np.zeros((8, 8, 3), np.uint8)
WITHIN_S = 60.0


def _next(source: FolderSource) -> Frame:
    deadline = time.monotonic() + WITHIN_S
    while not isinstance(got := source.read(0.1), Frame):
        assert got is not NoFrame.END
        assert time.monotonic() < deadline
    return got


def test_a_folder_that_was_away_gives_one_fault_and_then_what_has_arrived(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "share", tmp_path / "unmounted"
    folder.mkdir()
    write_image(folder / "1.png", IMAGE)
    with FolderSource(folder) as source:
        assert _next(source).name == "1.png"

        folder.rename(elsewhere)
        lost = _next(source)
        assert lost.image_rgb is None
        assert "cannot be read any more" in lost.fault
        assert "cannot be read any more" in source.away
        assert [source.read(0.1) for _ in range(8)] == [NoFrame.YET] * 8, "once, not at every look"

        write_image(elsewhere / "2.png", IMAGE)
        elsewhere.rename(folder)
        back = _next(source)

        assert (back.name, back.fault, source.away) == ("2.png", "", "")
        assert back.index > lost.index


def test_the_state_of_the_camera_says_so_even_where_no_image_comes(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "share", tmp_path / "unmounted"
    folder.mkdir()
    with Stream(FolderSource(folder)) as stream:

        def wait_for(*states: CameraState) -> str:
            deadline = time.monotonic() + WITHIN_S
            while (status := stream.cameras[0]).state not in states:
                assert time.monotonic() < deadline, status
                time.sleep(0.02)
            return status.reason

        wait_for(CameraState.STARTING, CameraState.RUNNING)
        folder.rename(elsewhere)
        assert "cannot be read any more" in wait_for(CameraState.RECONNECTING)
        elsewhere.rename(folder)
        assert wait_for(CameraState.STARTING, CameraState.RUNNING) == ""


@pytest.mark.parametrize("error", [None, errno.EIO, errno.ESTALE])
def test_a_folder_that_goes_away_while_it_is_listed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    """Entries are listed before they are looked at: in between the folder, or its server, may be gone."""
    folder, elsewhere = tmp_path / "share", tmp_path / "unmounted"
    folder.mkdir()
    for number in range(3):
        write_image(folder / f"{number}.png", IMAGE)
    monkeypatch.setattr("pcedge.camera.sources.folder._GONE_FILES_KEPT", -10)
    with Journal(tmp_path / "judged.txt", tmp_path / "events.jsonl") as journal:
        with FolderSource(folder, done=journal) as source:
            for _ in range(3):
                journal.add(_next(source).key)
            with monkeypatch.context() as patched:
                patched.setattr(os, "scandir", _gone_while_listed(folder, elsewhere, error))
                assert "cannot be read any more" in _next(source).fault
            if elsewhere.exists():
                elsewhere.rename(folder)
            write_image(folder / "new.png", IMAGE)

            assert _next(source).name == "new.png", "no other image a second time"
        assert len(journal) == 3


def _gone_while_listed(folder: Path, elsewhere: Path, error: int | None) -> Any:
    scandir = os.scandir

    class Entry:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self._entry, self.name = entry, entry.name

        def stat(self) -> os.stat_result:
            if error is not None:
                raise OSError(error, os.strerror(error))
            if not elsewhere.exists():
                folder.rename(elsewhere)
            return Path(self._entry.path).stat()

    class Entries:
        def __init__(self, path: Path) -> None:
            self._entries = scandir(path)

        def __enter__(self) -> Iterator[Entry]:
            return map(Entry, self._entries)

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    return Entries


def test_an_empty_place_where_a_share_was_mounted_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "share", tmp_path / "unmounted"
    folder.mkdir()
    write_image(folder / "1.png", IMAGE)
    monkeypatch.setattr("pcedge.camera.sources.folder._GONE_FILES_KEPT", -10)
    with (
        Journal(tmp_path / "judged.txt", tmp_path / "events.jsonl") as journal,
        FolderSource(folder, done=journal) as source,
    ):
        journal.add(_next(source).key)
        folder.rename(elsewhere)
        folder.mkdir()
        write_image(folder / "of-the-mount-point.png", IMAGE)
        while _next(source).name != "of-the-mount-point.png":
            pass  # that the folder was away for a moment may be said first
        assert len(journal) == 1
