import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcedge.camera import Delivery, Event, GateState, Phase, RejectGate, Verdict
from pcedge.errors import OutputError

Make = Callable[..., Event]
Until = Callable[[Callable[[], object]], None]


def _state(**more: Any) -> GateState:
    return GateState({"left": 1, "right": 2}, more.pop("pass_s", 0.5), **more)


def test_a_gate_rejects_until_a_part_passes_and_again_when_that_is_stale(event: Make) -> None:
    state = _state()

    assert state.rejects(10.0) == {1: True, 2: True}
    assert state.judge(event(1, camera="left"), 10.0)
    assert state.rejects(10.4) == {1: False, 2: True}
    assert state.next_change(10.4) == 10.5
    assert state.rejects(10.5) == {1: True, 2: True}
    assert state.next_change(10.5) is None


@pytest.mark.parametrize("verdict", [Verdict.NG, Verdict.INVALID, Verdict.REVIEW])
def test_what_does_not_pass_rejects_at_once(event: Make, verdict: Verdict) -> None:
    state = _state()
    state.judge(event(1, camera="left"), 10.0)
    state.judge(event(2, verdict, camera="left"), 10.1)

    assert state.rejects(10.1) == {1: True, 2: True}


def test_review_passes_where_the_settings_say_so(event: Make) -> None:
    state = _state(passing=[Verdict.OK, Verdict.REVIEW])
    state.judge(event(1, Verdict.REVIEW, camera="left"), 10.0)

    assert not state.rejects(10.1)[1]


@pytest.mark.parametrize(
    "more",
    [{"phase": Phase.NEW}, {"phase": Phase.UPDATE}, {"decision": Verdict.NG}, {"decision": Verdict.INVALID}],
)
def test_only_a_final_decision_passes_whatever_the_frame_s_own_verdict(event: Make, more: Any) -> None:
    state = _state()
    state.judge(event(1, camera="left", **more), 10.0)

    assert state.rejects(10.0) == {1: True, 2: True}


def test_cameras_that_share_a_coil_must_all_pass(event: Make) -> None:
    state = GateState({"left": 1, "right": 1}, 0.5)

    state.judge(event(1, camera="left"), 10.0)
    assert state.rejects(10.1) == {1: True}
    state.judge(event(1, camera="right"), 10.1)
    assert state.rejects(10.2) == {1: False}
    assert state.rejects(10.5) == {1: True}


def test_cameras_that_are_not_named_share_a_coil_and_must_all_pass_too(event: Make) -> None:
    state = GateState({"left": 1, "*": 1}, 0.5)

    state.judge(event(1, camera="left"), 10.0)
    assert state.rejects(10.1) == {1: False}
    state.judge(event(1, Verdict.NG, camera="top"), 10.1)
    state.judge(event(2, camera="front"), 10.1)
    assert state.rejects(10.2) == {1: True}
    assert GateState({"*": 7}, 0.5).rejects(10.0) == {7: True}


def test_a_camera_without_a_coil_is_noticed_unless_there_is_one_for_any(event: Make) -> None:
    assert not _state().judge(event(1, camera="top"), 10.0)
    assert GateState({"*": 7}, 0.5).judge(event(1, camera="top"), 10.0)


def test_a_controller_that_is_away_is_a_fault_and_stops_nothing(event: Make, until: Until) -> None:
    pytest.importorskip("pymodbus")
    gate = RejectGate("127.0.0.1", _state(), port=1, heartbeat_coil=0)
    with Delivery({"modbus": gate}) as delivery:
        for number in range(50):
            delivery.put(event(number, camera="left"), None, None)  # type: ignore[arg-type]
        until(lambda: "cannot be reached" in delivery.faults()[0].last_fault)
        assert delivery.flush(60)

    assert delivery.faults()[0].lost == 50
    with pytest.raises(OutputError, match="has no coil"):
        gate.write(event(1, camera="top"))


def test_the_coil_follows_the_parts_and_rests_at_reject(
    from_the_checkout: None, event: Make, until: Until
) -> None:
    pytest.importorskip("pymodbus")
    from benchmarks.reject_gate import COIL, HEARTBEAT, Controller

    def gate(controller: Controller, pass_s: float) -> RejectGate:
        state = GateState({"cam0": COIL}, pass_s)
        return RejectGate("127.0.0.1", state, port=controller.port, heartbeat_coil=HEARTBEAT, heartbeat_s=0.1)

    # Neither the controller's watchdog nor the time that a pass holds for can be what rejects later on.
    with Controller(watchdog_s=100) as controller:
        with Delivery({"modbus": gate(controller, 1.0)}) as delivery:
            delivery.put(event(1), None, None)  # type: ignore[arg-type]
            passed = controller.wait_for(reject=False)
            stale = controller.wait_for(reject=True)
            assert 0.5 < stale - passed < 30, "a passing part holds for its time only"
        with Delivery({"modbus": gate(controller, 100.0)}) as delivery:
            delivery.put(event(2), None, None)  # type: ignore[arg-type]
            controller.wait_for(reject=False)
            put = time.monotonic()
            delivery.put(event(3, Verdict.NG), None, None)  # type: ignore[arg-type]
            assert controller.wait_for(reject=True) - put < 30
            delivery.put(event(4), None, None)  # type: ignore[arg-type]
            controller.wait_for(reject=False)
            left = time.monotonic()
        assert controller.wait_for(reject=True) - left < 30, "leaving sets it to reject"


def test_the_gate_rejects_when_the_inspector_is_killed(from_the_checkout: None, tmp_path: Path) -> None:
    pytest.importorskip("pymodbus")
    from benchmarks.reject_gate import kill_inspectors

    outcome = kill_inspectors(2, heartbeat_s=0.2, seed=0, progress=lambda *_: None)

    assert outcome.rejected == 2
    assert outcome.longest_ms < outcome.watchdog_ms + 500
