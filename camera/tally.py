"""Running numbers of an inspection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .frames import Verdict

_LATENCIES_KEPT = 10_000


@dataclass(frozen=True)
class Summary:
    """What an inspection came to, at its end or so far.

    Attributes:
        frames: Frames with a verdict, INVALID included.
        verdicts: How many of each verdict; all four are there.
        dropped: Frames of a live source that were replaced by a newer one before their turn.
        seconds: Since the inspection began.
        latency_p50_ms: Median time from a frame's hand-over to its verdict; None before the first
            frame that was judged. Of the last 10,000 frames, like the next.
        latency_p99_ms: 99th percentile of the same.
        sink_faults: Events or pictures that could not be written.
        last_sink_fault: What the last of these was; empty if there was none.
    """

    frames: int
    verdicts: Mapping[Verdict, int]
    dropped: int
    seconds: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    sink_faults: int
    last_sink_fault: str

    @property
    def fps(self) -> float:
        """Frames with a verdict per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Tally:
    """Counts while an inspection runs; memory does not grow with its length."""

    def __init__(self) -> None:
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._dropped = 0
        self._sink_faults = 0
        self._last_sink_fault = ""
        self._began = time.monotonic()

    def add(self, verdict: Verdict, latency_ms: float | None = None, dropped: int = 0) -> None:
        """Count a frame.

        Args:
            verdict: What it got.
            latency_ms: How long that took; None when nothing was computed.
            dropped: Frames dropped by the stream since it began.
        """
        self._verdicts[verdict] += 1
        self._dropped = dropped
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)

    def add_sink_fault(self, message: str) -> None:
        """Count an event or a picture that could not be written."""
        self._sink_faults += 1
        self._last_sink_fault = message

    def summary(self) -> Summary:
        """Return the numbers so far."""
        p50_ms, p99_ms = _percentiles(self._latencies_ms)
        return Summary(
            frames=sum(self._verdicts.values()),
            verdicts=dict(self._verdicts),
            dropped=self._dropped,
            seconds=time.monotonic() - self._began,
            latency_p50_ms=p50_ms,
            latency_p99_ms=p99_ms,
            sink_faults=self._sink_faults,
            last_sink_fault=self._last_sink_fault,
        )


def _percentiles(latencies_ms: deque[float]) -> tuple[float | None, float | None]:
    if not latencies_ms:
        return None, None
    p50_ms, p99_ms = np.percentile(np.fromiter(latencies_ms, float), (50, 99))
    return float(p50_ms), float(p99_ms)
