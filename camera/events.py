"""What is recorded of one inspected frame."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from .frames import Frame, Inspection, Verdict


@dataclass(frozen=True)
class Event:
    """One frame's verdict, as it goes to the sinks.

    Attributes:
        time: When the frame was captured, ISO 8601 in UTC with microseconds.
        source: The source's name, without password.
        frame: Number of the frame in its source, from 0.
        name: What a person calls the frame.
        verdict: OK, REVIEW, NG or INVALID.
        score: Anomaly score; None when not judged.
        threshold: The score above which the verdict is NG; None when not judged.
        latency_ms: From the frame's hand-over to its verdict.
        reason: Why the verdict is INVALID; empty otherwise.
        files: Pictures kept of this frame: kind (``picture``, ``heatmap``) to path, relative to the directory
            that :class:`~pcedge.camera.Pictures` was given; ``watch`` gives it the events file's own, so
            that directory and path joined open the picture.
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

    @classmethod
    def of(cls, frame: Frame, inspection: Inspection, latency_ms: float, files: Mapping[str, str]) -> Event:
        """Put together what is known of one frame."""
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
        )

    def to_json(self) -> str:
        """One line of standard JSON: no NaN, ``null`` for what was not judged."""
        fields = {
            "time": self.time,
            "source": self.source,
            "frame": self.frame,
            "name": self.name,
            "score": _finite(self.score),
            "verdict": self.verdict.value,
            "threshold": _finite(self.threshold),
            "latency_ms": _finite(self.latency_ms),
            "reason": self.reason,
            "files": dict(self.files),
        }
        return json.dumps(fields, allow_nan=False)


def iso_utc(unix_s: float) -> str:
    """Unix time in seconds as ``2026-11-22T10:15:30.123456+00:00``."""
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="microseconds")


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
