"""Event: the record of one inspected frame, and its JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from itertools import zip_longest
from typing import Any

from ..frames import Explain, Explanation, Frame, Inspection, Region, Verdict, unexplained


class Phase(str, Enum):
    """Position of an event in the sequence of events of a part."""

    NEW = "new"
    UPDATE = "update"
    END = "end"


@dataclass(frozen=True)
class Part:
    """The part, or the incident, that a frame belongs to, as of this frame.

    Attributes:
        id: Unique id of the part, the same for all of its events.
        phase: ``new`` for its first event, ``update`` for further ones, ``end`` for the last. A part with a
            single frame has one event, its ``end``.
        decision: The decision on the part so far; final if the phase is ``end``.
    """

    id: str
    phase: Phase
    decision: Verdict


@dataclass(frozen=True)
class Event:
    """Record of the verdict on one frame, as it is sent to the sinks.

    Attributes:
        time: When the frame was captured, ISO 8601 in UTC with microseconds.
        source: Name of the source, without a password.
        frame: Number of the frame in its source, from 0.
        name: Display name of the frame.
        verdict: Verdict on this frame: OK, REVIEW, NG or INVALID.
        score: Anomaly score; None when not judged.
        threshold: The score above which the verdict is NG; None when not judged.
        latency_ms: For a live camera, time from capture to verdict; for a file, from its hand-over.
        reason: Why the verdict is INVALID; empty otherwise.
        files: Saved images of this frame: kind (``picture``, ``heatmap``) to path, relative to the directory
            of :class:`~pcedge.camera.ImageSink`; with ``watch`` this is the directory of the events file.
        id: Id of the part that the frame belongs to.
        phase: ``new``, ``update`` or ``end`` of that part.
        camera: Name of the camera.
        product: Product that the frame was judged as; empty if there is only one.
        decision: The decision on the part so far, final if ``phase`` is ``end``; a reject gate acts on it.
            Without part-level rules it is equal to ``verdict``.
        review_threshold: The score above which the verdict is REVIEW; None when there is no REVIEW.
        regions: Anomalous regions.
        explain: Returns their explanations; called only when the event is written.
        p_value: The share of new good parts that is expected to score as high or higher; None when not
            judged or not known.
        drift: Quantities that have drifted at the camera before this frame, each with a sentence.
    """

    time: str
    source: str
    frame: int
    name: str
    verdict: Verdict
    score: float | None
    threshold: float | None
    latency_ms: float
    reason: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    phase: Phase = Phase.END
    camera: str = ""
    product: str = ""
    decision: Verdict = Verdict.INVALID
    review_threshold: float | None = None
    regions: tuple[Region, ...] = ()
    explain: Explain = field(default=unexplained, repr=False, compare=False)
    p_value: float | None = None
    drift: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        frame: Frame,
        inspection: Inspection,
        latency_ms: float,
        files: Mapping[str, str],
        *,
        part: Part | None = None,
        product: str = "",
        drift: Mapping[str, str] | None = None,
    ) -> Event:
        """Create the event of one frame.

        Args:
            frame: The frame.
            inspection: Its result.
            latency_ms: Latency in milliseconds.
            files: Saved images of the frame, kind to path.
            part: The part that it belongs to; None if the frame is a part of its own.
            product: The product that it was judged as.
            drift: Quantities that have drifted at the camera.
        """
        part = part or Part(frame_id(frame), Phase.END, inspection.verdict)
        return cls(
            time=iso_utc(frame.captured_at),
            source=frame.source,
            frame=frame.index,
            name=frame.name,
            verdict=inspection.verdict,
            score=_finite(inspection.score),
            threshold=_finite(inspection.threshold),
            latency_ms=round(latency_ms, 3),
            reason=inspection.reason,
            files=dict(files),
            id=part.id,
            phase=part.phase,
            camera=frame.camera_name,
            product=product,
            decision=part.decision,
            review_threshold=_finite(inspection.review_threshold),
            regions=inspection.regions,
            explain=inspection.explain,
            p_value=_finite(inspection.p_value),
            drift=dict(drift or {}),
        )

    def to_json(self) -> str:
        """Return one line of standard JSON: no NaN, ``null`` for values that are not known."""
        fields = {
            "time": self.time,
            "id": self.id,
            "phase": self.phase.value,
            "camera": self.camera,
            "product": self.product,
            "source": self.source,
            "frame": self.frame,
            "name": self.name,
            "score": _finite(self.score),
            "p_value": _finite(self.p_value),
            "verdict": self.verdict.value,
            "decision": self.decision.value,
            "threshold": _finite(self.threshold),
            "review_threshold": _finite(self.review_threshold),
            "regions": [_region(*pair) for pair in zip_longest(self.regions, self.explain())],
            "latency_ms": _finite(self.latency_ms),
            "reason": self.reason,
            "files": dict(self.files),
            "drift": dict(self.drift),
        }
        return json.dumps(fields, allow_nan=False)


def frame_id(frame: Frame) -> str:
    """Return a unique id of a frame; for a file it is the same after a restart."""
    moment = datetime.fromtimestamp(frame.captured_at, timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    return frame.key or f"{frame.camera_name}-{moment}-{frame.index:06d}"


def iso_utc(unix_s: float) -> str:
    """Format Unix time in seconds as ``2026-11-22T10:15:30.123456+00:00``."""
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="microseconds")


def _region(region: Region, explanation: Explanation | None) -> dict[str, Any]:
    return {
        "box": region.box_xywh,
        "area": region.area_px,
        "peak": _finite(region.peak),
        "peak_at": region.peak_xy,
        "contour": region.contour_xy,
        "nearest_normal": None if explanation is None else nearest_normal(explanation),
    }


def nearest_normal(explanation: Explanation) -> dict[str, Any]:
    """Convert an explanation to JSON types, without the crop."""
    times = _finite(explanation.times_typical)
    return {
        "image": explanation.image,
        "at": explanation.normal_xy,
        "patch": explanation.patch_xywh,
        "distance": _finite(explanation.distance),
        "typical_distance": _finite(explanation.typical_distance),
        "times_typical": None if times is None else round(times, 3),
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
