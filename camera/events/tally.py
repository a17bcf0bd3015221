"""Running counts and latencies of an inspection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..frames import Verdict

_LATENCIES_KEPT = 10_000
_FAULTS_KEPT = 20


@dataclass(frozen=True)
class Summary:
    """Counts and latencies of an inspection, so far or at its end.

    Attributes:
        frames: Frames with a verdict, INVALID included.
        verdicts: Count of each verdict; all four are present.
        dropped: Frames of a live source that were replaced by a newer one before they were judged.
        seconds: Time since the start of the inspection.
        latency_p50_ms: Median latency of the last 10,000 frames; None before the first judged frame.
        latency_p99_ms: 99th percentile of the same.
        by_camera: Count of each verdict by camera.
        faults: Events or images that could not be written, and other failures outside of judging.
        last_fault: The last of these; empty if there was none.
        fault_texts: The different ones, at most 20.
        drift: Current drift: camera to quantity to a sentence; cameras without drift are left out.
    """

    frames: int
    verdicts: Mapping[Verdict, int]
    dropped: int
    seconds: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    by_camera: Mapping[str, Mapping[Verdict, int]]
    faults: int = 0
    last_fault: str = ""
    fault_texts: tuple[str, ...] = ()
    drift: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Frames with a verdict per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Tally:
    """Counts verdicts while an inspection runs; memory does not grow with its length.

    Attributes:
        dropped: Frames dropped by the stream since its start.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._judged_s: dict[str, float] = {}
        self._verdicts: dict[str, dict[Verdict, int]] = {}
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._drift: Mapping[str, Mapping[str, str]] = {}
        self._faults = 0
        self._last_fault = ""
        self._fault_texts: tuple[str, ...] = ()
        self._began = time.monotonic()

    def add(self, camera: str, verdict: Verdict, latency_ms: float | None = None) -> None:
        """Count a frame.

        Args:
            camera: Name of the camera.
            verdict: Its verdict.
            latency_ms: Latency in milliseconds; None if the frame was not judged.
        """
        if camera not in self._verdicts:
            # Replaced, not changed, since another thread may be reading it.
            self._verdicts = {**self._verdicts, camera: dict.fromkeys(Verdict, 0)}
        self._verdicts[camera][verdict] += 1
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)
            self._judged_s[camera] = time.monotonic()

    def add_fault(self, message: str, count: int = 1) -> None:
        """Count a failure outside of judging."""
        self._faults += count
        self._last_fault = message
        if message not in self._fault_texts and len(self._fault_texts) < _FAULTS_KEPT:
            self._fault_texts = (*self._fault_texts, message)

    def note_drift(self, camera: str, moved: Mapping[str, str]) -> None:
        """Set the current drift of a camera: quantity to a sentence; empty for no drift."""
        # Replaced, not changed, as above.
        others = {name: one for name, one in self._drift.items() if name != camera}
        self._drift = {**others, camera: dict(moved)} if moved else others

    @property
    def judged_s(self) -> Mapping[str, float]:
        """When a frame of each camera was last judged, by ``time.monotonic()``."""
        return self._judged_s.copy()

    def summary(self) -> Summary:
        """Return the counts so far."""
        # An atomic copy, because the inspecting thread keeps adding.
        p50_ms, p99_ms = _percentiles(self._latencies_ms.copy())
        by_camera = {camera: dict(verdicts) for camera, verdicts in self._verdicts.items()}
        counts = {verdict: sum(one[verdict] for one in by_camera.values()) for verdict in Verdict}
        return Summary(
            frames=sum(counts.values()),
            verdicts=counts,
            dropped=self.dropped,
            seconds=time.monotonic() - self._began,
            latency_p50_ms=p50_ms,
            latency_p99_ms=p99_ms,
            by_camera=by_camera,
            faults=self._faults,
            last_fault=self._last_fault,
            fault_texts=self._fault_texts,
            drift=self._drift,
        )


def _percentiles(latencies_ms: deque[float]) -> tuple[float | None, float | None]:
    if not latencies_ms:
        return None, None
    p50_ms, p99_ms = np.percentile(np.fromiter(latencies_ms, float), (50, 99))
    return float(p50_ms), float(p99_ms)
