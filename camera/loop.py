"""The loop of an inspection: frame, verdict, event, sinks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice

from pcedge.errors import PcedgeError

from .events import Event
from .frames import Frame, Inspection, Verdict
from .gate import FrameGate
from .sinks import Pictures, Sink
from .stream import Stream
from .tally import Summary, Tally

Inspect = Callable[[Frame], Inspection]
OnEvent = Callable[[Event, Frame, Inspection], None]


def inspect_stream(
    stream: Stream,
    inspect: Inspect,
    *,
    sinks: Sequence[Sink] = (),
    pictures: Pictures | None = None,
    gate: FrameGate | None = None,
    on_event: OnEvent | None = None,
    tally: Tally | None = None,
    max_frames: int | None = None,
    max_seconds: float | None = None,
) -> Summary:
    """Give every frame of a stream a verdict and tell the sinks, until the stream ends.

    Fail-safe: a frame with a fault, one that ``gate`` turns away, one for which ``inspect`` raises
    a ``PcedgeError`` and one whose score is no number all get the verdict INVALID with the reason,
    and the inspection goes on. A sink or a picture that fails is counted and stops nothing either.

    Args:
        stream: Already opened.
        inspect: Turns a frame, which has a picture, into an inspection.
        sinks: Opened and closed here.
        pictures: Keeps pictures of what was found.
        gate: Turns away frames that are not fit to be judged; ``inspect`` never sees those.
        on_event: Called last for every frame, for a live view.
        tally: Counts; hand one in to read it while the inspection runs.
        max_frames: End after this many frames.
        max_seconds: End after this time, also when no frame arrives.

    Raises:
        PcedgeError: A sink cannot be opened, or the source has failed for good.
    """
    tally = Tally() if tally is None else tally
    if max_seconds is not None:
        stream.stop_after(max_seconds)
    with ExitStack() as stack:
        opened = [stack.enter_context(sink) for sink in sinks]
        for frame in islice(stream, max_frames):
            handed_over = time.perf_counter()
            inspection = _judged(frame, inspect, gate)
            latency_ms = (time.perf_counter() - handed_over) * 1000
            files = _kept(pictures, frame, inspection, tally)
            event = Event.of(frame, inspection, latency_ms, files)
            for sink in opened:
                _told(sink, event, tally)
            judged = inspection.verdict is not Verdict.INVALID
            tally.add(inspection.verdict, latency_ms if judged else None, stream.dropped)
            if on_event is not None:
                on_event(event, frame, inspection)
    return tally.summary()


def invalid(reason: str) -> Inspection:
    """What is said of a frame that could not be judged."""
    return Inspection(Verdict.INVALID, score=None, threshold=math.nan, reason=reason)


def _judged(frame: Frame, inspect: Inspect, gate: FrameGate | None) -> Inspection:
    if frame.image_rgb is None or frame.fault:
        return invalid(frame.fault or "there is no picture")
    if gate is not None and (reason := gate.check(frame.image_rgb)):
        return invalid(reason)
    try:
        inspection = inspect(frame)
    except PcedgeError as error:
        return invalid(error.what)
    if inspection.verdict is Verdict.INVALID:
        return inspection
    if inspection.score is None or not math.isfinite(inspection.score):
        return invalid(f"the score is not a number: {inspection.score}")
    return inspection


def _kept(pictures: Pictures | None, frame: Frame, inspection: Inspection, tally: Tally) -> dict[str, str]:
    if pictures is None:
        return {}
    try:
        return pictures.write(frame, inspection)
    except PcedgeError as error:
        tally.add_sink_fault(error.what)
        return {}


def _told(sink: Sink, event: Event, tally: Tally) -> None:
    try:
        sink.write(event)
    except PcedgeError as error:
        tally.add_sink_fault(error.what)
