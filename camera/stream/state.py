"""State and status of a camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_WINDOW_S = 10.0


class CameraState(str, Enum):
    """State of a camera; images arrive only in RUNNING."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STALLED = "STALLED"
    RECONNECTING = "RECONNECTING"
    FAILED = "FAILED"
    ENDED = "ENDED"


@dataclass(frozen=True)
class CameraStatus:
    """Status of a camera.

    Attributes:
        name: Display name; safe to print.
        state: STARTING until the first image; STALLED after too long without one; RECONNECTING while it is
            opened again; FAILED if that was given up; ENDED at the end of a file or a folder.
        reason: Why it is STALLED, RECONNECTING or FAILED; empty otherwise.
        received: Frames received, faults included.
        processed: Received frames that were passed on for judging.
        dropped: Received frames that were replaced by a newer one.
        restarts: How often the capture was restarted after a stall.
        hanging: Reads of abandoned captures that have not returned from the driver yet.
        camera_fps: Frames received per second in the last 10 s.
        processed_fps: Frames processed per second in the last 10 s.
        dropped_fps: Frames dropped per second in the last 10 s.
        size_wh: Width and height of the latest image; None before the first.
        left_out: For a folder: number of files and subfolders that are not judged, by reason.
    """

    name: str
    state: CameraState
    reason: str
    received: int
    processed: int
    dropped: int
    restarts: int
    hanging: int
    camera_fps: float
    processed_fps: float
    dropped_fps: float
    size_wh: tuple[int, int] | None
    left_out: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "camera": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "received": self.received,
            "processed": self.processed,
            "dropped": self.dropped,
            "restarts": self.restarts,
            "hanging": self.hanging,
            "camera_fps": round(self.camera_fps, 2),
            "processed_fps": round(self.processed_fps, 2),
            "dropped_fps": round(self.dropped_fps, 2),
            "size": self.size_wh,
            "left_out": dict(self.left_out),
        }


class Rate:
    """Counter with the rate per second in the last 10 s."""

    def __init__(self) -> None:
        self.total = 0
        self._began = time.monotonic()
        # Counts per whole second, so that memory does not depend on the frame rate.
        self._seconds: deque[tuple[int, int]] = deque(maxlen=int(_WINDOW_S) + 1)

    def add(self) -> None:
        """Add one to the count."""
        self.total += 1
        second = int(time.monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))

    def per_second(self) -> float:
        """Return the rate per second in the last 10 s."""
        now = time.monotonic()
        recent = sum(count for second, count in self._seconds if second > now - _WINDOW_S)
        return recent / max(min(now - self._began, _WINDOW_S), 1.0)
