"""Has a number that comes again and again moved away from where it was? Tested at every step, for ever."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .betting import Capital

Side = Literal["up", "down"]

# Densities k u^(k - 1) of the rank, for shifts of any size.
_POWERS = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
# Bets that a value lies beyond these quantiles of the reference, with these parts of what is placed.
_QUANTILES = (0.5, 0.9, 1.0)
_PARTS = (0.5, 0.95)


@dataclass(frozen=True)
class Grid:
    """How a number is rounded; fixed beforehand, so that rounding depends on no data.

    Attributes:
        lowest: Numbers below count as this one.
        highest: Numbers above count as this one.
        step: The width of a bin.
    """

    lowest: float
    highest: float
    step: float

    @property
    def bins(self) -> int:
        """How many there are."""
        return math.ceil((self.highest - self.lowest) / self.step) + 1

    def bin(self, value: float) -> int:
        """Where a finite number falls."""
        return int((min(max(value, self.lowest), self.highest) - self.lowest) / self.step)


class RankTest:
    """Tests whether values stay where the reference was, but for a tolerance.

    Every value is ranked among all before it, the reference included, as if it lay nearer by the tolerance.
    If the values are exchangeable but for a part of them that wanders, in any way, within a range as wide as
    the tolerance, then such a rank is at most that of an exchangeable sequence, which is uniform and
    independent of those before (Vovk, Nouretdinov and Gammerman 2003; ties are broken at random). All bets
    pay more for higher ranks, hence at most 1 in expectation. So the probability of ever finding a wealth of
    1 / a for a sequence that has not moved is at most a on each side, however small the reference is: it only
    takes longer to notice what happens at the start.

    Of the values nothing but a histogram is kept.

    Args:
        reference: Values from before, at least one.
        grid: How values are rounded.
        tolerance: By how much they may wander.
        sides: Where to look for a shift.
        random: Breaks ties.
    """

    def __init__(
        self,
        reference: NDArray[np.float64],
        grid: Grid,
        tolerance: float,
        sides: Sequence[Side],
        random: np.random.Generator,
    ) -> None:
        self._grid = grid
        # One bin more, for what rounding may add to a difference.
        self._nearer = math.ceil(tolerance / grid.step) + 1
        self._random = random
        places = np.array([grid.bin(value) for value in reference])
        self._counts = np.bincount(places, minlength=grid.bins)
        self._values = len(places)
        self._sides = {side: _OneSide(places, side) for side in sides}

    def add(self, value: float) -> None:
        """Rank a value, settle the bets, and count it among those that later ones are ranked among."""
        place = self._grid.bin(value)
        for name, side in self._sides.items():
            nearer = place - self._nearer if name == "up" else place + self._nearer
            side.settle(self._rank(nearer, name), self._values)
            side.count(place)
        self._counts[place] += 1
        self._values += 1

    def wealth(self, side: Side) -> float:
        """The evidence that values have moved to a side; see :class:`Capital`."""
        return self._sides[side].capital.wealth

    def _rank(self, place: int, side: Side) -> float:
        """Share of all values that lie before a place, in the direction of a side; 0 to 1."""
        counts = self._counts
        inside = 0 <= place < len(counts)
        equal = int(counts[place]) if inside else 0
        before = counts[: max(place, 0)] if side == "up" else counts[place + 1 :]
        return (int(before.sum()) + self._random.random() * (equal + 1)) / (self._values + 1)


class _OneSide:
    """The bets on one direction."""

    def __init__(self, reference: NDArray[np.int64], side: Side) -> None:
        self.capital = Capital(len(_POWERS) + len(_QUANTILES) * len(_PARTS))
        # Signs are turned so that farther is always larger.
        self._sign = 1 if side == "up" else -1
        turned = np.sort(reference * self._sign)
        self._limits = turned[[math.ceil(q * len(turned)) - 1 for q in _QUANTILES]]
        self._within = (turned[:, np.newaxis] <= self._limits).sum(axis=0)

    def settle(self, rank: float, values: int) -> None:
        """Settle all bets on a rank among so many values."""
        self.capital.settle(rank_payoffs(rank, self._within / (values + 1)))

    def count(self, place: int) -> None:
        """Note where a value fell."""
        self._within = self._within + (place * self._sign <= self._limits)


def rank_payoffs(rank: float, within: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the bets pay for a rank, 0 to 1: 1 in the mean over uniform ranks, never less for a higher one.

    Args:
        rank: The share of the values so far that lie nearer.
        within: float64 [limits], the shares of them that lie within limits: that a value lies beyond one is
            bet on at these odds. All below 1.
    """
    beyond = (rank > within) / (1 - within) - 1
    steps = [1 + part * beyond for part in _PARTS]
    return np.concatenate([_POWERS * rank ** (_POWERS - 1), *steps])


class RateTest:
    """Tests whether something happens more often than it may, whatever happened before.

    The probability of ever finding a wealth of 1 / a is at most a if, given all before, it never happens with
    a probability above the rate. Bets are likelihood ratios of higher rates.

    Args:
        rate: The highest rate that is no news, above 0 and below 1.
    """

    def __init__(self, rate: float) -> None:
        higher = rate + (1 - rate) * np.array([0.05, 0.2, 0.5, 0.9])
        self._payoffs = {True: higher / rate, False: (1 - higher) / (1 - rate)}
        self._capital = Capital(len(higher))

    def add(self, happened: bool) -> None:
        """Settle the bets on one more chance."""
        self._capital.settle(self._payoffs[happened])

    @property
    def wealth(self) -> float:
        """The evidence that it happens more often."""
        return self._capital.wealth
