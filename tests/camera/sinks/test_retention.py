import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pcedge.camera import Frame, ImageSink, Inspection, Retention, Verdict
from pcedge.errors import OutputError

_RETENTION: Any = import_module("pcedge.camera.sinks.files.retention")
Keeper, PICTURE_NAMES = _RETENTION.Keeper, _RETENTION.PICTURE_NAMES
NOW = datetime.now(timezone.utc).timestamp()
FRAME = Frame("cam0", 0, "frame-000000", NOW, np.zeros((8, 8, 3), np.uint8))
NG = Inspection(
    Verdict.NG, 3.0, 2.0, "", np.full((4, 4), 3, np.float32), np.array([[2.0, 0, 0.5], [0, 2.0, 0.5]]), 2.0
)


def _write(folder: Path, ages_days: list[float], retention: Retention | None = None) -> None:
    pictures = ImageSink(folder, retention=retention)
    for number, age_days in enumerate(ages_days):
        moment = NOW - timedelta(days=age_days).total_seconds()
        pictures.write(replace(FRAME, index=number, captured_at=moment), NG)


def _indices(folder: Path) -> list[int]:
    return [int(path.name.split("-")[2]) for path in sorted(folder.glob("*.png"))]


def test_old_pictures_go_with_their_heatmaps(tmp_path: Path) -> None:
    _write(tmp_path, [40, 31, 29, 1])

    _write(tmp_path, [0], Retention(max_age_days=30))

    assert _indices(tmp_path) == [2, 3, 0]
    assert len(list(tmp_path.iterdir())) == 6


def test_the_oldest_pictures_go_when_there_are_too_many(tmp_path: Path) -> None:
    _write(tmp_path, [3, 5, 4, 2])

    _write(tmp_path, [0], Retention(max_count=2))

    assert _indices(tmp_path) == [0, 3, 0]


def test_the_oldest_go_while_the_disk_has_too_little_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, [3, 2, 1])
    disk = SimpleNamespace(size=1000 + 100 * 6)
    monkeypatch.setattr(
        "shutil.disk_usage",
        lambda folder: SimpleNamespace(free=disk.size - 100 * len(list(Path(folder).iterdir()))),
    )

    _write(tmp_path, [0], Retention(min_free_bytes=1150))

    assert _indices(tmp_path) == [1, 2, 0]


def test_a_disk_that_stays_full_is_an_error_and_nothing_of_others_is_deleted(tmp_path: Path) -> None:
    others = [
        "notes.txt",
        "20261122T101530.123456-cam0-000012-NG.txt",
        "20261122T101530.123456-cam0-000012-NG.png.bak",
        "my-20261122T101530.123456-cam0-000012-NG.png",
        "20261122T101530.123456-cam0-000012-GOOD.png",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / "20261122T101530.123456-cam0-000012-OK.png").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "20261122T101530.123456-cam0-000013-OK.png").mkdir()
    _write(tmp_path, [1])

    with pytest.raises(OutputError, match="no file here may be deleted"):
        _write(tmp_path, [0], Retention(min_free_bytes=1 << 60, max_count=0))

    assert len(list(tmp_path.iterdir())) == len(others) + 2


def test_digits_that_are_no_date_are_not_too_old(tmp_path: Path) -> None:
    strange = tmp_path / "20269922T101530.123456-cam0-000012-NG.png"
    strange.touch()

    _write(tmp_path, [0], Retention(max_age_days=1))

    assert strange.exists()


@pytest.mark.parametrize(("age_s", "stays"), [(10, True), (100, False)])
def test_what_a_kill_left_half_written_goes_after_a_while(tmp_path: Path, age_s: float, stays: bool) -> None:
    left = tmp_path / ".20261122T101530.123456-cam0-000012-NG.png.4711-3.tmp"
    other = tmp_path / ".notes.tmp"
    for path in (left, other):
        path.touch()
        os.utime(path, (time.time() - age_s,) * 2)

    _write(tmp_path, [0])

    assert left.exists() == stays
    assert other.exists()


def test_a_folder_of_many_pictures_is_looked_through_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    scandir: Callable[..., object] = os.scandir

    def look(path: object) -> object:
        looks.append(path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", look)
    pictures = ImageSink(tmp_path, retention=Retention(max_count=100, min_free_bytes=1))
    pictures.write(FRAME, NG)
    at_first = len(looks)
    for _ in range(5):
        pictures.write(FRAME, NG)

    assert len(looks) == at_first > 0


def test_what_this_process_is_writing_stays(tmp_path: Path) -> None:
    being_written = tmp_path / f".20261122T101530.123456-cam0-clip.{os.getpid()}.tmp.avi"
    left = tmp_path / ".20261122T101530.123456-cam0-clip.999999999.tmp.avi"
    for path in (being_written, left):
        path.touch()
        os.utime(path, (time.time() - 100,) * 2)

    _write(tmp_path, [0])

    assert (being_written.exists(), left.exists()) == (True, False)


def _picture(folder: Path, stamp: str) -> Path:
    path = folder / f"{stamp}T000000.000000-cam0-000000-NG.png"
    path.touch()
    return path


def test_what_came_first_goes_first_though_the_clock_was_ahead(tmp_path: Path) -> None:
    ahead = [_picture(tmp_path, f"203601{day:02}") for day in (1, 2, 3)]
    Keeper(tmp_path, PICTURE_NAMES, Retention(max_count=5)).make_room()
    later = [_picture(tmp_path, f"202611{day:02}") for day in (1, 2, 3)]

    for most, there in ((4, [*ahead[2:], *later]), (2, later[1:])):
        Keeper(tmp_path, PICTURE_NAMES, Retention(max_count=most)).make_room()
        assert sorted(tmp_path.glob("*.png")) == sorted(there)


def test_a_clock_that_jumps_ahead_deletes_nothing_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcedge.camera.sinks.files.retention._LOOK_EVERY_S", 0.0)
    now = time.time()
    stamp = time.strftime("%Y%m%d", time.gmtime(now))
    picture = _picture(tmp_path, stamp)
    keeper = Keeper(tmp_path, PICTURE_NAMES, Retention(max_age_days=30))
    keeper.make_room()

    monkeypatch.setattr(time, "time", lambda: now + 3e8)
    keeper.make_room()
    Keeper(tmp_path, PICTURE_NAMES, Retention(max_age_days=30)).make_room()

    assert picture.exists()
