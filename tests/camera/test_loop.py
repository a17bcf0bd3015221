import json
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcedge.camera import (
    Event,
    FolderSource,
    Frame,
    FrameGate,
    Inspection,
    JsonLines,
    NoFrame,
    Pictures,
    Stream,
    SyntheticCamera,
    Tally,
    Verdict,
    frame_name,
    inspect_stream,
)
from pcedge.errors import CameraError, OutputError, PcedgeError


class _Frames:
    """A source of the given frames; an exception among them is raised in its turn."""

    name = "frames"
    live = False

    def __init__(self, frames: Iterable[Frame | Exception]) -> None:
        self._frames = iter(frames)

    def __enter__(self) -> "_Frames":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def read(self, timeout_s: float) -> Frame | NoFrame:
        got = next(self._frames, NoFrame.END)
        if isinstance(got, Exception):
            raise got
        return got


class _Memory:
    """A sink that keeps events and can fail."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.events: list[Event] = []
        self.closed = False
        self._fail_at = fail_at

    def __enter__(self) -> "_Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def write(self, event: Event) -> None:
        if event.frame == self._fail_at:
            raise OutputError("the disk is full")
        self.events.append(event)


def _frame(index: int, fault: str = "") -> Frame:
    noise = np.random.default_rng(index).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    return Frame("frames", index, frame_name(index), 1e9, None if fault else noise, fault)


def _by_index(frame: Frame) -> Inspection:
    """Frame 1 is NG, 2 is REVIEW, all others are OK."""
    verdict = {1: Verdict.NG, 2: Verdict.REVIEW}.get(frame.index, Verdict.OK)
    return Inspection(verdict, float(frame.index), 0.5)


def test_every_frame_gets_a_verdict_that_reaches_every_sink(tmp_path: Path) -> None:
    memory, seen = _Memory(), []
    with Stream(_Frames(map(_frame, range(5)))) as stream:
        summary = inspect_stream(
            stream,
            _by_index,
            sinks=[memory, JsonLines(tmp_path / "events.jsonl")],
            on_event=lambda event, frame, inspection: seen.append((event.frame, frame.index)),
        )

    assert [event.verdict.value for event in memory.events] == ["OK", "NG", "REVIEW", "OK", "OK"]
    assert [event.score for event in memory.events] == [0, 1, 2, 3, 4]
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert lines == [event.to_json() for event in memory.events]
    assert seen == [(index, index) for index in range(5)]
    assert memory.closed
    assert summary.frames == 5
    assert summary.verdicts == {
        Verdict.OK: 3,
        Verdict.REVIEW: 1,
        Verdict.NG: 1,
        Verdict.INVALID: 0,
    }
    assert (summary.dropped, summary.sink_faults, summary.last_sink_fault) == (0, 0, "")
    assert summary.fps == pytest.approx(5 / summary.seconds)


def test_what_cannot_be_judged_is_invalid_with_its_reason_and_never_stops_the_line() -> None:
    def judge(frame: Frame) -> Inspection:
        assert frame.image_rgb is not None
        if frame.index == 2:
            raise PcedgeError("the picture is 7 px wide", "use another")
        if frame.index in {3, 4}:
            return Inspection(Verdict.OK, {3: float("nan"), 4: None}[frame.index], 0.5)
        return Inspection(Verdict.OK, 0.1, 0.5)

    black = Frame("frames", 1, "black", 1e9, np.zeros((40, 40, 3), np.uint8))
    frames = [_frame(0, "camera lost"), black, _frame(2), _frame(3), _frame(4), _frame(5)]
    memory = _Memory()
    with Stream(_Frames(frames)) as stream:
        summary = inspect_stream(stream, judge, sinks=[memory], gate=FrameGate())

    assert [(event.verdict.value, event.reason) for event in memory.events] == [
        ("INVALID", "camera lost"),
        ("INVALID", "black: mean 0.0 of 255"),
        ("INVALID", "the picture is 7 px wide"),
        ("INVALID", "the score is not a number: nan"),
        ("INVALID", "the score is not a number: None"),
        ("OK", ""),
    ]
    assert summary.verdicts[Verdict.INVALID] == 5


def test_a_bug_in_the_inspection_is_raised_after_the_sinks_are_closed() -> None:
    def bug(frame: Frame) -> Inspection:
        raise ZeroDivisionError

    memory = _Memory()
    with Stream(_Frames([_frame(0)])) as stream, pytest.raises(ZeroDivisionError):
        inspect_stream(stream, bug, sinks=[memory])

    assert memory.closed


def test_a_source_that_fails_for_good_is_raised_after_the_sinks_are_closed() -> None:
    memory = _Memory()
    with (
        Stream(_Frames([_frame(0), CameraError("unplugged")])) as stream,
        pytest.raises(CameraError, match="unplugged"),
    ):
        inspect_stream(stream, _by_index, sinks=[memory])

    assert len(memory.events) == 1
    assert memory.closed


def test_a_failing_sink_or_picture_is_counted_and_inspection_goes_on(
    tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    failing, sound = _Memory(fail_at=2), _Memory()
    with no_room(), Stream(_Frames(map(_frame, range(4)))) as stream:
        summary = inspect_stream(stream, _by_index, sinks=[failing, sound], pictures=Pictures(tmp_path))

    assert [event.frame for event in failing.events] == [0, 1, 3]
    assert [event.frame for event in sound.events] == [0, 1, 2, 3]
    assert [event.verdict.value for event in sound.events] == ["OK", "NG", "REVIEW", "OK"]
    assert all(event.files == {} for event in sound.events)
    # The pictures of frames 1 and 2, and the event of frame 2.
    assert summary.sink_faults == 3
    assert summary.last_sink_fault == "the disk is full"


def test_a_sink_that_cannot_be_opened_fails_before_the_first_frame(tmp_path: Path) -> None:
    judged: list[Frame] = []
    memory = _Memory()
    with Stream(_Frames([_frame(0)])) as stream, pytest.raises(OutputError):
        inspect_stream(stream, judged.append, sinks=[memory, JsonLines(tmp_path)])  # type: ignore[arg-type]

    assert judged == []
    assert memory.closed


def test_events_name_the_pictures_that_were_kept(tmp_path: Path) -> None:
    memory = _Memory()
    with Stream(_Frames(map(_frame, range(3)))) as stream:
        inspect_stream(stream, _by_index, sinks=[memory], pictures=Pictures(tmp_path))

    assert [len(event.files) for event in memory.events] == [0, 1, 1]
    kept = {name for event in memory.events for name in event.files.values()}
    assert kept == {path.name for path in tmp_path.iterdir()}


def test_latency_is_the_time_to_the_verdict_without_pictures_and_sinks() -> None:
    class SlowSink(_Memory):
        def write(self, event: Event) -> None:
            time.sleep(0.1)
            super().write(event)

    def slow(frame: Frame) -> Inspection:
        time.sleep(0.03)
        return Inspection(Verdict.OK, 0.1, 0.5)

    sink = SlowSink()
    with Stream(_Frames(map(_frame, range(3)))) as stream:
        summary = inspect_stream(stream, slow, sinks=[sink])

    assert all(30 <= event.latency_ms < 90 for event in sink.events)
    assert summary.latency_p50_ms is not None
    assert summary.latency_p99_ms is not None
    assert 30 <= summary.latency_p50_ms <= summary.latency_p99_ms < 90


@pytest.mark.parametrize(("limit", "frames"), [(0, 0), (3, 3), (None, 5)])
def test_it_ends_after_the_frames_allowed(limit: int | None, frames: int) -> None:
    with Stream(_Frames(map(_frame, range(5)))) as stream:
        assert inspect_stream(stream, _by_index, max_frames=limit).frames == frames
        assert stream.received == frames


def test_it_ends_after_the_time_allowed_also_without_frames(tmp_path: Path) -> None:
    with Stream(FolderSource(tmp_path)) as stream:
        summary = inspect_stream(stream, _by_index, max_seconds=0.4)

    assert summary.frames == 0
    assert 0.3 < summary.seconds < 1.5
    assert summary.latency_p50_ms is None


def test_the_running_numbers_can_be_read_meanwhile() -> None:
    tally = Tally()
    counts = []
    with Stream(_Frames(map(_frame, range(3)))) as stream:
        inspect_stream(
            stream,
            _by_index,
            tally=tally,
            on_event=lambda *_: counts.append(tally.summary().frames),
        )

    assert counts == [1, 2, 3]


def test_latencies_are_those_of_the_last_ten_thousand_frames() -> None:
    tally = Tally()
    for _ in range(10_000):
        tally.add(Verdict.OK, 1000.0)
    for number in range(10_000):
        tally.add(Verdict.OK, float(number % 100))

    summary = tally.summary()

    assert summary.latency_p50_ms == pytest.approx(49.5, abs=1)
    assert summary.latency_p99_ms == pytest.approx(98.5, abs=1)
    assert summary.frames == 20_000


def test_a_slow_inspection_of_a_live_camera_counts_what_it_missed() -> None:
    def slow(frame: Frame) -> Inspection:
        time.sleep(0.1)
        return Inspection(Verdict.OK, 0.1, 0.5)

    with Stream(SyntheticCamera(fps=100, frames=40, seed=1, size=64)) as stream:
        summary = inspect_stream(stream, slow)

    assert summary.dropped > 10
    assert summary.frames + summary.dropped == stream.received


def test_a_watched_folder_from_files_to_events(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for name in ("1.png", "2.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)).save(
            incoming / name
        )
    (incoming / "3.png").write_bytes(b"damaged")
    out = tmp_path / "out"
    with Stream(FolderSource(incoming, follow=False, settle_s=0.4)) as stream:
        inspect_stream(
            stream,
            _by_index,
            sinks=[JsonLines(out / "events.jsonl")],
            pictures=Pictures(out / "pictures"),
        )

    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [(event["name"], event["verdict"]) for event in events] == [
        ("1.png", "OK"),
        ("2.png", "NG"),
        ("3.png", "INVALID"),
    ]
    assert (out / "pictures" / events[1]["files"]["picture"]).exists()
