import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pcedge.camera import Delivery, Event, Message, Outbox, Posted, Receipt, Verdict, record_key
from pcedge.errors import OutputError

EVENT = Event(
    "2026-11-22T10:15:30+00:00", "cam0", 0, "x", Verdict.NG, 3.5, 2.0, 12.3, id="part", camera="left"
)


class FarSide:
    """Takes messages while it is there."""

    def __init__(self, *, there: bool = True, refuses: str = "") -> None:
        self.there = there
        self.refuses = refuses
        self.got: list[Message] = []
        self.attempts = 0
        self.hurry: Callable[[], None] = lambda: None

    def open(self, hurry: Callable[[], None]) -> None:
        self.hurry = hurry

    def send(self, messages: Sequence[Message]) -> Iterator[Receipt]:
        self.attempts += 1
        for message in messages:
            if not self.there:
                raise OutputError("Nobody answers.")
            self.got.append(message)
            yield Receipt(message.number, self.refuses)

    def close(self) -> None:
        pass


def _outbox(folder: Path, max_messages: int = 1000) -> Outbox:
    return Outbox(folder / "outbox.sqlite", max_messages=max_messages)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def _numbered(count: int, first: int = 0) -> list[Event]:
    return [replace(EVENT, id=f"part-{number}") for number in range(first, first + count)]


def test_events_arrive_in_order_with_their_keys_and_leave_the_outbox(tmp_path: Path) -> None:
    far, events = FarSide(), _numbered(250)
    with Posted(far, _outbox(tmp_path)) as sink:
        for event in events:
            sink.write(event)
        _until(lambda: sink.backlog().waiting == 0)

    assert [(m.key, m.topic, m.body) for m in far.got] == [
        (record_key(e), "left", e.to_json()) for e in events
    ]


def test_events_wait_on_disk_over_a_restart_while_nobody_answers(tmp_path: Path) -> None:
    events = _numbered(5)
    away = FarSide(there=False)
    for event in events:
        with Posted(away, _outbox(tmp_path)) as sink:
            sink.write(event)
            _until(lambda: sink.backlog().failures > 0)
            assert (sink.backlog().last_fault, sink.backlog().faulty) == ("Nobody answers.", True)

    far = FarSide()
    with Posted(far, _outbox(tmp_path)) as sink:
        _until(lambda: sink.backlog().waiting == 0)
    assert [message.body for message in far.got] == [event.to_json() for event in events]


def test_attempts_are_paced_and_the_far_side_s_return_ends_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcedge.camera.sinks.remote.sender._FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr("pcedge.camera.sinks.remote.sender._LONGEST_PAUSE_S", 600.0)
    far = FarSide(there=False)
    with Posted(far, _outbox(tmp_path)) as sink:
        for event in _numbered(30):
            sink.write(event)
            time.sleep(0.01)
        assert far.attempts <= 2
        far.there = True
        far.hurry()
        _until(lambda: sink.backlog().waiting == 0)
        assert not sink.backlog().faulty
    assert len(far.got) == 30


def test_an_event_written_twice_is_sent_once(tmp_path: Path) -> None:
    far = FarSide(there=False)
    with Posted(far, _outbox(tmp_path)) as sink:
        sink.write(EVENT)
        sink.write(EVENT)
        assert sink.backlog().waiting == 1


def test_what_is_refused_for_good_is_not_sent_again_but_counted(tmp_path: Path) -> None:
    far = FarSide(refuses="400 Bad Request")
    with Delivery({"far": Posted(far, _outbox(tmp_path))}) as delivery:
        sink = _numbered(3)
        for event in sink:
            delivery.put(event, None, None)  # type: ignore[arg-type]
        _until(lambda: delivery.faults()[0].lost == 3)

    (report,) = delivery.faults()
    assert (report.waiting, report.last_fault) == (0, "400 Bad Request")


def test_a_full_outbox_makes_events_wait_in_memory(tmp_path: Path) -> None:
    far = FarSide(there=False)
    with Delivery({"far": Posted(far, _outbox(tmp_path, max_messages=2))}) as delivery:
        for event in _numbered(5):
            delivery.put(event, None, None)  # type: ignore[arg-type]
        _until(lambda: "wait already" in delivery.faults()[0].last_fault)
        assert delivery.faults()[0].waiting == 5
        far.there = True
        far.hurry()
        _until(lambda: delivery.faults()[0].waiting == 0)
    assert len(far.got) == 5
    assert delivery.faults()[0].lost == 0


def test_only_the_verdicts_asked_for_are_sent(tmp_path: Path) -> None:
    far = FarSide()
    with Posted(far, _outbox(tmp_path), verdicts=[Verdict.NG]) as sink:
        for number, verdict in enumerate(Verdict):
            sink.write(replace(EVENT, id=f"{number}", verdict=verdict))

    assert [message.key for message in far.got] == [record_key(replace(EVENT, id="2"))]


def test_an_outbox_keeps_its_order_and_its_limit(tmp_path: Path) -> None:
    outbox = _outbox(tmp_path, max_messages=3)
    outbox.open()
    for key in "abc":
        outbox.add(key, "t", key.upper())
    with pytest.raises(OutputError, match="3 messages wait already"):
        outbox.add("d", "t", "D")

    assert [message.body for message in outbox.first(2)] == ["A", "B"]
    outbox.remove([message.number for message in outbox.first(2)])
    outbox.close()
    outbox.open()
    assert ([message.body for message in outbox.first(9)], len(outbox)) == (["C"], 1)
    outbox.close()
    with pytest.raises(OutputError, match="is not open"):
        outbox.add("e", "t", "E")
