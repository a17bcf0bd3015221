from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcedge.camera import ClipLength, Clips, Event, Frame, Inspection, Retention, Verdict
from pcedge.errors import OutputError

FPS = 10
LENGTH = ClipLength(before_s=1.0, after_s=0.5, longest_s=3.0, width_px=64)
BEGAN = 1_795_000_000.0
OK, NG = Inspection(Verdict.OK, 1.0, 2.0), Inspection(Verdict.NG, 3.0, 2.0)


def _watch(
    clips: Clips,
    count: int,
    flagged: set[int],
    *,
    camera: str = "cam0",
    first: int = 0,
    size_hw: tuple[int, int] = (48, 64),
) -> None:
    """Show frames whose grey is three times their number."""
    for number in range(first, first + count):
        picture = np.full((*size_hw, 3), 3 * number, np.uint8)
        frame = Frame("source", number, "x", BEGAN + number / FPS, picture, camera=camera)
        inspection = NG if number in flagged else OK
        clips.write_frame(Event.of(frame, inspection, 1.0, {}), frame, inspection)


def _numbers(path: Path) -> list[int]:
    """Which frames a clip has, by their grey."""
    film = cv2.VideoCapture(str(path))
    greys = []
    while (got := film.read())[0]:
        assert got[1].shape == (48, 64, 3)
        greys.append(round(float(got[1].mean()) / 3))
    film.release()
    return greys


def _clips(folder: Path) -> list[list[int]]:
    return [_numbers(path) for path in sorted(folder.iterdir())]


def test_a_clip_shows_what_was_before_and_after_an_event(tmp_path: Path) -> None:
    with Clips(tmp_path, LENGTH) as clips:
        _watch(clips, 60, {30})

    assert _clips(tmp_path) == [list(range(20, 36))]
    assert [path.name[22:] for path in tmp_path.iterdir()] == ["-cam0-clip.avi"]


def test_events_close_to_each_other_share_a_clip_and_others_have_their_own(tmp_path: Path) -> None:
    with Clips(tmp_path, LENGTH) as clips:
        _watch(clips, 70, {20, 23, 50})

    assert _clips(tmp_path) == [list(range(10, 29)), list(range(40, 56))]


def test_a_clip_does_not_grow_for_ever(tmp_path: Path) -> None:
    with Clips(tmp_path, LENGTH) as clips:
        _watch(clips, 80, set(range(20, 80)))

    lengths = [len(clip) for clip in _clips(tmp_path)]
    assert len(lengths) == 2
    assert max(lengths) <= 42


def test_a_clip_under_way_at_the_end_is_finished(tmp_path: Path) -> None:
    with Clips(tmp_path, LENGTH) as clips:
        _watch(clips, 21, {20})
        assert [path.name[0] for path in tmp_path.iterdir()] == ["."], "it has its name when it is whole"

    assert _clips(tmp_path) == [list(range(10, 21))]


def test_cameras_have_clips_of_their_own(tmp_path: Path) -> None:
    with Clips(tmp_path, LENGTH) as clips:
        for number in range(40):
            _watch(clips, 1, {20}, camera="left", first=number)
            _watch(clips, 1, set(), camera="right", first=number)

    assert [path.name[22:] for path in tmp_path.iterdir()] == ["-left-clip.avi"]
    assert _clips(tmp_path) == [list(range(10, 26))]


def test_frames_that_become_larger_or_cannot_be_had_end_no_clip(tmp_path: Path) -> None:
    with Clips(tmp_path, LENGTH) as clips:
        _watch(clips, 20, set())
        _watch(clips, 3, {20}, first=20)
        gone = Frame("source", 23, "x", BEGAN + 2.3, None, fault="gone", camera="cam0")
        clips.write_frame(Event.of(gone, replace(NG, verdict=Verdict.INVALID), 1.0, {}), gone, NG)
        _watch(clips, 2, set(), first=24, size_hw=(96, 128))

    assert _clips(tmp_path) == [[*range(10, 23), 24, 25]]


def test_memory_for_what_was_before_is_bounded(tmp_path: Path) -> None:
    with Clips(tmp_path, replace(LENGTH, memory_bytes=2000)) as clips:
        _watch(clips, 31, {30})

    (shown,) = _clips(tmp_path)
    assert shown[-1] == 30
    assert len(shown) < 8


def test_the_oldest_clips_go(tmp_path: Path) -> None:
    for first in (0, 20, 40):
        with Clips(tmp_path, LENGTH, retention=Retention(max_count=1)) as clips:
            _watch(clips, 10, {first + 5}, first=first)

    assert len(list(tmp_path.iterdir())) == 2, "one that was there and the new one"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Clips(tmp_path / "file", LENGTH) as clips, pytest.raises(OutputError, match="cannot be created"):
        _watch(clips, 1, {0})
