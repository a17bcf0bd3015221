"""Buffer for one frame between a reader and the consumer."""

from __future__ import annotations

import time
from dataclasses import replace

from ..frames import Frame
from .state import Rate

# Weight of the newest interval in the moving average.
_NEWEST = 0.2


class Slot:
    """Buffer for one frame. For a live source a newer frame replaces it; otherwise the reader waits.

    Images of a camera are decoded only if they may be used: if the slot is empty, if the consumer waits, or
    if it may ask before the next image arrives. An image that is not decoded makes the frame in the slot
    outdated. An outdated frame is not returned; the next image is.

    Not thread-safe by itself: the lock of the reader guards it.

    Args:
        live: Whether frames arrive in real time.
        stale_s: A live frame that is older than this is not judged any more; 0 for no limit.
    """

    def __init__(self, *, live: bool, stale_s: float) -> None:
        self.received = Rate()
        self.taken = Rate()
        self.dropped = Rate()
        self._live = live
        self._stale_s = stale_s
        self._frame: Frame | None = None
        self._outdated = False
        self._hungry = False
        self._came_s: float | None = None
        self._taken_s: float | None = None
        self._interval_s = 0.0
        self._take_interval_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether there is a frame to take."""
        return self._frame is not None and not self._outdated

    def takes(self) -> bool:
        """Whether a frame may be put now."""
        return self._live or self._frame is None

    def came(self) -> None:
        """Record that the camera has just delivered an image, decoded or not."""
        now = time.monotonic()
        self._interval_s, self._came_s = _smoothed(self._interval_s, self._came_s, now)

    def due(self, within_s: float) -> bool:
        """Whether the camera's next image is expected about now: no further off than ``within_s``."""
        if self._came_s is None:
            return False
        return abs(self._came_s + self._interval_s - time.monotonic()) <= within_s

    def wants_another(self) -> bool:
        """Whether an image that was just captured is worth decoding; if not, it counts as dropped."""
        soon_s = time.monotonic() + self._interval_s - self._take_interval_s
        expected = self._taken_s is None or soon_s >= self._taken_s
        if self._frame is None or self._hungry or expected:
            return True
        self.received.add()
        self.dropped.add()
        self._outdated = True
        return False

    def put(self, frame: Frame) -> None:
        """Store a frame; an older one is dropped."""
        self.received.add()
        if self._frame is not None:
            self.dropped.add()
        self._frame, self._outdated, self._hungry = frame, False, False

    def ask(self) -> None:
        """Request that the next image is decoded, since the consumer waits for it."""
        if self._outdated:
            self._frame, self._outdated = None, False
            self.dropped.add()
        self._hungry = True

    def take(self) -> Frame | None:
        """Remove and return the frame; None if there is none or it is outdated."""
        if self._frame is None or self._outdated:
            return None
        now = time.monotonic()
        self._take_interval_s, self._taken_s = _smoothed(self._take_interval_s, self._taken_s, now)
        frame, self._frame = self._frame, None
        self.taken.add()
        age_s = now - frame.clock_s
        if self._live and 0 < self._stale_s < age_s and not frame.fault:
            return replace(frame, image_rgb=None, fault=f"stale: captured {age_s:.1f} s ago")
        return frame


def _smoothed(interval_s: float, before: float | None, now: float) -> tuple[float, float]:
    """Return the moving average of the interval between calls, and the time of this call."""
    if before is None:
        return interval_s, now
    newest = now - before
    return (newest if not interval_s else (1 - _NEWEST) * interval_s + _NEWEST * newest), now
