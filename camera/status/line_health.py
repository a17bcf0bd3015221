"""Health of a running inspection: whether judging moves, and what is in trouble and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..events.tally import Tally
from ..sinks.delivery import Delivery
from ..sinks.sink_queue import SinkStatus
from ..stream.state import CameraState
from ..stream.stream import Stream
from ..util.supervisor import ThreadStatus, thread_states
from .health import Health

# Longer than the slowest network takes for a batch on a small device.
_STILL_S = 10.0
_LOST = (CameraState.STALLED, CameraState.RECONNECTING, CameraState.FAILED)
_OVER = (CameraState.FAILED, CameraState.ENDED)


@dataclass(frozen=True)
class Trouble:
    """A part of the inspection that does not do its work now.

    Attributes:
        part: ``judging``, ``camera``, ``sink`` or ``thread``.
        name: Name of the part.
        reason: Why; it stays the same while the cause does, so that it can be told once.
        deadly: Whether it does not come back by itself, or parts go by unjudged.
    """

    part: str
    name: str
    reason: str
    deadly: bool

    def to_dict(self) -> dict[str, str]:
        """Return plain values for JSON."""
        return {self.part: self.name, "reason": self.reason}


class LineHealth:
    """Health of an inspection, from the parts that it is made of.

    ``alive`` is false while judging stands still, a camera has failed for good, or a supervised thread cannot
    do its work. ``ready`` is false too while a camera is lost or a sink is in trouble.

    Args:
        stream: The stream.
        delivery: The delivery.
        tally: Counts, with the time of the last judged frame of each camera.
        threads: Returns the status of the supervised threads.
    """

    def __init__(
        self,
        stream: Stream,
        delivery: Delivery,
        tally: Tally,
        threads: Callable[[], Iterable[ThreadStatus]] = thread_states,
    ) -> None:
        self._stream = stream
        self._delivery = delivery
        self._tally = tally
        self._threads = threads
        self._turned_s: float | None = None

    def turned(self) -> None:
        """Say that judging goes on; called in every turn of the loop."""
        self._turned_s = time.monotonic()

    def ended(self) -> None:
        """Say that the loop has ended, so that it is not missed."""
        self._turned_s = None

    def troubles(self) -> tuple[Trouble, ...]:
        """Return what is in trouble now."""
        return (*self._of_judging(), *self._of_cameras(), *self._of_sinks(), *self._of_threads())

    def health(self) -> Health:
        """Return the health, with every part in the detail."""
        troubles = self.troubles()
        cameras = self._stream.cameras
        alive = not any(one.deadly for one in troubles) and not all(one.state in _OVER for one in cameras)
        running = all(one.state is CameraState.RUNNING for one in cameras)
        return Health(alive, alive and running and not troubles, self._detail(troubles))

    def _of_judging(self) -> list[Trouble]:
        if self._turned_s is None or time.monotonic() - self._turned_s < _STILL_S:
            return []
        return [Trouble("judging", "loop", f"has stood still for more than {_STILL_S:.0f} s", deadly=True)]

    def _of_cameras(self) -> list[Trouble]:
        return [
            Trouble("camera", one.name, one.reason, deadly=one.state is CameraState.FAILED)
            for one in self._stream.cameras
            if one.state in _LOST
        ]

    def _of_sinks(self) -> list[Trouble]:
        return [
            Trouble("sink", one.name, one.last_fault.removesuffix("."), deadly=False)
            for one in self._delivery.faults()
            if one.faulty
        ]

    def _of_threads(self) -> list[Trouble]:
        return [
            Trouble("thread", one.name, one.trouble, deadly=True) for one in self._threads() if one.trouble
        ]

    def _detail(self, troubles: Iterable[Trouble]) -> dict[str, Any]:
        now = time.monotonic()
        judged = {name: round(now - when, 3) for name, when in self._tally.judged_s.items()}
        return {
            "reasons": [one.to_dict() for one in troubles],
            "last_judged_s_ago": judged,
            "cameras": [one.to_dict() for one in self._stream.cameras],
            "sinks": [_of_sink(one) for one in self._delivery.faults()],
            "threads": [
                {"thread": one.name, "alive": one.alive, "faults": one.faults, "reason": one.trouble}
                for one in self._threads()
            ],
        }


def _of_sink(report: SinkStatus) -> dict[str, Any]:
    return {
        "sink": report.name,
        "written": report.written,
        "waiting": report.waiting,
        "lost": report.lost,
        "reason": report.last_fault if report.faulty else "",
    }
