import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pcedge.camera import (
    DriftMonitor,
    Event,
    FolderSource,
    Frame,
    FrameGate,
    Inspection,
    NoFrame,
    Region,
    Station,
    Stream,
    SyntheticCamera,
    Tally,
    Verdict,
    frame_name,
    inspect_stream,
    one_by_one,
)
from pcedge.errors import CameraError, PcedgeError


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
    """An outlet that keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.frames: list[Frame] = []

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        return {} if inspection.verdict.passes else {"picture": f"{frame.name}.png"}

    def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        self.events.append(event)
        self.frames.append(frame)


def _frame(index: int, fault: str = "") -> Frame:
    noise = np.random.default_rng(index).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    return Frame("frames", index, frame_name(index), 1e9, None if fault else noise, fault)


def _by_index(frame: Frame) -> Inspection:
    """Frame 1 is NG, 2 is REVIEW, all others are OK."""
    verdict = {1: Verdict.NG, 2: Verdict.REVIEW}.get(frame.index, Verdict.OK)
    return Inspection(verdict, float(frame.index), 0.5)


def test_every_frame_gets_a_verdict_that_reaches_the_outlet_and_the_view() -> None:
    memory, seen = _Memory(), []
    with Stream(_Frames(map(_frame, range(5)))) as stream:
        summary = inspect_stream(
            stream,
            one_by_one(_by_index),
            outlet=memory,
            on_event=lambda event, frame, inspection: seen.append((event.frame, frame.index)),
        )

    assert [event.verdict.value for event in memory.events] == ["OK", "NG", "REVIEW", "OK", "OK"]
    assert [event.score for event in memory.events] == [0, 1, 2, 3, 4]
    assert [event.files for event in memory.events[:2]] == [{}, {"picture": "frame-000001.png"}]
    assert seen == [(index, index) for index in range(5)]
    assert summary.frames == 5
    assert summary.verdicts == {
        Verdict.OK: 3,
        Verdict.REVIEW: 1,
        Verdict.NG: 1,
        Verdict.INVALID: 0,
    }
    assert summary.by_camera == {"frames": summary.verdicts}
    assert (summary.dropped, summary.faults, summary.last_fault) == (0, 0, "")
    assert summary.fps == pytest.approx(5 / summary.seconds)


def test_what_cannot_be_judged_is_invalid_with_its_reason_and_never_stops_the_line() -> None:
    def judge(frame: Frame) -> Inspection:
        assert frame.image_rgb is not None
        if frame.index == 2:
            raise PcedgeError("the image is 7 px wide", "use another")
        if frame.index in {3, 4}:
            return Inspection(Verdict.OK, {3: float("nan"), 4: None}[frame.index], 0.5)
        if frame.index == 5:
            raise ZeroDivisionError("a bug")
        return Inspection(Verdict.OK, 0.1, 0.5)

    black = Frame("frames", 1, "black", 1e9, np.zeros((40, 40, 3), np.uint8))
    frames = [_frame(0, "camera lost"), black, _frame(2), _frame(3), _frame(4), _frame(5), _frame(6)]
    memory = _Memory()
    with Stream(_Frames(frames)) as stream:
        summary = inspect_stream(
            stream,
            lambda frames: [judge(frame) for frame in frames],
            outlet=memory,
            stations={"frames": Station(gate=FrameGate())},
        )

    assert [(event.verdict.value, event.reason) for event in memory.events] == [
        ("INVALID", "camera lost"),
        ("INVALID", "black: mean 0.0 of 255"),
        ("INVALID", "the image is 7 px wide"),
        ("INVALID", "the score is not a number: nan"),
        ("INVALID", "the score is not a number: None"),
        ("INVALID", "the inspection failed: ZeroDivisionError: a bug"),
        ("OK", ""),
    ]
    assert [event.decision for event in memory.events] == [event.verdict for event in memory.events]
    assert summary.verdicts[Verdict.INVALID] == 6


def test_of_several_frames_judged_together_only_the_culprit_is_invalid(
    until: Callable[[Callable[[], object]], None],
) -> None:
    def judge(frames: Sequence[Frame]) -> list[Inspection]:
        batches.append([frame.camera for frame in frames])
        if any(frame.camera == "b" for frame in frames):
            raise PcedgeError("b is broken")
        return [Inspection(Verdict.OK, 0.1, 0.5) for _ in frames]

    batches: list[list[str]] = []
    memory = _Memory()
    with Stream({name: SyntheticCamera(frames=1, size=64) for name in "abc"}) as stream:
        until(lambda: all(camera.received for camera in stream.cameras))
        inspect_stream(stream, judge, outlet=memory, batch=3)

    assert sorted(batches[0]) == ["a", "b", "c"]
    assert {event.camera: (event.verdict.value, event.reason) for event in memory.events} == {
        "a": ("OK", ""),
        "b": ("INVALID", "b is broken"),
        "c": ("OK", ""),
    }


def test_a_function_that_forgets_a_frame_passes_none() -> None:
    memory = _Memory()
    with Stream(_Frames(map(_frame, range(2)))) as stream:
        inspect_stream(stream, lambda frames: [], outlet=memory)

    assert [event.reason for event in memory.events] == ["1 frames gave 0 inspections"] * 2


def test_a_source_that_fails_for_good_is_raised_after_its_frames_were_judged() -> None:
    memory = _Memory()
    with (
        Stream(_Frames([_frame(0), CameraError("unplugged")])) as stream,
        pytest.raises(CameraError, match="unplugged"),
    ):
        inspect_stream(stream, one_by_one(_by_index), outlet=memory)

    assert len(memory.events) == 1


def test_a_view_that_raises_is_counted_and_inspection_goes_on() -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no terminal")

    memory = _Memory()
    with Stream(_Frames(map(_frame, range(4)))) as stream:
        summary = inspect_stream(stream, one_by_one(_by_index), outlet=memory, on_event=broken)

    assert len(memory.events) == 4
    assert summary.faults == 4
    assert summary.last_fault == "the live view failed: ZeroDivisionError: no terminal"


def test_a_region_of_interest_is_judged_alone_and_found_in_the_whole_picture() -> None:
    def judge(frame: Frame) -> Inspection:
        assert frame.image_rgb is not None
        shapes.append(frame.image_rgb.shape)
        region = Region((1, 2, 3, 4), 12.0, 9.0, (2, 3), ((1, 2), (4, 6)))
        return Inspection(Verdict.NG, 9.0, 0.5, "", None, np.eye(2, 3), 0.5, regions=(region,))

    shapes: list[tuple[int, ...]] = []
    memory = _Memory()
    stations = {"frames": Station(product="lid", region_xywh=(10, 20, 16, 18))}
    small = Frame("frames", 1, "small", 1e9, np.zeros((30, 30, 3), np.uint8))
    with Stream(_Frames([_frame(0), small])) as stream:
        inspect_stream(stream, one_by_one(judge), outlet=memory, stations=stations)

    event, outside = memory.events
    assert shapes == [(18, 16, 3)]
    assert event.product == "lid"
    assert memory.frames[0].image_rgb is not None
    assert memory.frames[0].image_rgb.shape == (40, 40, 3)
    (region,) = event.regions
    assert region.box_xywh == (11, 22, 3, 4)
    assert (region.peak_xy, region.contour_xy) == ((12, 23), ((11, 22), (14, 26)))
    assert outside.verdict is Verdict.INVALID
    assert outside.reason == "the region of interest [10, 20, 16, 18] is outside the image, 30 x 30"


def test_the_latency_of_a_file_is_from_its_hand_over_and_of_a_camera_from_capture() -> None:
    def slow(frame: Frame) -> Inspection:
        time.sleep(0.03)
        return Inspection(Verdict.OK, 0.1, 0.5)

    files, camera = _Memory(), _Memory()
    with Stream(_Frames(map(_frame, range(3)))) as stream:
        time.sleep(1)
        summary = inspect_stream(stream, one_by_one(slow), outlet=files)
    with Stream(SyntheticCamera(fps=50, frames=1, size=64)) as stream:
        time.sleep(1)
        inspect_stream(stream, one_by_one(slow), outlet=camera)

    assert all(30 <= event.latency_ms < 900 for event in files.events)
    assert summary.latency_p50_ms is not None
    assert summary.latency_p99_ms is not None
    assert 30 <= summary.latency_p50_ms <= summary.latency_p99_ms < 900
    assert camera.events[0].latency_ms > 900


@pytest.mark.parametrize(("limit", "frames"), [(0, 0), (3, 3), (None, 5)])
def test_it_ends_after_the_frames_allowed(limit: int | None, frames: int) -> None:
    with Stream(_Frames(map(_frame, range(5)))) as stream:
        assert inspect_stream(stream, one_by_one(_by_index), max_frames=limit).frames == frames
        assert stream.received == frames


def test_it_ends_after_the_time_allowed_also_without_frames(tmp_path: Path) -> None:
    with Stream(FolderSource(tmp_path)) as stream:
        summary = inspect_stream(stream, one_by_one(_by_index), max_seconds=0.4)

    assert summary.frames == 0
    assert 0.3 < summary.seconds < 30
    assert summary.latency_p50_ms is None


def test_the_running_numbers_can_be_read_meanwhile() -> None:
    tally = Tally()
    counts = []
    with Stream(_Frames(map(_frame, range(3)))) as stream:
        inspect_stream(
            stream,
            one_by_one(_by_index),
            tally=tally,
            on_event=lambda *_: counts.append(tally.summary().frames),
        )

    assert counts == [1, 2, 3]


def test_latencies_are_those_of_the_last_ten_thousand_frames() -> None:
    tally = Tally()
    for _ in range(10_000):
        tally.add("", Verdict.OK, 1000.0)
    for number in range(10_000):
        tally.add("", Verdict.OK, float(number % 100))

    summary = tally.summary()

    assert summary.latency_p50_ms == pytest.approx(49.5, abs=1)
    assert summary.latency_p99_ms == pytest.approx(98.5, abs=1)
    assert summary.frames == 20_000


def test_a_slow_inspection_of_a_live_camera_counts_what_it_missed() -> None:
    def slow(frame: Frame) -> Inspection:
        time.sleep(0.1)
        return Inspection(Verdict.OK, 0.1, 0.5)

    with Stream(SyntheticCamera(fps=100, frames=40, seed=1, size=64)) as stream:
        summary = inspect_stream(stream, one_by_one(slow))

    assert summary.dropped > 10
    assert summary.frames + summary.dropped == stream.received


def test_what_moves_is_told_once_and_stands_in_later_events() -> None:
    """Scores of a part that changed after 250 frames; the verdicts stay what they are."""
    told: list[tuple[str, dict[str, str]]] = []
    memory, tally = _Memory(), Tally()
    random = np.random.default_rng(0)

    def inspect(frame: Frame) -> Inspection:
        score = 0.5 if frame.index < 250 else 1.0
        return Inspection(Verdict.OK, score * float(np.exp(0.05 * random.standard_normal())), 2.0)

    frames = _Frames([_frame(index) for index in range(400)])
    with Stream(frames) as stream:
        summary = inspect_stream(
            stream,
            one_by_one(inspect),
            stations={"frames": Station(drift=DriftMonitor())},
            outlet=memory,
            on_drift=lambda camera, moved: told.append((camera, dict(moved))),
            tally=tally,
        )

    moved = [event.frame for event in memory.events if event.drift]
    assert moved == list(range(moved[0], 400))
    assert 260 < moved[0] < 390
    assert told[0][0] == "frames"
    assert told[0][1].keys() <= {"score", "score_high"}
    assert "higher than in the first frames of this run" in told[0][1]["score"]
    assert summary.drift["frames"].keys() == memory.events[-1].drift.keys()
    assert json.loads(memory.events[-1].to_json())["drift"] == memory.events[-1].drift
    assert {event.verdict for event in memory.events} == {Verdict.OK}


def test_news_of_drift_that_cannot_be_told_stop_nothing() -> None:
    def tell(*_: object) -> None:
        raise OSError("nobody listens")

    frames = _Frames([_frame(index) for index in range(60)])
    ng = Inspection(Verdict.NG, 3.0, 2.0)
    with Stream(frames) as stream:
        summary = inspect_stream(
            stream,
            one_by_one(lambda _: ng),
            stations={"frames": Station(drift=DriftMonitor())},
            on_drift=tell,
        )

    assert summary.frames == 60
    assert summary.drift["frames"].keys() == {"rejects"}
    assert "the drift callback failed" in summary.last_fault
