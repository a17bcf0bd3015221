"""The inspection loop: judges the frames of a stream and hands their events over."""

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
    """Accepts events without blocking; :class:`~pcedge.camera.Delivery` is one."""

    def names(self, frame: Frame, inspection: Inspection) -> dict[str, str]:
        """Return the paths that the images of a frame will have: kind to path."""

    def put(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Accept an event; never blocks and never raises."""


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
    """Judge every frame of a stream and hand its event over, until the stream ends.

    Fail-safe: a frame gets the verdict INVALID with the reason if it has a fault, if the gate of its station
    rejects it, if ``inspect`` raises, or if its score is not a number. The inspection then continues.

    Args:
        stream: The stream, already opened.
        inspect: Returns one inspection for each of the given frames, which all have images.
        stations: Stations by camera name; the frames of other cameras are judged unchanged.
        outlet: Passes the events to the sinks.
        on_event: Called last for every frame, for a live view. Exceptions are counted as faults.
        on_turn: Called at least every 0.1 s while the inspection runs, with or without frames, as a sign of
            life. It must not raise.
        on_drift: Called when the drift of a camera changes, with its name and the quantities that have
            drifted now, each with a sentence. Exceptions are counted as faults.
        tally: Counts; pass one to read it while the inspection runs.
        batch: Maximum number of frames of several cameras that are judged together.
        max_frames: Stop after this many frames.
        max_seconds: Stop after this time, even if no frame arrives.

    Raises:
        PcedgeError: The source has failed permanently.
    """
    callbacks = _Callbacks(on_event, on_drift, Tally() if tally is None else tally)
    line = _FrameLoop(inspect, stations or {}, outlet, callbacks)
    if max_seconds is not None:
        stream.stop_after(max_seconds)
    for frames in stream.batches(batch, max_frames):
        line.judge(frames, stream.live_names)
        callbacks.tally.dropped = stream.dropped
        line.judge_overdue()
        if on_turn is not None:
            on_turn()
    return callbacks.tally.summary()


def invalid(reason: str) -> Inspection:
    """Return the inspection of a frame that could not be judged."""
    return Inspection(Verdict.INVALID, score=None, threshold=math.nan, reason=reason)


def one_by_one(inspect: Callable[[Frame], Inspection]) -> Inspect:
    """Convert a function of one frame to one of several; a ``PcedgeError`` makes only that frame INVALID."""

    def judge(frame: Frame) -> Inspection:
        try:
            return inspect(frame)
        except PcedgeError as error:
            return invalid(error.what)

    return lambda frames: [judge(frame) for frame in frames]


class _Callbacks:
    """The callbacks and counts of an inspection; an exception in a callback is counted."""

    def __init__(self, on_event: OnEvent | None, on_drift: OnDrift | None, tally: Tally) -> None:
        self.tally = tally
        self._on_event = on_event
        self._on_drift = on_drift

    def event(self, event: Event, frame: Frame, inspection: Inspection) -> None:
        """Count a frame and call ``on_event``."""
        judged = inspection.verdict is not Verdict.INVALID
        self.tally.add(event.camera, inspection.verdict, event.latency_ms if judged else None)
        if self._on_event is not None:
            try:
                self._on_event(event, frame, inspection)
            except Exception as error:
                self.tally.add_fault(f"the live view failed: {type(error).__name__}: {error}")

    def drift(self, camera: str, moved: Mapping[str, str]) -> None:
        """Set the drift of a camera and call ``on_drift``."""
        self.tally.note_drift(camera, moved)
        if self._on_drift is not None:
            try:
                self._on_drift(camera, moved)
            except Exception as error:
                self.tally.add_fault(f"the drift callback failed: {type(error).__name__}: {error}")


class _FrameLoop:
    """The steps that each frame of an inspection passes."""

    def __init__(
        self,
        inspect: Inspect,
        stations: Mapping[str, Station],
        outlet: Outlet | None,
        callbacks: _Callbacks,
    ) -> None:
        self._inspect = inspect
        self._stations = dict(stations)
        self._outlet = outlet
        self._callbacks = callbacks

    def judge(self, frames: Sequence[Frame], live: frozenset[str]) -> None:
        """Judge the frames of one batch; frames that belong to no part are skipped."""
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
        """Judge the parts whose frames did not arrive in time as INVALID."""
        for camera, station in self._stations.items():
            while (frame := station.rule.overdue()) is not None:
                self._hand_over(replace(frame, camera=camera), invalid(frame.fault), 0.0)

    def _station(self, frame: Frame) -> Station:
        # Created once for each camera, since a rule may have state.
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
        except Exception as error:  # a programming error must neither pass a part nor stop the line
            reason = f"the inspection failed: {type(error).__name__}: {error}"
        if len(views) == 1:
            return [invalid(reason)]
        return [one for view in views for one in self._judged([view])]  # only the failing frame is INVALID

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
        self._callbacks.event(event, frame, inspection)

    def _look_for_drift(self, camera: str, inspection: Inspection, look: QualityResult | None) -> None:
        """Check for drift; called after the verdict was handed over, so that the verdict does not wait."""
        drift = self._stations[camera].drift
        if drift is None:
            return
        if drift.add(inspection, look):
            self._callbacks.drift(camera, drift.moved)
        elif drift.moved:
            self._callbacks.tally.note_drift(camera, drift.moved)


def _checked(inspection: Inspection) -> Inspection:
    if inspection.verdict is Verdict.INVALID:
        return inspection
    if inspection.score is None or not math.isfinite(inspection.score):
        return invalid(f"the score is not a number: {inspection.score}")
    return inspection
