"""A watched folder that is away for a while, as shares are: said once, and looked for until it is back."""

import time
from pathlib import Path

import numpy as np

from pcedge.camera import CameraState, FolderSource, Frame, NoFrame, Stream, write_image

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
