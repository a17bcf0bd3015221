"""Drift test of one quantity over time, and of the reject rate."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .quantities import Quantity
from .rank_test import RankTest, RateTest, Side

# Consecutive frames are correlated, so one value represents a block of this many frames. It is an order
# statistic, so that a rare defect in the block has no effect.
BLOCK = 10
# With fewer blocks the reference is too small, and is learned from the first frames of the run instead.
FEWEST_BLOCKS = 5
LEARNED_FRAMES = 200
# The tolerance is this share of the spread of the reference, but not less than the quantity's minimum.
_SPREAD = 0.5
_QUARTILES = 1.349
_SHOWN_BLOCKS = 5
# A quantity counts as steady again after this many blocks within the tolerance.
_BACK_BLOCKS = 20
_RECENT_FRAMES = 200
# The reject rate is shown for this many frames, since eight NG parts in a row may already be too many.
_LATE_FRAMES = 50

Standing = Literal["learning", "steady", "moved"]


@dataclass(frozen=True)
class SeriesState:
    """Status of a quantity.

    Attributes:
        standing: ``learning`` while it has no reference yet, ``steady``, or ``moved``.
        shift: Shift of the last 50 frames from the reference, in the unit of the quantity; for the rejects,
            the reject rate in these frames. None before.
        tolerance: How far the quantity may vary; None before it has a reference.
        evidence: Wealth of the test; exceeds 1 / a with a probability of at most a if nothing has moved.
        side: Direction in which it has moved; None if it has not.
        learned: Whether the reference was learned from the first frames of this run.
        frames: Number of frames with a value of the quantity.
    """

    standing: Standing
    shift: float | None
    tolerance: float | None
    evidence: float
    side: Side | None
    learned: bool
    frames: int


class Series:
    """Tests the values of one quantity, frame by frame.

    Args:
        quantity: The quantity.
        reference: Its values at fit, in the order of the images; if there are fewer than 50, the reference is
            learned from the first frames.
        limit: The evidence at which it counts as moved.
        random: Random numbers that break ties.
    """

    def __init__(
        self,
        quantity: Quantity,
        reference: NDArray[np.float64],
        limit: float,
        random: np.random.Generator,
    ) -> None:
        self._quantity = quantity
        self._limit = limit
        self._random = random
        self._block: list[float] = []
        self._recent: deque[float] = deque(maxlen=_SHOWN_BLOCKS)
        self._frames = self._back = 0
        self._shift: float | None = None
        self._side: Side | None = None
        self._test: RankTest | None = None
        self._first: list[float] | None = None
        if len(reference) >= FEWEST_BLOCKS * BLOCK:
            self._refer_to(np.asarray(reference, np.float64))
        else:
            self._first = []

    def add(self, value: float) -> bool:
        """Add the value of a frame; returns whether the status has changed."""
        if not math.isfinite(value):
            return False
        self._frames += 1
        if self._test is None:
            return self._learn(value)
        self._block.append(value)
        if len(self._block) < BLOCK:
            return False
        typical = sorted(self._block)[self._quantity.place]
        self._block.clear()
        self._recent.append(typical)
        self._shift = median(self._recent) - self._middle
        if self._side is not None:
            return self._look_whether_back()
        self._test.add(typical)
        self._side = next((side for side in self._quantity.sides if self._found(side)), None)
        return self._side is not None

    @property
    def state(self) -> SeriesState:
        """The status."""
        test = self._test
        return SeriesState(
            standing="learning" if test is None else "steady" if self._side is None else "moved",
            shift=self._shift,
            tolerance=None if test is None else self._tolerance,
            evidence=self._evidence(),
            side=self._side,
            learned=self._first is not None,
            frames=self._frames,
        )

    def suspects(self, wealth: float) -> bool:
        """Whether it has moved, or the evidence is at least ``wealth``."""
        return self._side is not None or self._evidence() >= wealth

    def _evidence(self) -> float:
        test = self._test
        return 1.0 if test is None else max(test.wealth(side) for side in self._quantity.sides)

    def _learn(self, value: float) -> bool:
        assert self._first is not None
        self._first.append(value)
        if len(self._first) < LEARNED_FRAMES:
            return False
        self._refer_to(np.array(self._first))
        self._first.clear()
        return True

    def _refer_to(self, values: NDArray[np.float64]) -> None:
        lower, upper = np.quantile(values, [0.25, 0.75])
        self._tolerance = max(self._quantity.tolerance, _SPREAD * float(upper - lower) / _QUARTILES)
        whole = values[: len(values) // BLOCK * BLOCK].reshape(-1, BLOCK)
        self._reference = np.sort(whole, axis=1)[:, self._quantity.place]
        self._middle = float(np.median(self._reference))
        self._start()

    def _start(self) -> None:
        quantity = self._quantity
        self._test = RankTest(self._reference, quantity.grid, self._tolerance, quantity.sides, self._random)

    def _found(self, side: Side) -> bool:
        assert self._test is not None
        return self._test.wealth(side) >= self._limit

    def _look_whether_back(self) -> bool:
        assert self._shift is not None
        self._back = self._back + 1 if abs(self._shift) <= self._tolerance else 0
        if self._back < _BACK_BLOCKS:
            return False
        self._side, self._back = None, 0
        self._start()
        return True


class Rejects:
    """Tests whether more parts are NG than is normal for good parts.

    Args:
        rate: The highest reject rate that is normal.
        limit: The evidence at which there are too many.
    """

    def __init__(self, rate: float, limit: float) -> None:
        self._rate = rate
        self._limit = limit
        self._test = RateTest(rate)
        self._recent: deque[bool] = deque(maxlen=_RECENT_FRAMES)
        self._frames = 0
        self._too_many = False

    def add(self, rejected: bool) -> bool:
        """Add a verdict; returns whether the status has changed."""
        self._frames += 1
        self._recent.append(rejected)
        if self._too_many:
            if self._share() > self._rate or len(self._recent) < _RECENT_FRAMES:
                return False
            self._too_many = False
            self._test = RateTest(self._rate)
            return True
        self._test.add(rejected)
        self._too_many = self._test.wealth >= self._limit
        return self._too_many

    @property
    def state(self) -> SeriesState:
        """The status."""
        return SeriesState(
            standing="moved" if self._too_many else "steady",
            shift=self._share_of_late() if self._recent else None,
            tolerance=self._rate,
            evidence=self._test.wealth,
            side="up" if self._too_many else None,
            learned=False,
            frames=self._frames,
        )

    def _share(self) -> float:
        return sum(self._recent) / len(self._recent)

    def _share_of_late(self) -> float:
        late = list(self._recent)[-_LATE_FRAMES:]
        return sum(late) / len(late)
