"""From verdicts on frames to decisions on parts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from pcedge.errors import OptionError

from ..events.event import Part, Phase, frame_id
from ..frames import Frame, Inspection, Verdict
from ..sources.base import frame_name
from .triggers import Trigger

# The worst of a part's verdicts decides. What was seen to be bad says more than what was not seen.
_SEVERITY = (Verdict.OK, Verdict.REVIEW, Verdict.INVALID, Verdict.NG)


class PartRule(Protocol):
    """Says which frames are judged, and what they mean for the parts on the line."""

    def admits(self, frame: Frame) -> bool:
        """Whether a frame is to be judged; called for every frame in order."""

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """What a judged frame means; called once, in order, for every frame that was admitted."""

    def overdue(self) -> Frame | None:
        """A frame that should have come and did not, with ``fault`` set, or None; asked for all the time."""


class EachFrame:
    """Every frame is a part of its own."""

    def admits(self, frame: Frame) -> bool:
        """Every frame is judged."""
        return True

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """Its verdict is the decision."""
        return Part(frame_id(frame), Phase.END, inspection.verdict)

    def overdue(self) -> Frame | None:
        """Nothing is ever overdue: the stream's watchdog sees to that."""
        return None


class Debounced:
    """Free-running: the decision turns when at least ``n`` of the last ``m`` frames do not pass.

    Until then a frame that does not pass is let through as OK: that is what debouncing is. From there on one
    incident lasts, whose decision is its worst verdict, until fewer than ``n`` of the last ``m`` do not pass.
    REVIEW and INVALID do not pass either.

    Raises:
        OptionError: Not 1 <= n <= m.
    """

    def __init__(self, n: int, m: int) -> None:
        if not 1 <= n <= m:
            raise OptionError(
                f"{n} of {m} frames make no decision.", "Give n of m with 1 <= n <= m, such as 3 of 5."
            )
        self._n = n
        self._last: deque[bool] = deque(maxlen=m)
        self._incident: Part | None = None

    def admits(self, frame: Frame) -> bool:
        """Every frame is judged."""
        return True

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """The incident under way, if there is one."""
        self._last.append(not inspection.verdict.passes)
        going = sum(self._last) >= self._n
        if self._incident is None:
            if not going:
                return Part(frame_id(frame), Phase.END, Verdict.OK)
            self._incident = Part(frame_id(frame), Phase.NEW, worst([inspection.verdict, Verdict.REVIEW]))
            return self._incident
        decision = worst([self._incident.decision, inspection.verdict])
        part = Part(self._incident.id, Phase.UPDATE if going else Phase.END, decision)
        self._incident = part if going else None
        return part

    def overdue(self) -> Frame | None:
        """Nothing is ever overdue."""
        return None


class Triggered:
    """A trigger announces every part; the next ``frames`` frames are its, and the worst of them decides.

    Frames that belong to no part are not judged. A part for which the frames do not come in
    time is INVALID.

    Args:
        trigger: Announces the parts.
        frames: How many frames of each are judged.
        timeout_s: How long after its trigger a part may wait for them.
        source: Name for the frames that did not come.

    Raises:
        OptionError: There are to be no frames, or no time for them.
    """

    def __init__(
        self, trigger: Trigger, *, frames: int = 1, timeout_s: float = 2.0, source: str = ""
    ) -> None:
        if frames < 1 or not timeout_s > 0:
            raise OptionError(
                f"A part cannot be judged by {frames} frames within {timeout_s:g} s.",
                "Give at least 1 frame and more than 0 s.",
            )
        self._trigger = trigger
        self._frames = frames
        self._timeout_s = timeout_s
        self._source = source
        self._missing = 0
        self._admitted = 0
        self._fired_s = 0.0
        self._verdicts: list[Verdict] = []
        self._id = ""
        self._parts = 0

    def admits(self, frame: Frame) -> bool:
        """Whether a part waits for this frame."""
        self._trigger.see(frame)
        if not self._admitted and (fired_s := self._trigger.fired_before(frame.clock_s)) is not None:
            self._begin(fired_s)
        if not self._admitted:
            return False
        self._admitted -= 1
        return True

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """The part that the frame was taken for."""
        first = not self._verdicts
        if first:
            self._id = frame_id(frame)
        self._verdicts.append(inspection.verdict)
        self._missing -= 1
        decision = worst(self._verdicts)
        if self._missing <= 0:
            self._verdicts = []
            return Part(self._id, Phase.END, decision)
        return Part(self._id, Phase.NEW if first else Phase.UPDATE, decision)

    def overdue(self) -> Frame | None:
        """The rest of a part whose time is over."""
        now = time.monotonic()
        if not self._missing and (fired_s := self._trigger.fired_before(now - self._timeout_s)) is not None:
            self._begin(fired_s)
        if not self._admitted or now - self._fired_s <= self._timeout_s:
            return None
        came = self._frames - self._admitted
        self._missing, self._admitted = 1, 0
        self._parts += 1
        fault = f"triggered, but {came} of {self._frames} frames came within {self._timeout_s:g} s"
        # Counted from the end of the numbers, so that no frame of the source has the same.
        return Frame(self._source, -self._parts, frame_name(self._parts), time.time(), None, fault)

    def _begin(self, fired_s: float) -> None:
        self._fired_s = fired_s
        self._missing = self._admitted = self._frames
        self._verdicts = []


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides: NG, then INVALID, then REVIEW, then OK."""
    return max(verdicts, key=_SEVERITY.index)
