"""Region trigger: announces a part when something appears in a region of the image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

from ..frames import Frame
from .triggers import Box, Positive, TriggerKind, TriggerTable

_SIDE = 32
_ADAPTATION = 0.02


class RegionTrigger:
    """Announces a part when something has appeared in a region of the image and does not move.

    The appearance of the empty region is learned from the first image, so start with the region empty. It is
    updated slowly while the region stays empty.

    Args:
        box_xywh: The region: left, top, width and height in pixels.
        change: Mean difference in grey levels (0 to 255) from the empty region that counts as a part.

    Raises:
        OptionError: The region is empty, or the change is not above 0.
    """

    def __init__(self, box_xywh: tuple[int, int, int, int], change: float = 12.0) -> None:
        if min(box_xywh[:2]) < 0 or min(box_xywh[2:]) < 1 or not 0 < change < 255:
            raise OptionError(
                f"The region {list(box_xywh)} with a change of {change:g} cannot be used as a trigger.",
                "Give left, top, width and height in pixels, and a change in grey levels such as 12.",
            )
        self._box = box_xywh
        self._change = change
        self._empty: NDArray[np.float32] | None = None
        self._before: NDArray[np.float32] | None = None
        self._there = False
        self._fired_s: float | None = None

    def see(self, frame: Frame) -> None:
        """Compare the region with the empty region and with the previous frame."""
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
        """Return the time of the announcement, if there is one, and clear it."""
        if self._fired_s is None or self._fired_s > clock_s:
            return None
        fired_s, self._fired_s = self._fired_s, None
        return fired_s


class RegionTable(TriggerTable, frozen=True, kw_only=True):
    """``by = "region"``: when something appears in a region and stops moving.

    Attributes:
        box: The region: left, top, width, height in pixels. It must be empty at the start.
        change: Mean difference in grey levels from the empty region that counts as a part.
    """

    box: Box | None = None
    change: Positive = 12.0

    def __post_init__(self) -> None:
        if self.box is None:
            raise ValueError("a region trigger needs box = [left, top, width, height]")


def _make(table: RegionTable) -> RegionTrigger:
    assert table.box is not None
    return RegionTrigger(table.box, table.change)


KIND = TriggerKind("region", RegionTable, _make)
