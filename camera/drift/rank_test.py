"""Has a number that comes again and again moved away from where it was? Tested at every step, for ever."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .martingale import Martingale

Side = Literal["up", "down"]

# Densities k u^(k - 1) of the rank, for shifts of any size.
_POWERS = (2, 4, 8, 16, 32)
# Bets that a value lies beyond these quantiles of the reference, with these parts of what is placed.
_QUANTILES = (0.5, 0.9, 1.0)
_PARTS = (0.5, 0.95)
# Bins whose counts are summed up together.
_BLOCK = 64


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
        places = [grid.bin(value) for value in reference.tolist()]
        self._counts = _Histogram(places, grid.bins)
        self._sides = {side: _OneSide(places, side) for side in sides}

    def add(self, value: float) -> None:
        """Rank a value, settle the bets, and count it among those that later ones are ranked among."""
        place = self._grid.bin(value)
        for name, side in self._sides.items():
            nearer = place - self._nearer if name == "up" else place + self._nearer
            side.settle(self._rank(nearer, name), self._counts.total)
            side.count(place)
        self._counts.add(place)

    def wealth(self, side: Side) -> float:
        """The evidence that values have moved to a side; see :class:`Martingale`."""
        return self._sides[side].capital.wealth

    def _rank(self, place: int, side: Side) -> float:
        """Share of all values that lie before a place, in the direction of a side; 0 to 1."""
        counts = self._counts
        equal = counts.at(place)
        before = counts.below(place)
        if side == "down":
            before = counts.total - before - equal
        return (before + self._random.random() * (equal + 1)) / (counts.total + 1)


class _Histogram:
    """How many values fell into each bin, and into each block of bins, so that sums are short."""

    def __init__(self, places: Sequence[int], bins: int) -> None:
        self.total = 0
        self._bins = [0] * bins
        self._blocks = [0] * (bins // _BLOCK + 1)
        for place in places:
            self.add(place)

    def add(self, place: int) -> None:
        """Count a value in a bin."""
        self._bins[place] += 1
        self._blocks[place // _BLOCK] += 1
        self.total += 1

    def at(self, place: int) -> int:
        """How many are in a bin; none where there is no such bin."""
        return self._bins[place] if 0 <= place < len(self._bins) else 0

    def below(self, place: int) -> int:
        """How many are in the bins before a place, which may lie beyond them."""
        place = min(max(place, 0), len(self._bins))
        block = place // _BLOCK
        return sum(self._blocks[:block]) + sum(self._bins[block * _BLOCK : place])


class _OneSide:
    """The bets on one direction."""

    def __init__(self, reference: Sequence[int], side: Side) -> None:
        self.capital = Martingale(len(_POWERS) + len(_QUANTILES) * len(_PARTS))
        # Signs are turned so that farther is always larger.
        self._sign = 1 if side == "up" else -1
        turned = sorted(place * self._sign for place in reference)
        self._limits = [turned[math.ceil(q * len(turned)) - 1] for q in _QUANTILES]
        self._within = [bisect_right(turned, limit) for limit in self._limits]

    def settle(self, rank: float, values: int) -> None:
        """Settle all bets on a rank among so many values."""
        self.capital.settle(rank_payoffs(rank, [within / (values + 1) for within in self._within]))

    def count(self, place: int) -> None:
        """Note where a value fell."""
        for number, limit in enumerate(self._limits):
            self._within[number] += place * self._sign <= limit


def rank_payoffs(rank: float, within: Sequence[float]) -> list[float]:
    """What the bets pay for a rank, 0 to 1: 1 in the mean over uniform ranks, never less for a higher one.

    Args:
        rank: The share of the values so far that lie nearer.
        within: The shares of them that lie within limits: that a value lies beyond one is bet on at these
            odds. All below 1.
    """
    beyond = [(rank > share) / (1 - share) - 1 for share in within]
    steps = [1 + part * odds for part in _PARTS for odds in beyond]
    return [power * rank ** (power - 1) for power in _POWERS] + steps


class RateTest:
    """Tests whether something happens more often than it may, whatever happened before.

    The probability of ever finding a wealth of 1 / a is at most a if, given all before, it never happens with
    a probability above the rate. Bets are likelihood ratios of higher rates.

    Args:
        rate: The highest rate that is no news, above 0 and below 1.
    """

    def __init__(self, rate: float) -> None:
        higher = [rate + (1 - rate) * part for part in (0.05, 0.2, 0.5, 0.9)]
        self._payoffs = {
            True: [one / rate for one in higher],
            False: [(1 - one) / (1 - rate) for one in higher],
        }
        self._capital = Martingale(len(higher))

    def add(self, happened: bool) -> None:
        """Settle the bets on one more chance."""
        self._capital.settle(self._payoffs[happened])

    @property
    def wealth(self) -> float:
        """The evidence that it happens more often."""
        return self._capital.wealth
