"""The loop of an inspection: frames, verdicts, decisions, events, and their hand-over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pcedge.errors import PcedgeError

from ..events.event import Event
from ..events.tally import Summary, Tally
from ..frames import Frame, Inspection, Verdict
from ..quality.limits import QualityResult
from ..stream.stream import Stream
from .station import Station

Inspect = Callable[[Sequence[Frame]], Sequence[Inspection]]
OnEvent = Callable[[Event, Frame, Inspection], None]
OnDrift = Callable[[str, Mapping[str, str]], None]


class Outlet(Protocol):
    """Takes events at once, whatever becomes of them later; :class:`~pcedge.camera.Delivery` is one."""

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """What the images of a frame will be called: kind to path."""

    def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Take an event; never waits and never raises."""


def inspect_stream(
    stream: Stream,
    inspect: Inspect,
    *,
    stations: Mapping[str, Station] | None = None,
    outlet: Outlet | None = None,
    on_event: OnEvent | None = None,
    on_turn: Callable[[], None] | None = None,
    on_drift: OnDrift | None = None,
    tally: Tally | None = None,
    batch: int = 1,
    max_frames: int | None = None,
    max_seconds: float | None = None,
) -> Summary:
    """Give every frame of a stream a verdict and hand its event over, until the stream ends.

    Fail-safe: a frame with a fault, one that its station's gate turns away, one for which ``inspect`` raises
    and one whose score is no number all get the verdict INVALID with the reason, and the inspection goes on.

    Args:
        stream: Already opened.
        inspect: Turns frames, which have images, into as many inspections.
        stations: By camera name; a camera without one has its frames judged as they are.
        outlet: Takes the events to the sinks.
        on_event: Called last for every frame, for a live view. What it raises is counted.
        on_turn: Called at least every 0.1 s as long as inspecting goes on, frames or not: a sign of life. It
            must not raise.
        on_drift: Called when something at a camera has moved, or come back: the camera's name, and what has
            moved now with a sentence for each. What it raises is counted.
        tally: Counts; hand one in to read it while the inspection runs.
        batch: Frames of several cameras that are judged together, at most.
        max_frames: End after this many frames.
        max_seconds: End after this time, also when no frame arrives.

    Raises:
        PcedgeError: The source has failed for good.
    """
    told = _Callbacks(on_event, on_drift, Tally() if tally is None else tally)
    line = _FrameLoop(inspect, stations or {}, outlet, told)
    if max_seconds is not None:
        stream.stop_after(max_seconds)
    for frames in stream.batches(batch, max_frames):
        line.judge(frames, stream.live_names)
        told.tally.dropped = stream.dropped
        line.judge_overdue()
        if on_turn is not None:
            on_turn()
    return told.tally.summary()


def invalid(reason: str) -> Inspection:
    """What is said of a frame that could not be judged."""
    return Inspection(Verdict.INVALID, score=None, threshold=math.nan, reason=reason)


def one_by_one(inspect: Callable[[Frame], Inspection]) -> Inspect:
    """Turn a function of one frame into one of several; a ``PcedgeError`` makes that one frame INVALID."""

    def judge(frame: Frame) -> Inspection:
        try:
            return inspect(frame)
        except PcedgeError as error:
            return invalid(error.what)

    return lambda frames: [judge(frame) for frame in frames]


class _Callbacks:
    """Those who are told of what was found, and the counts."""

    def __init__(self, on_event: OnEvent | None, on_drift: OnDrift | None, tally: Tally) -> None:
        self.tally = tally
        self._on_event = on_event
        self._on_drift = on_drift

    def event(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Tell of one frame."""
        judged = inspection.verdict is not Verdict.INVALID
        self.tally.add(event.camera, inspection.verdict, event.latency_ms if judged else None)
        if self._on_event is not None:
            try:
                self._on_event(event, frame, inspection)
            except Exception as error:
                self.tally.add_fault(f"the live view failed: {type(error).__name__}: {error}")

    def drift(self, camera: str, moved: Mapping[str, str]) -> None:
        """Tell of what has moved at a camera."""
        self.tally.note_drift(camera, moved)
        if self._on_drift is not None:
            try:
                self._on_drift(camera, moved)
            except Exception as error:
                self.tally.add_fault(f"the news of drift failed: {type(error).__name__}: {error}")


class _FrameLoop:
    """What the frames of one inspection pass."""

    def __init__(
        self,
        inspect: Inspect,
        stations: Mapping[str, Station],
        outlet: Outlet | None,
        told: _Callbacks,
    ) -> None:
        self._inspect = inspect
        self._stations = dict(stations)
        self._outlet = outlet
        self._told = told

    def judge(self, frames: Sequence[Frame], live: frozenset[str]) -> None:
        """Judge what was taken together; what belongs to no part is left."""
        handed_over_s = time.monotonic()
        admitted = [frame for frame in frames if self._station(frame).rule.admits(frame)]
        views = [self._station(frame).view(frame) for frame in admitted]
        found = iter(self._judged([view for view in views if not view.fault]))
        for frame, view in zip(admitted, views, strict=True):
            inspection = invalid(view.fault) if view.fault else self._station(frame).placed(next(found))
            since_s = frame.clock_s if frame.camera_name in live else handed_over_s
            self._hand_over(frame, inspection, (time.monotonic() - since_s) * 1000)
            self._look_for_drift(frame.camera_name, inspection, view.look)

    def judge_overdue(self) -> None:
        """Give the parts whose frames did not come their verdict."""
        for camera, station in self._stations.items():
            while (frame := station.rule.overdue()) is not None:
                self._hand_over(replace(frame, camera=camera), invalid(frame.fault), 0.0)

    def _station(self, frame: Frame) -> Station:
        # Made where there is none, since a rule may remember; a camera appears here once.
        return self._stations.setdefault(frame.camera_name, Station())

    def _judged(self, views: Sequence[Frame]) -> list[Inspection]:
        if not views:
            return []
        try:
            found = [_checked(inspection) for inspection in self._inspect(views)]
            if len(found) == len(views):
                return found
            reason = f"{len(views)} frames gave {len(found)} inspections"
        except PcedgeError as error:
            reason = error.what
        except Exception as error:  # a mistake in the program must not pass a part, nor stop the line
            reason = f"the inspection failed: {type(error).__name__}: {error}"
        if len(views) == 1:
            return [invalid(reason)]
        return [one for view in views for one in self._judged([view])]  # only the culprit is to suffer

    def _hand_over(self, frame: Frame, inspection: Inspection, latency_ms: float) -> None:
        station = self._station(frame)
        part = station.rule.part_of(frame, inspection)
        files = self._outlet.names(frame, inspection) if self._outlet is not None else {}
        drift = station.drift.moved if station.drift is not None else {}
        event = Event.of(
            frame, inspection, latency_ms, files, part=part, product=station.product, drift=drift
        )
        if self._outlet is not None:
            self._outlet.put(event, frame, inspection)
        self._told.event(event, frame, inspection)

    def _look_for_drift(self, camera: str, inspection: Inspection, look: QualityResult | None) -> None:
        """Whether something has moved; after the verdict was handed over, which must not wait for it."""
        drift = self._stations[camera].drift
        if drift is None:
            return
        if drift.add(inspection, look):
            self._told.drift(camera, drift.moved)
        elif drift.moved:
            self._told.tally.note_drift(camera, drift.moved)


def _checked(inspection: Inspection) -> Inspection:
    if inspection.verdict is Verdict.INVALID:
        return inspection
    if inspection.score is None or not math.isfinite(inspection.score):
        return invalid(f"the score is not a number: {inspection.score}")
    return inspection
