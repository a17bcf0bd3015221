"""Running numbers of an inspection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..frames import Verdict

_LATENCIES_KEPT = 10_000


@dataclass(frozen=True)
class Summary:
    """What an inspection came to, at its end or so far.

    Attributes:
        frames: Frames with a verdict, INVALID included.
        verdicts: How many of each verdict; all four are there.
        dropped: Frames of a live source that were replaced by a newer one before their turn.
        seconds: Since the inspection began.
        latency_p50_ms: Median of the events' latency; None before the first frame that was judged. Of the
            last 10,000 frames, like the next.
        latency_p99_ms: 99th percentile of the same.
        by_camera: How many of each verdict every camera has.
        faults: Events or images that could not be written, and what else failed beside the judging.
        last_fault: What the last of these was; empty if there was none.
        drift: What has moved now: camera to quantity to a sentence; without cameras at which nothing has.
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
    drift: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Frames with a verdict per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Tally:
    """Counts while an inspection runs; memory does not grow with its length.

    Attributes:
        dropped: Frames dropped by the stream since it began.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._verdicts: dict[str, dict[Verdict, int]] = {}
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._drift: Mapping[str, Mapping[str, str]] = {}
        self._faults = 0
        self._last_fault = ""
        self._began = time.monotonic()

    def add(self, camera: str, verdict: Verdict, latency_ms: float | None = None) -> None:
        """Count a frame.

        Args:
            camera: Which camera's.
            verdict: What it got.
            latency_ms: How long that took; None when nothing was computed.
        """
        if camera not in self._verdicts:
            # Replaced, not changed, since another thread may be reading it.
            self._verdicts = {**self._verdicts, camera: dict.fromkeys(Verdict, 0)}
        self._verdicts[camera][verdict] += 1
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)

    def add_fault(self, message: str, count: int = 1) -> None:
        """Count what failed beside the judging."""
        self._faults += count
        self._last_fault = message

    def note_drift(self, camera: str, moved: Mapping[str, str]) -> None:
        """Take down what has moved at a camera now: quantity to a sentence; nothing if all is back."""
        # Replaced, not changed, as above.
        others = {name: one for name, one in self._drift.items() if name != camera}
        self._drift = {**others, camera: dict(moved)} if moved else others

    def summary(self) -> Summary:
        """Return the numbers so far."""
        # A copy in one step, because the inspecting thread goes on adding.
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
            drift=self._drift,
        )


def _percentiles(latencies_ms: deque[float]) -> tuple[float | None, float | None]:
    if not latencies_ms:
        return None, None
    p50_ms, p99_ms = np.percentile(np.fromiter(latencies_ms, float), (50, 99))
    return float(p50_ms), float(p99_ms)
