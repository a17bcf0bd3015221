import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcedge.camera import FolderSource, Frame, NoFrame, Source
from pcedge.errors import CameraError


def _save(path: Path, value: int = 100) -> None:
    Image.new("RGB", (20, 16), (value, 0, 0)).save(path)


def _collect(source: Source, count: int, within_s: float = 30) -> list[Frame]:
    """The next ``count`` frames, or those that came in time."""
    frames: list[Frame] = []
    until = time.monotonic() + within_s
    while len(frames) < count and time.monotonic() < until:
        got = source.read(0.1)
        if got is NoFrame.END:
            break
        if isinstance(got, Frame):
            frames.append(got)
    return frames


def _names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


def test_what_is_there_comes_in_natural_order_and_then_the_end(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        _save(tmp_path / f"{number}.png", number)
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "later.png.part").write_bytes(b"x")

    with FolderSource(tmp_path, follow=False) as source:
        frames = _collect(source, 3)
        _save(tmp_path / "too-late.png")
        assert source.read(1) is NoFrame.END
        assert not source.live

    assert _names(frames) == ["1.png", "9.png", "10.png"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [int(f.image_rgb[0, 0, 0]) for f in frames if f.image_rgb is not None] == [1, 9, 10]
    assert {frame.source for frame in frames} == {f"folder:{tmp_path}"}


def test_an_empty_folder_that_is_not_followed_ends(tmp_path: Path) -> None:
    with FolderSource(tmp_path, follow=False) as source:
        assert source.read(1) is NoFrame.END


def test_nothing_new_is_a_time_out_and_no_end(tmp_path: Path) -> None:
    with FolderSource(tmp_path) as source:
        began = time.monotonic()
        assert source.read(0.3) is NoFrame.YET
        assert 0.25 < time.monotonic() - began < 30


def test_arrivals_come_once_and_again_when_written_again(tmp_path: Path) -> None:
    _save(tmp_path / "z-first.png")
    with FolderSource(tmp_path) as source:
        assert _names(_collect(source, 1)) == ["z-first.png"]
        _save(tmp_path / "b.png", 1)
        os.utime(tmp_path / "b.png", ns=(0, 10**18))
        _save(tmp_path / "a.png", 2)
        assert _names(_collect(source, 2)) == ["b.png", "a.png"]
        assert _collect(source, 1, within_s=0.7) == []

        _save(tmp_path / "b.png", 3)
        again = _collect(source, 1)

    assert _names(again) == ["b.png"]
    assert again[0].image_rgb is not None
    assert again[0].image_rgb[0, 0, 0] == 3


def test_a_file_that_changes_while_it_waits_for_its_turn_is_said_to_be_lost_and_taken_once(
    tmp_path: Path,
) -> None:
    for name in ("a.png", "b.png"):
        _save(tmp_path / name, 1)
    with FolderSource(tmp_path) as source:
        assert _names(_collect(source, 1)) == ["a.png"]
        _save(tmp_path / "b.png", 2)
        lost, *frames = _collect(source, 3, within_s=1.2)

    assert lost.fault == "b.png was overwritten before it was read"
    assert source.left_out == {"overwritten before they were read": 1}
    assert _names(frames) == ["b.png"]
    assert frames[0].image_rgb is not None
    assert frames[0].image_rgb[0, 0, 0] == 2


def test_a_slowly_written_file_is_taken_whole(tmp_path: Path) -> None:
    whole = tmp_path / "whole.bmp"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    whole.unlink()

    def write_slowly() -> None:
        with whole.open("wb") as file:
            for start in range(0, len(data), len(data) // 8):
                file.write(data[start : start + len(data) // 8])
                file.flush()
                time.sleep(0.15)

    with FolderSource(tmp_path, settle_s=1) as source:
        writer = threading.Thread(target=write_slowly)
        writer.start()
        frames = _collect(source, 1)
        writer.join()
        frames += _collect(source, 1, within_s=0.7)

    assert [frame.fault for frame in frames] == [""]
    assert frames[0].image_rgb is not None
    assert np.array_equal(frames[0].image_rgb, noise)


def test_a_file_that_pauses_half_written_is_no_fault_before_it_has_settled(tmp_path: Path) -> None:
    path = tmp_path / "paused.png"
    _save(path)
    data = path.read_bytes()
    path.write_bytes(data[:40])
    with FolderSource(tmp_path, settle_s=1.5) as source:
        assert _collect(source, 1, within_s=0.8) == []
        path.write_bytes(data)
        frames = _collect(source, 1)

    assert [(frame.name, frame.fault) for frame in frames] == [("paused.png", "")]


@pytest.mark.parametrize("follow", [True, False])
def test_a_damaged_file_becomes_a_fault_and_holds_up_no_other(tmp_path: Path, follow: bool) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    _save(tmp_path / "b.png")
    began = time.monotonic()

    with FolderSource(tmp_path, follow=follow, settle_s=0.8) as source:
        frames = _collect(source, 2)
        assert source.read(0.5) is (NoFrame.YET if follow else NoFrame.END)

    assert _names(frames) == ["b.png", "a.png"]
    assert frames[1].image_rgb is None
    assert "is empty" in frames[1].fault
    assert time.monotonic() - began > 0.8


def test_a_file_that_goes_before_it_was_taken_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"half")
    with FolderSource(tmp_path, settle_s=0.8) as source:
        assert source.read(0.3) is NoFrame.YET
        (tmp_path / "a.png").unlink()
        assert _collect(source, 1, within_s=1.2) == []


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no such folder"), FolderSource(tmp_path / "none"):
        pass


def test_a_folder_that_vanishes_is_a_fault_and_an_error_where_nothing_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    for follow in (True, False):
        folder.mkdir()
        (folder / "1.png").write_bytes(b"not complete yet")
        with FolderSource(folder, follow=follow) as source:
            shutil.rmtree(folder)
            if follow:
                assert "No such file" in _collect(source, 1)[0].fault
                continue
            with pytest.raises(CameraError, match=r"incoming: .*No such file"):
                _collect(source, 1)


def test_names_that_are_not_utf_8_can_be_stored_and_sent(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"stra\xdfe")
    folder.mkdir()
    for name in ("gr\udcfcn.png", "grün.png"):
        _save(folder / name)
    (folder / "leer\udce9.png").touch()

    with FolderSource(folder, follow=False, settle_s=0.1) as source:
        frames = _collect(source, 3)

    assert {frame.name for frame in frames} == {"gr\\xfcn.png", "grün.png", "leer\\xe9.png"}
    for frame in frames:
        assert f"{frame.source}{frame.name}{frame.fault}".encode()
    assert source.name.endswith("stra\\xdfe")


def test_what_is_no_image_is_counted_by_reason(tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes(b"")
    for name in ("notes.txt", "Thumbs.db", "lid.png.part", ".hidden.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "archive.png").mkdir()
    (tmp_path / "link.png").symlink_to("/mnt/nowhere.png")

    with FolderSource(tmp_path, follow=False) as source:
        assert source.left_out == {
            "files that are no images by their names": 2,
            "files that end like unfinished ones": 1,
            "hidden files": 1,
            "folders": 1,
            "links that lead nowhere": 1,
        }
