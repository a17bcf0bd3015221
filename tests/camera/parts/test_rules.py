import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

import numpy as np
import pytest

from pcedge.camera import (
    Debounced,
    Event,
    Frame,
    HttpTriggers,
    Inspection,
    MessageTrigger,
    PartRule,
    Phase,
    RegionTrigger,
    Station,
    Stream,
    SyntheticCamera,
    TimeTrigger,
    Triggered,
    Verdict,
    frame_name,
    inspect_stream,
    one_by_one,
    worst,
)
from pcedge.errors import OptionError, OutputError

OK, REVIEW, NG, INVALID = Verdict.OK, Verdict.REVIEW, Verdict.NG, Verdict.INVALID


def _frame(index: int, clock_s: float | None = None, value: int = 0) -> Frame:
    picture = np.full((60, 80, 3), 100, np.uint8)
    picture[20:40, 30:60] += np.uint8(value)
    clock_s = time.monotonic() if clock_s is None else clock_s
    return Frame("cam0", index, frame_name(index), 1e9 + index, picture, clock_s=clock_s)


def _decisions(rule: PartRule, verdicts: Sequence[Verdict]) -> list[tuple[str, str, str]]:
    """The last digit of each part's id, phase, decision."""
    found = []
    for index, verdict in enumerate(verdicts):
        assert rule.admits(_frame(index))
        part = rule.part_of(_frame(index), Inspection(verdict, 1.0, 0.5))
        found.append((part.id[-1], part.phase.value, part.decision.value))
    return found


def test_debouncing_lets_single_frames_pass_and_makes_one_incident_of_many() -> None:
    verdicts = [OK, NG, OK, OK, NG, INVALID, OK, OK, OK, OK]

    assert _decisions(Debounced(2, 3), verdicts) == [
        ("0", "end", "OK"),
        ("1", "end", "OK"),
        ("2", "end", "OK"),
        ("3", "end", "OK"),
        ("4", "end", "OK"),
        ("5", "new", "NG"),
        ("5", "update", "NG"),
        ("5", "end", "NG"),
        ("8", "end", "OK"),
        ("9", "end", "OK"),
    ]


def test_an_incident_counts_from_the_first_frame_that_it_starts_with() -> None:
    decisions = _decisions(Debounced(3, 5), [NG, OK, NG, REVIEW, OK])

    assert [decision for *_, decision in decisions] == [OK, OK, OK, NG, NG], "not REVIEW: two frames were NG"


def test_an_incident_that_began_with_a_good_frame_still_does_not_pass() -> None:
    decisions = _decisions(Debounced(1, 3), [NG, OK, OK, OK, OK])

    assert [decision for _, _, decision in decisions] == ["NG", "NG", "NG", "NG", "OK"]


def test_what_decides_is_what_was_seen_then_what_was_not() -> None:
    assert [worst(v) for v in ([OK, REVIEW], [REVIEW, INVALID], [INVALID, NG], [OK])] == [
        REVIEW,
        INVALID,
        NG,
        OK,
    ]


def test_a_triggered_part_takes_its_frames_and_no_other() -> None:
    trigger = MessageTrigger()
    rule = Triggered(trigger, frames=2)
    assert not rule.admits(_frame(0))
    before = time.monotonic() - 1
    trigger.fire()
    assert not rule.admits(_frame(1, before)), "captured before the part was announced"

    found = []
    for index, verdict in ((2, OK), (3, NG)):
        assert rule.admits(_frame(index))
        found.append(rule.part_of(_frame(index), Inspection(verdict, 1.0, 0.5)))

    assert not rule.admits(_frame(4))
    assert [(part.phase, part.decision) for part in found] == [(Phase.NEW, OK), (Phase.END, NG)]
    assert found[0].id == found[1].id
    assert rule.overdue() is None


