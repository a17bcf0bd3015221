"""How a camera is doing, in a word and in numbers."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any

_WINDOW_S = 10.0


class CameraState(str, Enum):
    """What a camera is doing; only RUNNING gives images."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STALLED = "STALLED"
    RECONNECTING = "RECONNECTING"
    FAILED = "FAILED"
    ENDED = "ENDED"


@dataclass(frozen=True)
class CameraStatus:
    """A camera at one moment.

    Attributes:
        name: What a person calls it; safe to print.
        state: STARTING until its first image; STALLED when none came for too long; RECONNECTING while it is
            opened again; FAILED when that was given up; ENDED when a file or a folder has nothing more.
        reason: Why it is STALLED, RECONNECTING or FAILED; empty otherwise.
        received: Frames it gave, faults included.
        processed: Of these, frames that were taken to be judged.
        dropped: Of these, frames for which a newer one was taken.
        restarts: How often its capture was restarted because it hung or fell silent.
        hanging: Reads of given-up captures that have still not come back from the driver.
        camera_fps: Frames received per second, over the last 10 s; so for the next two.
        processed_fps: Frames taken per second.
        dropped_fps: Frames dropped per second.
        size_wh: Width and height of its latest image; None before the first.
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

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
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
        }


class Rate:
    """Counts something, and how often it happened per second in the last 10 s."""

    def __init__(self) -> None:
        self.total = 0
        self._began = time.monotonic()
        # Whole seconds and what happened in each, so that a fast camera needs no more memory.
        self._seconds: deque[tuple[int, int]] = deque(maxlen=int(_WINDOW_S) + 1)

    def add(self) -> None:
        """Count one."""
        self.total += 1
        second = int(time.monotonic())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))

    def per_second(self) -> float:
        """How often it happened per second."""
        now = time.monotonic()
        recent = sum(count for second, count in self._seconds if second > now - _WINDOW_S)
        return recent / max(min(now - self._began, _WINDOW_S), 1.0)
