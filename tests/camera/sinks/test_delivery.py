import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pcedge.camera import (
    AnySink,
    Delivery,
    Event,
    Frame,
    ImageSink,
    Inspection,
    JsonLines,
    SinkStatus,
    Verdict,
)
from pcedge.errors import OutputError

FRAME = Frame("cam0", 0, "frame-000000", 1.0, np.zeros((8, 8, 3), np.uint8))
NG = Inspection(Verdict.NG, 3.0, 2.0)
EVENT = Event.of(FRAME, NG, 1.0, {})


class Remembering:
    """Remembers what it was told, after doing what it is told to do then."""

    def __init__(self, act: Callable[[Event], object] = lambda event: None) -> None:
        self.frames: list[int] = []
        self.closed = False
        self._act = act

    def __exit__(self, *_: object) -> None:
        self.closed = True


class Told(Remembering):
    """A sink of verdicts."""

    def __enter__(self) -> "Told":
        return self

    def write(self, event: Event) -> None:
        self._act(event)
        self.frames.append(event.frame)


class Shown(Remembering):
    """A sink of every second frame."""

    def __enter__(self) -> "Shown":
        return self

    def wants(self, event: Event) -> bool:
        return event.frame % 2 == 0

    def write_frame(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        self._act(event)
        assert frame is FRAME
        assert inspection is NG
        self.frames.append(event.frame)


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """Something to hang on, let go at the end."""
    event = threading.Event()
    yield event
    event.set()


def _put(delivery: Delivery, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        delivery.put(replace(EVENT, frame=number), FRAME, NG)


def _report(delivery: Delivery, name: str) -> SinkStatus:
    return next(one for one in delivery.faults() if one.name == name)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_every_sink_gets_every_event_in_order_and_is_closed() -> None:
    first, second, third = Told(), Told(), Shown()
    with Delivery({"a": first, "b": second, "c": third}) as delivery:
        _put(delivery, 10)

    assert first.frames == second.frames == list(range(10))
    assert third.frames == [0, 2, 4, 6, 8]
    assert first.closed
    assert second.closed
    assert third.closed
    assert [(one.name, one.written, one.lost) for one in delivery.faults()] == [
        ("a", 10, 0),
        ("b", 10, 0),
        ("c", 5, 0),
    ]


def test_a_sink_that_hangs_delays_nobody_and_is_left_behind_at_the_end(hung: threading.Event) -> None:
    good, bad = Told(), Told(lambda event: hung.wait())
    with Delivery({"bad": bad, "good": good}, close_within_s=0.5) as delivery:
        _put(delivery, 1000)  # does not wait for the one that hangs, which would be for ever
        _until(lambda: len(good.frames) == 1000)

    report = _report(delivery, "bad")
    assert (report.abandoned, report.faulty, report.lost) == (True, True, 1000)
    assert not _report(delivery, "good").faulty
    assert not bad.closed


def test_a_sink_that_is_slow_but_goes_on_gets_what_waits_at_the_end() -> None:
    slow = Told(lambda event: time.sleep(0.2))
    with Delivery({"slow": slow}, patience_s=30.0) as delivery:
        _put(delivery, 8)

    assert slow.frames == list(range(8))
    assert slow.closed
    assert (_report(delivery, "slow").lost, _report(delivery, "slow").abandoned) == (0, False)


def test_a_slow_sink_does_not_hold_up_the_end_for_ever() -> None:
    slow = Told(lambda event: time.sleep(0.05))
    with Delivery({"slow": slow}, patience_s=1.0, close_within_s=0.3) as delivery:
        _put(delivery, 1000)
        leaving = time.perf_counter()

    assert time.perf_counter() - leaving < 1000 * 0.05
    report = _report(delivery, "slow")
    assert report.lost > 0
    assert report.written + report.lost == 1000
    assert report.last_fault in ("it was too slow to end in time", "it did not end in time")


def test_a_sink_that_hangs_is_reported_while_it_does(
    hung: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcedge.camera.sinks.sink_queue._HANGS_AFTER_S", 0.05)
    with Delivery({"bad": Told(lambda event: hung.wait())}, close_within_s=0.1) as delivery:
        _put(delivery, 1)
        _until(lambda: _report(delivery, "bad").faulty)
        assert "has not returned for" in _report(delivery, "bad").last_fault
        hung.set()
        _until(lambda: not _report(delivery, "bad").faulty)


def test_what_fails_is_tried_again_until_it_works_and_keeps_its_order() -> None:
    failures = iter([True, False, True])

    def act(event: Event) -> None:
        if next(failures, False):
            raise OutputError("The disk is full.")

    sink = Told(act)
    with Delivery({"file": sink}) as delivery:
        _put(delivery, 3)
        _until(lambda: _report(delivery, "file").faulty)
        assert _report(delivery, "file").last_fault == "The disk is full."
        assert delivery.flush(60)

    assert sink.frames == [0, 1, 2]
    report = _report(delivery, "file")
    assert (report.written, report.failures, report.lost, report.faulty) == (3, 2, 0, False)


def test_a_sink_that_must_not_get_anything_twice_does_not() -> None:
    class Once(Told):
        retries = False

    def act(event: Event) -> None:
        if event.frame == 1:
            raise OutputError("Gone.")

    sink = Once(act)
    with Delivery({"gate": sink}) as delivery:
        _put(delivery, 3)

    assert sink.frames == [0, 2]
    assert (_report(delivery, "gate").lost, _report(delivery, "gate").last_fault) == (1, "Gone.")


def test_a_mistake_in_a_sink_costs_one_event_and_is_counted() -> None:
    def act(event: Event) -> None:
        if event.frame == 1:
            raise ZeroDivisionError("a mistake")

    sink = Told(act)
    with Delivery({"mine": sink}) as delivery:
        _put(delivery, 3)

    assert sink.frames == [0, 2]
    report = _report(delivery, "mine")
    assert (report.lost, report.last_fault) == (1, "ZeroDivisionError: a mistake")


def test_pictures_that_cannot_be_taken_in_time_are_left_out_and_counted(hung: threading.Event) -> None:
    sink = Shown(lambda event: hung.wait())
    with Delivery({"pictures": sink}) as delivery:
        _put(delivery, 1)
        _until(lambda: _report(delivery, "pictures").waiting == 0)
        _put(delivery, 200)
        assert _report(delivery, "pictures").waiting == 16
        hung.set()

    report = _report(delivery, "pictures")
    assert (report.written, report.lost, len(sink.frames)) == (17, 84, 17)


def test_verdicts_for_which_there_is_no_room_are_counted(
    hung: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcedge.camera.sinks.delivery._VERDICTS_WAITING", 5)
    sink = Told(lambda event: hung.wait())
    with Delivery({"slow": sink}) as delivery:
        _put(delivery, 1)
        _until(lambda: _report(delivery, "slow").waiting == 0)
        _put(delivery, 7, first=1)
        hung.set()

    assert sink.frames == [0, 1, 2, 3, 4, 5]
    assert (_report(delivery, "slow").lost, _report(delivery, "slow").last_fault) == (2, "it is too slow")


def test_what_still_fails_at_the_end_is_lost_and_counted_within_the_time() -> None:
    def act(event: Event) -> None:
        raise OutputError("Full.")

    began = time.perf_counter()
    with Delivery({"file": Told(act)}, patience_s=60, close_within_s=60) as delivery:
        _put(delivery, 50)

    assert time.perf_counter() - began < 30, "what fails at the end is not tried again"
    assert (_report(delivery, "file").lost, _report(delivery, "file").waiting) == (50, 0)
    _put(delivery, 1)
    assert _report(delivery, "file").lost == 51


def test_sinks_opened_before_one_that_cannot_be_are_closed_again(tmp_path: Path) -> None:
    first = Told()
    with (
        pytest.raises(OutputError, match="cannot be written"),
        Delivery({"first": first, "second": JsonLines(tmp_path)}),
    ):
        pytest.fail("opened")

    assert first.closed


def test_pictures_are_written_under_the_names_that_their_events_gave_before(tmp_path: Path) -> None:
    sinks: dict[str, AnySink] = {
        "jsonl": JsonLines(tmp_path / "events.jsonl"),
        "pictures": ImageSink(tmp_path, folder="kept"),
    }
    with Delivery(sinks) as delivery:
        for inspection in (NG, NG, replace(NG, verdict=Verdict.OK)):
            event = Event.of(FRAME, inspection, 1.0, delivery.names(FRAME, inspection))
            delivery.put(event, FRAME, inspection)

    files = [json.loads(line)["files"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [sorted(each) for each in files] == [["picture"], ["picture"], []]
    assert {(tmp_path / each["picture"]).name for each in files[:2]} == {
        path.name for path in (tmp_path / "kept").iterdir()
    }


def test_no_thread_is_left_after_closing(left_over: Callable[[], list[str]]) -> None:
    for _ in range(20):
        with Delivery({"a": Told(), "b": Shown()}) as delivery:
            _put(delivery, 3)

    assert left_over() == []


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a thread has a priority of its own")
def test_pictures_give_way_to_the_inspection_and_verdicts_do_not() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found: dict[str, int] = {}
    told = Told(lambda _: found.update(verdicts=niceness()))
    shown = Shown(lambda _: found.update(pictures=niceness()))
    with Delivery({"told": told, "shown": shown}) as delivery:
        delivery.put(EVENT, FRAME, NG)

    assert found["verdicts"] == niceness()
    assert found["pictures"] > niceness()
