"""Changes of a running inspection's health, each told once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..sinks.sink_queue import SinkStatus
from ..util.supervisor import ThreadStatus
from .line_health import Trouble

# Less is how clocks are set every day.
_CLOCK_JUMP_S = 2.0
# Counts time asleep too, where the system has it.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True)
class Change:
    """A change that a person wants to know.

    Attributes:
        part: ``sink``, ``thread``, ``judging`` or ``clock``.
        name: Name of the part.
        state: ``TROUBLE``, ``RECOVERED``, or ``NOTE`` for what has happened and is over.
        reason: What it is.
    """

    part: str
    name: str
    state: str
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {self.part: self.name, "state": self.state, "reason": self.reason}


class Changes:
    """Finds what has changed since the last look; cameras, which have states of their own, are left out."""

    def __init__(self) -> None:
        self._told: Mapping[tuple[str, str], str] = {}
        self._lost: dict[str, int] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._clock = _clock_offset_s()

    def since_last(
        self,
        troubles: Iterable[Trouble],
        sinks: Iterable[SinkStatus] = (),
        threads: Iterable[ThreadStatus] = (),
    ) -> list[Change]:
        """Return the changes since the last call."""
        return [
            *self._of_troubles(troubles),
            *(change for one in sinks for change in self._of_sink(one)),
            *(change for one in threads for change in self._of_thread(one)),
            *self._of_clock(),
        ]

    def _of_troubles(self, troubles: Iterable[Trouble]) -> list[Change]:
        now = {(one.part, one.name): one.reason for one in troubles if one.part != "camera"}
        before, self._told = self._told, now
        return [
            *(Change(*key, "TROUBLE", reason) for key, reason in now.items() if before.get(key) != reason),
            *(Change(*key, "RECOVERED", reason) for key, reason in before.items() if key not in now),
        ]

    def _of_sink(self, sink: SinkStatus) -> list[Change]:
        notes = [Change("sink", sink.name, "NOTE", sink.note)] if self._has_note(sink) else []
        # At 1, 2, 4, ...: a sink that is too slow for long fills no log.
        if sink.lost >= 2 * self._lost.get(sink.name, 0) and sink.lost:
            self._lost[sink.name] = sink.lost
            text = f"{sink.lost} lost: {sink.last_fault}"
            notes.append(Change("sink", sink.name, "NOTE", text))
        return notes

    def _has_note(self, sink: SinkStatus) -> bool:
        before = self._counts.get(("note", sink.name), 0)
        self._counts["note", sink.name] = sink.notes
        return sink.notes > before

    def _of_thread(self, thread: ThreadStatus) -> list[Change]:
        before = self._counts.get(("thread", thread.name), 0)
        self._counts["thread", thread.name] = thread.faults
        told = ("thread", thread.name) in self._told
        if thread.faults <= before or told:
            return []
        return [Change("thread", thread.name, "NOTE", f"could not handle: {thread.last_fault}")]

    def _of_clock(self) -> list[Change]:
        now = _clock_offset_s()
        jumped_s, self._clock = now - self._clock, now
        if abs(jumped_s) < _CLOCK_JUMP_S:
            return []
        way = "forward" if jumped_s > 0 else "back"
        return [Change("clock", "system", "NOTE", f"was set {way} by {abs(jumped_s):,.1f} s")]


def _clock_offset_s() -> float:
    return time.time() - time.clock_gettime(_STEADY)