@pytest.mark.parametrize("came", [0, 1])
def test_a_part_whose_frames_do_not_come_is_invalid(came: int) -> None:
    trigger = MessageTrigger()
    rule = Triggered(trigger, frames=2, timeout_s=1.0, source="cam0")
    trigger.fire()
    for index in range(came):
        assert rule.admits(_frame(index))
        rule.part_of(_frame(index), Inspection(OK, 0.1, 0.5))
    assert rule.overdue() is None
    time.sleep(1.05)

    late = rule.overdue()

    assert late is not None
    assert late.fault == f"triggered, but {came} of 2 frames came within 1 s"
    part = rule.part_of(late, Inspection(INVALID, None, 0.5))
    assert (part.phase, part.decision) == (Phase.END, INVALID)
    assert rule.overdue() is None
    trigger.fire()
    assert rule.admits(_frame(9))


def test_the_clock_announces_parts_and_makes_up_for_none() -> None:
    trigger = TimeTrigger(10.0)
    began = time.monotonic()

    assert trigger.fired_before(began - 1) is None
    assert trigger.fired_before(began) is not None
    assert trigger.fired_before(began + 5) is None
    late = trigger.fired_before(began + 47)
    assert late == pytest.approx(began + 40, abs=1)
    assert trigger.fired_before(began + 49) is None


def test_something_that_appears_and_comes_to_rest_is_a_part_once() -> None:
    trigger = RegionTrigger((30, 20, 30, 20), change=12)
    fired = []
    values = [0, 0, 0, 40, 80, 80, 80, 80, 40, 0, 0, 80, 80, 3]
    for index, value in enumerate(values):
        trigger.see(_frame(index, value=value))
        fired.append(trigger.fired_before(time.monotonic()) is not None)

    assert [index for index, one in enumerate(fired) if one] == [5, 12]


def test_what_moves_outside_the_region_is_no_part() -> None:
    trigger = RegionTrigger((0, 0, 20, 10))
    for index, value in enumerate([0, 80, 80, 80]):
        trigger.see(_frame(index, value=value))
    trigger.see(Frame("cam0", 9, "lost", 1e9, None, "lost"))

    assert trigger.fired_before(time.monotonic()) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Debounced(3, 2),
        lambda: Triggered(MessageTrigger(), frames=0),
        lambda: Triggered(MessageTrigger(), timeout_s=0),
        lambda: TimeTrigger(0),
        lambda: RegionTrigger((0, 0, 0, 5)),
    ],
)
def test_rules_that_make_no_sense_are_refused(make: type) -> None:
    with pytest.raises(OptionError):
        make()


def test_another_machine_announces_parts_by_http() -> None:
    trigger = MessageTrigger()
    with HttpTriggers("127.0.0.1", 0, {"left": trigger}) as server:
        url = f"http://127.0.0.1:{server.port}/trigger"
        with urllib.request.urlopen(urllib.request.Request(f"{url}/left", method="POST"), timeout=5) as got:
            assert got.status == 202
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(f"{url}/right", method="POST"), timeout=5)
        caught.value.close()
        assert caught.value.code == 404
        with pytest.raises(OutputError, match="cannot listen"):
            HttpTriggers("127.0.0.1", server.port, {}).__enter__()

    assert trigger.fired_before(time.monotonic()) is not None
    assert trigger.fired_before(time.monotonic()) is None


def test_a_triggered_line_judges_the_parts_announced_and_says_which_were_missed() -> None:
    class Memory:
        def __init__(self) -> None:
            self.events: list[Event] = []

        def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
            return {}

        def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
            self.events.append(event)

    trigger, memory = MessageTrigger(), Memory()
    rule = Triggered(trigger, frames=2, timeout_s=0.3, source="left")
    threading.Timer(0.1, trigger.fire).start()
    threading.Timer(1.0, trigger.fire).start()
    camera = SyntheticCamera(fps=20, frames=15, size=64)
    folder = SyntheticCamera(fps=1, size=64)  # goes on when the camera has ended
    with Stream({"left": camera, "right": folder}) as stream:
        inspect_stream(
            stream,
            one_by_one(lambda frame: Inspection(OK, 0.1, 0.5)),
            stations={"left": Station(rule=rule)},
            outlet=memory,
            max_seconds=1.8,
        )

    left = [event for event in memory.events if event.camera == "left"]
    assert [(event.phase.value, event.decision.value) for event in left] == [
        ("new", "OK"),
        ("end", "OK"),
        ("end", "INVALID"),
    ]
    assert left[0].id == left[1].id != left[2].id
    assert left[2].reason == "triggered, but 0 of 2 frames came within 0.3 s"
