"""What announces a part: the clock, a message, or the image itself."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

from ..frames import Frame

_MOST_WAITING = 64
_SIDE = 32
_ADAPTATION = 0.02


class Trigger(Protocol):
    """Announces parts."""

    def see(self, frame: Frame) -> None:
        """Look at a frame; told of every one, judged or not."""

    def fired_before(self, clock_s: float) -> float | None:
        """Take the oldest announcement made at or before a ``time.monotonic()``; None without one."""


class TimeTrigger:
    """A part every so many seconds.

    Raises:
        OptionError: The time is not above 0.
    """

    def __init__(self, every_s: float) -> None:
        if not every_s > 0:
            raise OptionError(f"A part every {every_s:g} s makes no sense.", "Give more than 0 seconds.")
        self._every_s = every_s
        self._next_s = time.monotonic()

    def see(self, frame: Frame) -> None:
        """The clock does not look."""

    def fired_before(self, clock_s: float) -> float | None:
        """Announce the parts one by one; those missed while nothing ran at all are not made up for."""
        if clock_s < self._next_s:
            return None
        fired_s = self._next_s
        missed = int((clock_s - fired_s) / self._every_s)
        self._next_s = fired_s + (missed + 1) * self._every_s
        return fired_s + missed * self._every_s


class MessageTrigger:
    """A part whenever somebody calls :meth:`fire`, from any thread: a listener for MQTT or HTTP does.

    Announcements that nobody takes are kept up to 64; then the oldest make room.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fired: deque[float] = deque(maxlen=_MOST_WAITING)

    def fire(self) -> None:
        """Announce a part, now."""
        with self._lock:
            self._fired.append(time.monotonic())

    def see(self, frame: Frame) -> None:
        """Messages do not look."""

    def fired_before(self, clock_s: float) -> float | None:
        """Take the oldest announcement."""
        with self._lock:
            return self._fired.popleft() if self._fired and self._fired[0] <= clock_s else None


class RegionTrigger:
    """A part whenever something appears in a region of the image and has come to rest.

    What the empty region looks like is learned from the first image, so begin with it empty, and followed
    slowly while nothing is there.

    Args:
        box_xywh: The region: left, top, width and height in the image.
        change: Mean difference in grey levels, of 255, from which on something is there.

    Raises:
        OptionError: The region is empty, or the change is not above 0.
    """

    def __init__(self, box_xywh: tuple[int, int, int, int], change: float = 12.0) -> None:
        if min(box_xywh[:2]) < 0 or min(box_xywh[2:]) < 1 or not 0 < change < 255:
            raise OptionError(
                f"Nothing can appear in the region {list(box_xywh)} with a change of {change:g}.",
                "Give left, top, width and height in pixels, and a change in grey levels such as 12.",
            )
        self._box = box_xywh
        self._change = change
        self._empty: NDArray[np.float32] | None = None
        self._before: NDArray[np.float32] | None = None
        self._there = False
        self._fired_s: float | None = None

    def see(self, frame: Frame) -> None:
        """Compare the region with what it looks like when empty, and with the frame before."""
        left, top, width, height = self._box
        if frame.image_rgb is None:
            return
        part = frame.image_rgb[top : top + height, left : left + width]
        if not part.size:
            return
        grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
        now = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._before = self._before, now
        if self._empty is None or before is None:
            self._empty = now
            return
        difference = float(np.abs(now - self._empty).mean())
        if difference < self._change / 2:
            self._there = False
            self._empty += _ADAPTATION * (now - self._empty)
        elif (
            difference >= self._change and not self._there and np.abs(now - before).mean() < self._change / 4
        ):
            self._there = True
            self._fired_s = frame.clock_s

    def fired_before(self, clock_s: float) -> float | None:
        """Take the announcement, if there is one; the frame that made it counts."""
        if self._fired_s is None or self._fired_s > clock_s:
            return None
        fired_s, self._fired_s = self._fired_s, None
        return fired_s
