"""Time trigger: announces a part at a fixed interval."""

from __future__ import annotations

import time

from pcedge.errors import OptionError

from ..frames import Frame
from .triggers import Positive, TriggerKind, TriggerTable


class TimeTrigger:
    """Announces a part every ``every_s`` seconds.

    Raises:
        OptionError: The interval is not above 0.
    """

    def __init__(self, every_s: float) -> None:
        if not every_s > 0:
            raise OptionError(f"A part every {every_s:g} s makes no sense.", "Give more than 0 seconds.")
        self._every_s = every_s
        self._next_s = time.monotonic()

    def see(self, frame: Frame) -> None:
        """Ignore frames."""

    def fired_before(self, clock_s: float) -> float | None:
        """Return the time of the latest announcement; earlier ones that were missed are skipped."""
        if clock_s < self._next_s:
            return None
        fired_s = self._next_s
        missed = int((clock_s - fired_s) / self._every_s)
        self._next_s = fired_s + (missed + 1) * self._every_s
        return fired_s + missed * self._every_s


class TimeTable(TriggerTable, frozen=True, kw_only=True):
    """``by = "time"``: at a fixed interval.

    Attributes:
        every_s: Interval in seconds.
    """

    every_s: Positive | None = None

    def __post_init__(self) -> None:
        if self.every_s is None:
            raise ValueError("a time trigger needs every_s")


def _make(table: TimeTable) -> TimeTrigger:
    assert table.every_s is not None
    return TimeTrigger(table.every_s)


KIND = TriggerKind("time", TimeTable, _make)
