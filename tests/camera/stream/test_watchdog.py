"""Cameras that hang, fall silent, are missing or come back, several at a time."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pcedge.camera import (
    CameraState,
    CameraStatus,
    Frame,
    Grabbed,
    NoFrame,
    Source,
    Stream,
    SyntheticCamera,
    frame_name,
)
from pcedge.errors import CameraError


class _Camera:
    """A live camera at 100 frames a second, whose driver does what the test says.

    Attributes:
        driver: ``gives``, ``hangs``, ``is silent`` or ``is missing``; shared with what it is renewed as.
        given: Images, decoded or not.
        decoded: Images that were decoded.
    """

    live = True

    def __init__(self, name: str = "cam", driver: str = "gives") -> None:
        self.name = name
        self.state = {"driver": driver, "openings": 0}
        self.released = threading.Event()
        self.decoded = 0
        self.given = 0

    def renewed(self) -> Source:
        other = _Camera(self.name)
        other.state, other.released = self.state, self.released
        return other

    def __enter__(self) -> "_Camera":
        self.state["openings"] += 1  # type: ignore[operator]
        if self.state["driver"] == "is missing":
            raise CameraError(f"{self.name}: cannot be opened.")
        return self

    def __exit__(self, *_: object) -> None:
        return

    def read(self, timeout_s: float) -> Frame | NoFrame:
        got = self.grab(timeout_s)
        return got.decode() if isinstance(got, Grabbed) else got

    def grab(self, timeout_s: float) -> Grabbed | Frame | NoFrame:
        time.sleep(0.01)
        if self.state["driver"] == "hangs":
            self.released.wait(20)
        if self.state["driver"] == "is silent":
            return NoFrame.YET
        self.given += 1
        return Grabbed(lambda index=self.given: self._decode(index))  # type: ignore[misc]

    def _decode(self, index: int) -> Frame:
        self.decoded += 1
        return Frame(self.name, index, frame_name(index), time.time(), np.zeros((2, 2, 3), np.uint8))


@pytest.fixture
def camera() -> Iterator[_Camera]:
    camera = _Camera()
    yield camera
    camera.released.set()


def _until(stream: Stream, wanted: Callable[[CameraStatus], bool], within_s: float = 30) -> list[Frame]:
    """Take frames until the first camera is as wanted."""
    frames: list[Frame] = []
    until = time.monotonic() + within_s
    for batch in stream.batches(8):
        frames += batch
        if wanted(stream.cameras[0]):
            return frames
        assert time.monotonic() < until, stream.cameras
    raise AssertionError("the stream has ended")


def _wait(true: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.002)


def _running(status: CameraStatus) -> bool:
    return status.state is CameraState.RUNNING


@pytest.mark.parametrize("driver", ["hangs", "is silent"])
def test_a_camera_that_stalls_is_restarted_ever_more_slowly_until_it_gives_pictures(
    camera: _Camera, driver: str
) -> None:
    with Stream(camera, stall_s=0.8) as stream:
        _until(stream, _running)
        camera.state["driver"] = driver
        lost = _until(stream, lambda status: status.state is CameraState.STALLED)
        assert lost[-1].fault == "no image for 0.8 s; next attempt to open it in 0.5 s"
        again = _until(stream, lambda status: status.restarts == 1 and status.state is CameraState.STALLED)
        assert again[-1].fault == "no image for 0.8 s; next attempt to open it in 1 s"
        assert {frame.fault for frame in again[:-1]} <= {lost[-1].fault}
        camera.state["driver"] = "gives"
        camera.released.set()
        frames = _until(stream, lambda status: _running(status) and status.hanging == 0)
        assert frames[-1].image_rgb is not None
    assert stream.cameras[0].restarts >= 2


def test_reads_that_never_come_back_are_left_behind_but_only_so_many(
    camera: _Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcedge.camera.stream.reader._FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("pcedge.camera.stream.reader._LONGEST_PAUSE_S", 0.01)
    camera.state["driver"] = "hangs"
    with Stream(camera, stall_s=0.2) as stream:
        frames = _until(stream, lambda status: status.state is CameraState.FAILED)
        assert (stream.cameras[0].hanging, camera.state["openings"]) == (4, 4)
        assert "4 reads hang in the driver" in frames[-1].fault
        camera.state["driver"] = "gives"
        camera.released.set()
        frames = _until(stream, _running)
        assert frames[-1].image_rgb is not None
    assert [thread.name for thread in threading.enumerate() if "cam" in thread.name] == []


def test_a_camera_that_is_missing_at_the_start_holds_up_no_other_and_is_tried_again(camera: _Camera) -> None:
    camera.state["driver"] = "is missing"
    with Stream({"left": camera, "right": SyntheticCamera(fps=50, size=64)}, stall_s=1) as stream:
        frames = _until(stream, lambda status: status.restarts >= 1 and bool(status.reason))
        assert {frame.camera for frame in frames} == {"left", "right"}
        # The fault of an attempt may be handed over after the state that tells of it.
        faults = [frame.fault for frame in frames if frame.camera == "left"]
        assert faults[0] == "cam: cannot be opened.; next attempt to open it in 0.5 s"
        assert faults[1:2] in ([], ["cam: cannot be opened.; next attempt to open it in 1 s"])
        assert [status.state.value for status in stream.cameras] == ["RECONNECTING", "RUNNING"]
        camera.state["driver"] = "gives"
        frames = _until(stream, _running)
        assert frames[-1].image_rgb is not None


def test_if_no_camera_can_be_opened_that_is_an_error() -> None:
    cameras = {name: _Camera(name, "is missing") for name in "ab"}

    with pytest.raises(CameraError, match="a: cannot be opened"), Stream(cameras):
        pytest.fail("opened")


def test_pictures_that_nobody_looks_at_are_not_decoded_and_the_newest_is_judged(camera: _Camera) -> None:
    with Stream(camera, stall_s=0) as stream:
        frames = iter(stream)
        for _ in range(15):
            before = camera.given
            assert next(frames).index >= before - 2, "one may be given and another handed over at this moment"
            _wait(lambda before=before: camera.given >= before + 10)  # type: ignore[misc]
        status = stream.cameras[0]

    assert status.processed == 15
    assert status.received - status.dropped - 15 in {0, 1}
    assert camera.decoded < 0.8 * status.received
    assert status.camera_fps > 3 * status.processed_fps
    assert status.dropped_fps == pytest.approx(status.camera_fps - status.processed_fps, rel=0.1)


def test_a_picture_that_waited_too_long_is_not_judged() -> None:
    with Stream(SyntheticCamera(fps=50, frames=1, size=64), stall_s=0.2) as stream:
        _wait(lambda: stream.received)
        time.sleep(0.3)
        (late,) = list(stream)

    assert late.image_rgb is None
    assert late.fault.startswith("stale: captured 0.")


def test_cameras_in_step_are_judged_together_and_none_twice_in_a_batch() -> None:
    cameras = {name: SyntheticCamera(fps=20, frames=8, size=64) for name in ("left", "right")}
    with Stream(cameras) as stream:
        batches = [[frame.camera for frame in batch] for batch in stream.batches(2) if batch]

    assert all(len(set(batch)) == len(batch) for batch in batches)
    assert sum(map(len, batches)) + stream.dropped == 16
    assert [status.state for status in stream.cameras] == [CameraState.ENDED] * 2


def test_one_camera_that_ends_leaves_the_others_going() -> None:
    cameras = {"short": SyntheticCamera(frames=2, size=64), "long": SyntheticCamera(frames=6, size=64)}
    with Stream(cameras) as stream:
        seen = [frame.camera for frame in stream]

    assert (seen.count("short"), seen.count("long")) == (2, 6)


class Exposed:
    """A live camera that gives an image at moments it shares with others."""

    live = True

    def __init__(self, name: str, first_s: float) -> None:
        self.name = name
        self._first_s, self._next = first_s, 0

    def __enter__(self) -> "Exposed":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, timeout_s: float) -> Frame | NoFrame:
        if self._next == 15:
            return NoFrame.END
        ahead_s = self._first_s + 0.1 * self._next - time.monotonic()
        time.sleep(max(0.0, min(ahead_s, timeout_s)))
        if ahead_s > timeout_s:
            return NoFrame.YET
        self._next += 1
        return Frame(self.name, self._next, "", time.time(), np.zeros((8, 8, 3), np.uint8))


def test_of_cameras_exposed_together_most_frames_are_judged_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Threads of a busy machine wake up later than cameras deliver.
    monkeypatch.setattr("pcedge.camera.stream.stream._TOGETHER_S", 0.05)
    first_s = time.monotonic() + 0.5
    cameras = {name: Exposed(name, first_s) for name in ("left", "right")}
    with Stream(cameras) as stream:
        sizes = [len(batch) for batch in stream.batches(2) if batch]

    assert sum(sizes) + stream.dropped == 30
    assert sizes.count(2) >= 5, sizes
