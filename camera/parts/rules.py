"""Part rules: how verdicts on frames become decisions on parts."""

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

# The worst verdict of a part decides. A defect that was seen outweighs a frame that could not be judged.
_SEVERITY = (Verdict.OK, Verdict.REVIEW, Verdict.INVALID, Verdict.NG)


class PartRule(Protocol):
    """Decides which frames are judged, and assigns them to parts."""

    def admits(self, frame: Frame) -> bool:
        """Whether to judge a frame; called for every frame in order."""

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """Return the part of a judged frame; called once, in order, for every admitted frame."""

    def overdue(self) -> Frame | None:
        """Return a placeholder, with ``fault`` set, for a frame that did not arrive; called at every turn."""


class EachFrame:
    """Every frame is a part of its own."""

    def admits(self, frame: Frame) -> bool:
        """Every frame is judged."""
        return True

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """The verdict on the frame is the decision."""
        return Part(frame_id(frame), Phase.END, inspection.verdict)

    def overdue(self) -> Frame | None:
        """Nothing is ever overdue; the watchdog of the stream handles missing frames."""
        return None


class Debounced:
    """Free-running debouncing: an incident starts when at least ``n`` of the last ``m`` frames do not pass.

    Until then the decision on a single frame that does not pass is OK. The incident lasts until fewer than
    ``n`` of the last ``m`` frames do not pass; its decision is its worst verdict, that of the ``m`` frames
    that it starts with included. REVIEW and INVALID do not pass either.

    Raises:
        OptionError: Not 1 <= n <= m.
    """

    def __init__(self, n: int, m: int) -> None:
        if not 1 <= n <= m:
            raise OptionError(
                f"Cannot debounce by {n} of {m} frames.", "Give n of m with 1 <= n <= m, such as 3 of 5."
            )
        self._n = n
        self._last: deque[Verdict] = deque(maxlen=m)
        self._incident: Part | None = None

    def admits(self, frame: Frame) -> bool:
        """Every frame is judged."""
        return True

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """Return the current incident, or a part of its own if there is none."""
        self._last.append(inspection.verdict)
        active = sum(not verdict.passes for verdict in self._last) >= self._n
        if self._incident is None:
            if not active:
                return Part(frame_id(frame), Phase.END, Verdict.OK)
            self._incident = Part(frame_id(frame), Phase.NEW, worst([*self._last]))
            return self._incident
        decision = worst([self._incident.decision, inspection.verdict])
        part = Part(self._incident.id, Phase.UPDATE if active else Phase.END, decision)
        self._incident = part if active else None
        return part

    def overdue(self) -> Frame | None:
        """Nothing is ever overdue."""
        return None


class Triggered:
    """Triggered: the next ``frames`` frames after a trigger belong to its part; the worst verdict decides.

    Frames that belong to no part are not judged. A part whose frames do not arrive in time is INVALID.

    Args:
        trigger: Announces the parts.
        frames: Number of frames that are judged per part.
        timeout_s: How long after the trigger the frames may arrive, in seconds.
        source: Source name of the placeholders for frames that did not arrive.

    Raises:
        OptionError: ``frames`` or ``timeout_s`` is not above 0.
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
        """Whether a part is waiting for this frame."""
        self._trigger.see(frame)
        if not self._admitted and (fired_s := self._trigger.fired_before(frame.clock_s)) is not None:
            self._begin(fired_s)
        if not self._admitted:
            return False
        self._admitted -= 1
        return True

    def part_of(self, frame: Frame, inspection: Inspection) -> Part:
        """Return the part that the frame belongs to."""
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
        """Return a placeholder for the missing frames of a part whose time is over."""
        now = time.monotonic()
        if not self._missing and (fired_s := self._trigger.fired_before(now - self._timeout_s)) is not None:
            self._begin(fired_s)
        if not self._admitted or now - self._fired_s <= self._timeout_s:
            return None
        came = self._frames - self._admitted
        self._missing, self._admitted = 1, 0
        self._parts += 1
        fault = f"triggered, but {came} of {self._frames} frames came within {self._timeout_s:g} s"
        # Negative, so that no frame of the source has the same index.
        return Frame(self._source, -self._parts, frame_name(self._parts), time.time(), None, fault)

    def _begin(self, fired_s: float) -> None:
        self._fired_s = fired_s
        self._missing = self._admitted = self._frames
        self._verdicts = []


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict: NG, then INVALID, then REVIEW, then OK."""
    return max(verdicts, key=_SEVERITY.index)
