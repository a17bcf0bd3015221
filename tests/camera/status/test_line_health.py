import threading
from collections.abc import Iterable
from typing import Any

import pytest

from pcedge.camera import (
    CameraState,
    CameraStatus,
    Changes,
    LineHealth,
    SinkStatus,
    Tally,
    ThreadStatus,
    Trouble,
    Verdict,
)


def _camera(state: CameraState, reason: str = "") -> CameraStatus:
    return CameraStatus("cam0", state, reason, 1, 1, 0, 0, 0, 1.0, 1.0, 0.0, None)


def _sink(**more: Any) -> SinkStatus:
    values: dict[str, Any] = {"name": "mqtt", "written": 1, "waiting": 0, "failures": 0, "lost": 0}
    return SinkStatus(**{**values, "last_fault": "", "faulty": False, "abandoned": False, **more})


class _Parts:
    """Stands for the stream and for the delivery."""

    def __init__(self, camera: CameraStatus, sink: SinkStatus) -> None:
        self.cameras = (camera,)
        self._sink = sink

    def faults(self) -> tuple[SinkStatus, ...]:
        return (self._sink,)


def _health(
    camera: CameraStatus | None = None, sink: SinkStatus | None = None, threads: Iterable[ThreadStatus] = ()
) -> LineHealth:
    parts: Any = _Parts(camera or _camera(CameraState.RUNNING), sink or _sink())
    tally = Tally()
    tally.add("cam0", Verdict.OK, 5.0)
    return LineHealth(parts, parts, tally, lambda: threads)


def test_all_is_well_while_judging_moves() -> None:
    line = _health(threads=[ThreadStatus("bundles", True, 3, "odd, but over", "")])
    line.turned()

    found = line.health()

    assert (found.alive, found.ready, found.detail["reasons"]) == (True, True, [])
    assert found.detail["last_judged_s_ago"]["cam0"] < 60


@pytest.mark.parametrize(
    ("line", "alive", "reason"),
    [
        (_health(_camera(CameraState.FAILED, "gone")), False, {"camera": "cam0", "reason": "gone"}),
        (_health(_camera(CameraState.STALLED, "no image")), True, {"camera": "cam0", "reason": "no image"}),
        (_health(sink=_sink(faulty=True, last_fault="refused")), True, {"sink": "mqtt", "reason": "refused"}),
        (
            _health(threads=[ThreadStatus("bundles", True, 1, "odd", "odd")]),
            False,
            {"thread": "bundles", "reason": "odd"},
        ),
    ],
)
def test_what_is_in_trouble_turns_it_red_with_its_reason(
    line: LineHealth, alive: bool, reason: dict[str, str]
) -> None:
    found = line.health()

    assert (found.alive, found.ready) == (alive, False)
    assert found.detail["reasons"] == [reason]


def test_judging_that_stands_still_is_seen_and_its_end_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcedge.camera.status.line_health._STILL_S", 0.0)
    line = _health()
    line.turned()
    threading.Event().wait(0.001)

    assert not line.health().alive
    line.ended()
    assert line.health().alive


def test_each_change_is_told_once() -> None:
    changes = Changes()
    refused = Trouble("sink", "mqtt", "refused", deadly=False)
    camera = Trouble("camera", "cam0", "gone", deadly=False)  # told by its state

    def look(*troubles: Trouble, **more: Any) -> list[tuple[str, str, str]]:
        found = changes.since_last(troubles, **more)
        return [(one.name, one.state, one.reason) for one in found]

    assert look() == []
    assert look(refused, camera) == [("mqtt", "TROUBLE", "refused")]
    assert look(refused, camera) == []
    assert look() == [("mqtt", "RECOVERED", "refused")]
    assert look(sinks=[_sink(note="opened anew", notes=1)]) == [("mqtt", "NOTE", "opened anew")]
    assert look(sinks=[_sink(note="opened anew", notes=1)]) == []
    lost = [len(look(sinks=[_sink(lost=count, last_fault="slow")])) for count in (1, 1, 2, 3, 4, 5)]
    assert lost == [1, 0, 1, 0, 1, 0]
    odd = [ThreadStatus("bundles", True, 1, "odd", "")]
    assert [state for _, state, _ in look(threads=odd)] == ["NOTE"]
    assert look(threads=odd) == []


def test_a_clock_that_is_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    offset_s = 100.0
    monkeypatch.setattr("pcedge.camera.status.changes._clock_offset_s", lambda: offset_s)
    changes = Changes()

    assert changes.since_last([]) == []
    offset_s -= 3600
    (change,) = changes.since_last([])
    assert change.to_dict() == {"clock": "system", "state": "NOTE", "reason": "was set back by 3,600.0 s"}
    assert changes.since_last([]) == []
