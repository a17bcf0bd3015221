"""A watched folder: who writes, what is renamed, what is below, what is passed over, and what it costs."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcedge.camera import FolderSource, Frame, Journal, NoFrame

WITHIN_S = 30.0


@pytest.fixture(params=[False, True], ids=["told", "share"])
def share(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to learn what changes: from the system, and by looking, as on a network share."""
    if request.param:
        monkeypatch.setattr("pcedge.camera.sources.folders.changes._is_share", lambda _: True)
    return bool(request.param)


def _save(path: Path, value: int = 100) -> None:
    Image.new("RGB", (20, 16), (value, 0, 0)).save(path)


def _next(source: FolderSource, within_s: float = WITHIN_S) -> Frame:
    deadline = time.monotonic() + within_s
    while not isinstance(got := source.read(0.05), Frame):
        assert got is not NoFrame.END
        assert time.monotonic() < deadline, "no frame in time"
    return got


def test_every_atomic_rename_is_judged_at_once_or_said_to_be_overwritten(tmp_path: Path, share: bool) -> None:
    folder, images = tmp_path / "in", 12
    folder.mkdir()

    def camera() -> None:
        for number in range(1, images + 1):
            _save(tmp_path / "new.png", number)
            (tmp_path / "new.png").replace(folder / "img.png")
            time.sleep(0.1)

    with FolderSource(folder) as source:
        writer = threading.Thread(target=camera)
        writer.start()
        frames = [_next(source)]
        while frames[-1].image_rgb is None or frames[-1].image_rgb[0, 0, 0] != images:
            frames.append(_next(source))
        writer.join()

    judged = [int(frame.image_rgb[0, 0, 0]) for frame in frames if frame.image_rgb is not None]
    assert judged == sorted(set(judged))
    assert len(judged) >= images / 4, "while they come, not after they have stopped"
    assert len({frame.key for frame in frames if frame.key}) == len(judged)


def test_a_file_of_which_the_size_is_there_before_the_content_has_one_verdict(
    tmp_path: Path, share: bool
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.bmp")
    data = (tmp_path / "whole.bmp").read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    with FolderSource(folder) as source:
        with (folder / "copy.bmp").open("wb", buffering=0) as file:
            file.truncate(len(data))
            file.write(data[: len(data) // 2])
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                assert source.read(0.05) is NoFrame.YET, "half of it is there, and its writer too"
            file.write(data[len(data) // 2 :])
        frame = _next(source)
        assert source.read(0.4) is NoFrame.YET

    assert frame.image_rgb is not None
    assert np.array_equal(frame.image_rgb, noise)


def test_another_file_of_the_same_name_time_and_size_is_a_new_image(tmp_path: Path, share: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with Journal(tmp_path / "judged.txt", tmp_path / "events.jsonl") as journal:
        with FolderSource(folder, done=journal) as source:
            keys = set()
            for value in (100, 101):
                Image.new("RGB", (20, 16), (value, 0, 0)).save(tmp_path / "new.bmp")
                os.utime(tmp_path / "new.bmp", ns=(10**18, 10**18))
                (tmp_path / "new.bmp").replace(folder / "part.bmp")
                frame = _next(source)
                journal.add(frame.key)
                keys.add(frame.key)
                assert frame.image_rgb is not None
                assert frame.image_rgb[0, 0, 0] == value
        assert len(keys) == 2
        with FolderSource(folder, done=journal) as source:
            assert source.read(0.4) is NoFrame.YET
            assert source.passed_over == 1


def test_a_journal_of_an_earlier_version_is_understood(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _save(folder / "a.png")
    with (
        Journal(tmp_path / "judged.txt", tmp_path / "events.jsonl") as journal,
        FolderSource(folder, done=journal) as source,
    ):
        stat = (folder / "a.png").stat()
        old = source._key("a.png", (stat.st_mtime_ns, stat.st_size))
        journal.add(old)
    with (
        Journal(tmp_path / "judged.txt", tmp_path / "events.jsonl") as journal,
        FolderSource(folder, done=journal) as source,
    ):
        assert source.read(0.4) is NoFrame.YET
        assert source.passed_over == 1


@pytest.mark.parametrize("recursive", [False, True])
def test_what_is_passed_over_is_counted_by_reason_and_subfolders_by_option(
    tmp_path: Path, recursive: bool, share: bool
) -> None:
    (tmp_path / "2026" / "12").mkdir(parents=True)
    _save(tmp_path / "2026" / "12" / "deep.png")
    _save(tmp_path / "top.png")
    for name in (".hidden.png", "a.png.part", "b.tmp.png", "notes.txt", "more.txt"):
        (tmp_path / name).touch()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    with FolderSource(tmp_path, recursive=recursive) as source:
        names = [_next(source).name for _ in range(1 + recursive)]
        if recursive:
            (tmp_path / "2027").mkdir()
            _save(tmp_path / "2027" / "later.png")
            names.append(_next(source).name)
        left_out = source.left_out

    assert names == (["2026/12/deep.png", "top.png", "2027/later.png"] if recursive else ["top.png"])
    assert left_out == {
        "hidden files": 1,
        "files that end like unfinished ones": 2,
        "files that are no images by their names": 2,
        "links that lead nowhere": 1,
        **({} if recursive else {"folders": 1}),
    }


def test_many_files_at_rest_are_not_looked_at(tmp_path: Path) -> None:
    _save(tmp_path / "0.png")
    with Journal(tmp_path / "out" / "judged.txt", tmp_path / "out" / "events.jsonl") as journal:
        folder = tmp_path / "in"
        folder.mkdir()
        for number in range(5000):
            os.link(tmp_path / "0.png", folder / f"{number}.png")
        with FolderSource(folder) as first:
            keys = [first._key(name, state) for name, state in first._scan().items()]
        for key in keys[:-1]:
            journal._keys.add(key)
        journal.add(keys[-1])
        with FolderSource(folder, done=journal) as source:
            assert source.passed_over == 5000
            began_s, until = time.process_time(), time.monotonic() + 2.0
            while time.monotonic() < until:
                assert source.read(0.1) is NoFrame.YET
            assert time.process_time() - began_s < 0.1, "of two seconds"
            _save(tmp_path / "new.png")
            (tmp_path / "new.png").rename(folder / "new.png")
            assert _next(source).name == "new.png"
