import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pcedge.camera import Frame, NoFrame, Stream, SyntheticCamera, frame_name
from pcedge.errors import CameraError


class _Scripted:
    """A source that does what the test says at each read, and counts openings and closings."""

    name = "scripted"

    def __init__(self, script: Iterator[Callable[[], Frame | NoFrame]], live: bool) -> None:
        self.live = live
        self.opened = self.closed = 0
        self._script = script

    def __enter__(self) -> "_Scripted":
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1

    def read(self, timeout_s: float) -> Frame | NoFrame:
        return next(self._script)()


def _frame(index: int) -> Frame:
    return Frame("scripted", index, frame_name(index), 0.0, np.zeros((2, 2, 3), np.uint8))


def _counting(last: int | None = None, pause_s: float = 0) -> Iterator[Callable[[], Frame | NoFrame]]:
    """Frames 0, 1, 2 ... and then the end."""

    def give(index: int) -> Frame:
        time.sleep(pause_s)
        return _frame(index)

    for index in itertools.count() if last is None else range(last):
        yield lambda index=index: give(index)  # type: ignore[misc]
    while True:
        yield lambda: NoFrame.END


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_file_is_read_in_order_and_nothing_is_dropped() -> None:
    source = _Scripted(_counting(30), live=False)
    with Stream(source) as stream:
        indices = []
        for frame in stream:
            time.sleep(0.002)
            indices.append(frame.index)

    assert indices == list(range(30))
    assert (stream.received, stream.dropped) == (30, 0)
    assert (source.opened, source.closed) == (1, 1)


def test_a_slow_consumer_of_a_live_source_gets_the_newest_frame_and_drops_are_counted() -> None:
    given = [0]

    def give() -> Frame:
        time.sleep(0.005)
        given[0] += 1
        return _frame(given[0] - 1)

    with Stream(_Scripted(itertools.repeat(give), live=True)) as stream:
        taken, frames = [], iter(stream)
        for _ in range(8):
            before = given[0]
            taken.append(next(frames).index)
            assert taken[-1] >= before - 2, "one may be given and another handed over at this moment"
            _until(lambda before=before: given[0] >= before + 8)  # type: ignore[misc]

    assert taken == sorted(set(taken))
    assert stream.dropped > 8
    assert stream.received - stream.dropped - len(taken) in {0, 1}


def test_the_last_frame_of_a_live_source_that_ends_is_delivered() -> None:
    source = _Scripted(_counting(5), live=True)
    with Stream(source) as stream:
        _until(lambda: source.closed)
        assert [frame.index for frame in stream] == [4]

    assert (stream.received, stream.dropped) == (5, 4)


def test_a_time_out_is_not_an_end() -> None:
    for live in (False, True):
        steps: list[Callable[[], Frame | NoFrame]] = [
            lambda: NoFrame.YET,
            lambda: _frame(0),
            lambda: NoFrame.YET,
            lambda: NoFrame.END,
        ]
        with Stream(_Scripted(iter(steps), live)) as stream:
            assert [frame.index for frame in stream] == [0]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("error", [CameraError("unplugged"), ZeroDivisionError("a bug")])
def test_an_error_in_the_source_is_raised_where_frames_are_taken(live: bool, error: Exception) -> None:
    def fail() -> Frame:
        raise error

    source = _Scripted(iter([lambda: _frame(0), fail]), live)
    with Stream(source) as stream, pytest.raises(type(error), match=str(error)):
        list(stream)
    assert source.closed == 1


def test_a_source_that_cannot_be_opened_fails_at_once() -> None:
    class Missing(_Scripted):
        name = "missing"

        def __enter__(self) -> "Missing":
            raise CameraError("not there")

    with pytest.raises(CameraError, match="not there"), Stream(Missing(_counting(), live=True)):
        pytest.fail("opened")
    _until(lambda: not any(thread.name == "read missing" for thread in threading.enumerate()))


def test_a_source_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    reading: list[threading.Thread] = []

    def hang() -> NoFrame:
        reading.append(threading.current_thread())
        release.wait(60)
        return NoFrame.END

    source = _Scripted(iter([lambda: _frame(0), hang]), live=True)
    with Stream(source) as stream:
        assert next(iter(stream)).index == 0
        _until(lambda: reading)
        began = time.monotonic()
    assert time.monotonic() - began < 30
    assert source.closed == 0

    release.set()
    assert reading[0].daemon
    reading[0].join(30)
    assert source.closed == 1


def test_a_consumer_that_raises_ends_the_reader() -> None:
    source = _Scripted(_counting(pause_s=0.005), live=True)

    def consume() -> None:
        with Stream(source) as stream:
            for frame in stream:
                raise ZeroDivisionError(frame.name)

    with pytest.raises(ZeroDivisionError):
        consume()
    assert source.closed == 1


@pytest.mark.parametrize("live", [True, False])
def test_stop_from_a_signal_handler_ends_the_iteration(live: bool) -> None:
    def wait() -> NoFrame:
        time.sleep(0.05)
        return NoFrame.YET

    with Stream(_Scripted(itertools.repeat(wait), live)) as stream:
        before = signal.signal(signal.SIGALRM, lambda *_: stream.stop())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            began = time.monotonic()
            assert list(stream) == []
        finally:
            signal.signal(signal.SIGALRM, before)
    assert 0.25 < time.monotonic() - began < 30


def test_the_time_is_over_also_when_no_frame_comes() -> None:
    def wait() -> NoFrame:
        time.sleep(0.02)
        return NoFrame.YET

    with Stream(_Scripted(itertools.repeat(wait), live=True)) as stream:
        stream.stop_after(0.3)
        began = time.monotonic()
        assert list(stream) == []
    assert 0.25 < time.monotonic() - began < 30


def test_the_synthetic_camera_streams_live_and_as_a_file() -> None:
    with Stream(SyntheticCamera(frames=4, seed=1, size=64)) as stream:
        assert [frame.index for frame in stream] == [0, 1, 2, 3]
    with Stream(SyntheticCamera(fps=20, frames=4, seed=1, size=64)) as stream:
        assert [frame.index for frame in stream][-1] == 3
        assert stream.live
