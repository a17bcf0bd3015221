"""Where a reader puts a frame and whoever judges takes it: one place, so that nothing piles up."""

from __future__ import annotations

import time
from dataclasses import replace

from ..frames import Frame
from .state import Rate

# Weight of the newest of two intervals; the rest is the past's.
_NEWEST = 0.2


class Slot:
    """Holds at most one frame. Of a camera a newer one replaces it, for a file the reader waits.

    A camera's images are decoded only when there is use for them: when the place is empty, when the
    consumer waits, or when it may come before the next one. What was not decoded makes the frame in the slot
    outdated, and an outdated frame is not given out: the next image is.

    Not safe for threads by itself: the reader's lock guards it.

    Args:
        live: Whether frames come at their own pace.
        stale_s: A live frame that has waited for so long is not judged any more; 0 for any time.
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
        """Take note that the camera has just given an image, decoded or not."""
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
        """Put a frame in the place of the older one, which is dropped."""
        self.received.add()
        if self._frame is not None:
            self.dropped.add()
        self._frame, self._outdated, self._hungry = frame, False, False

    def ask(self) -> None:
        """Let the next image be decoded, whatever is expected: somebody waits for it."""
        if self._outdated:
            self._frame, self._outdated = None, False
            self.dropped.add()
        self._hungry = True

    def take(self) -> Frame | None:
        """Take the frame, if there is one that is not outdated."""
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
    """Smooth the time between two calls."""
    if before is None:
        return interval_s, now
    newest = now - before
    return (newest if not interval_s else (1 - _NEWEST) * interval_s + _NEWEST * newest), now
