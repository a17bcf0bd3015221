"""Pictures written in a process of their own."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcedge.camera import Explanation, ImageProcess, Inspection, Region, Verdict, write_pictures
from pcedge.errors import OutputError

NOISE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
WHY = Explanation((8, 8, 8, 8), (0, 0, 32, 32), 2.0, 1.0, "a.png", (12, 12), NOISE[:32, :32], (8, 8, 8, 8))
NG = Inspection(
    Verdict.NG,
    3.5,
    2.0,
    score_map_hw=np.full((32, 48), 3, np.float32),
    map_to_picture=np.array([[2.0, 0, 0.5], [0, 2.0, 0.5]]),
    map_threshold=2.0,
    regions=(Region((0, 0, 96, 64), 6144.0, 3.0, (1, 1), ((0, 0), (95, 0), (95, 63))),),
    explain=lambda: (WHY,),  # as an inspector's own, it cannot be sent
)


@pytest.fixture
def aside() -> Iterator[ImageProcess]:
    with closing(ImageProcess()) as one:
        yield one


def test_pictures_are_the_same_and_errors_too_wherever_they_are_written(
    aside: ImageProcess, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "here.png", tmp_path / "here.jpg", NOISE, NG)
    assert _process(aside) != os.getpid()
    aside.write(tmp_path / "aside.png", tmp_path / "aside.jpg", NOISE, NG)
    aside.write(tmp_path / "alone.png", None, NOISE[:, ::2], replace(NG, verdict=Verdict.INVALID))

    for suffix in ("png", "jpg"):
        assert (tmp_path / f"aside.{suffix}").read_bytes() == (tmp_path / f"here.{suffix}").read_bytes()
    assert (tmp_path / "alone.png").is_file()
    missing = tmp_path / "missing" / "a.png"
    with pytest.raises(OutputError) as here:
        write_pictures(missing, None, NOISE, NG)
    with pytest.raises(OutputError) as there:
        aside.write(missing, None, NOISE, NG)
    assert str(there.value) == str(here.value)


def test_a_picture_is_written_whatever_becomes_of_the_process(aside: ImageProcess, tmp_path: Path) -> None:
    killed = _process(aside)
    os.kill(killed, signal.SIGKILL)
    aside.write(tmp_path / "a.png", tmp_path / "a.jpg", NOISE, NG)

    assert (tmp_path / "a.jpg").is_file()
    assert not _runs(killed)
    another = _process(aside)
    assert another != killed
    aside.close()
    _until(lambda: not _runs(another))


def _process(aside: ImageProcess) -> int:
    _until(lambda: aside.process_id is not None)
    number = aside.process_id
    assert number is not None
    return number


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _until(there: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not there():
        assert time.monotonic() < ends
        time.sleep(0.01)
