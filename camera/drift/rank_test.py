"""Sequential tests for drift: a rank test for values and a test for rates."""

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
# Bets that a value lies beyond these quantiles of the reference, with these shares of the capital placed.
_QUANTILES = (0.5, 0.9, 1.0)
_PARTS = (0.5, 0.95)
# Bins whose counts are summed up together.
_BLOCK = 64


@dataclass(frozen=True)
class Grid:
    """Grid that values are rounded to; fixed beforehand, so that it does not depend on the data.

    Attributes:
        lowest: Lower values count as this one.
        highest: Higher values count as this one.
        step: Width of a bin.
    """

    lowest: float
    highest: float
    step: float

    @property
    def bins(self) -> int:
        """Number of bins."""
        return math.ceil((self.highest - self.lowest) / self.step) + 1

    def bin(self, value: float) -> int:
        """Return the bin of a finite value."""
        return int((min(max(value, self.lowest), self.highest) - self.lowest) / self.step)


class RankTest:
    """Tests whether values stay within a tolerance of a reference.

    Every value is moved towards the reference by the tolerance, then ranked among all earlier values, the
    reference included. Suppose the values are exchangeable, except for a component that varies in any way
    within a range as wide as the tolerance. Then such a rank is at most the rank in an exchangeable sequence,
    which is uniform and independent of the earlier ranks (Vovk, Nouretdinov and Gammerman 2003; ties are
    broken at random). All bets pay more for higher ranks, so their expectation is at most 1. Therefore the
    probability that the wealth of a sequence without drift ever reaches 1 / a is at most a for each side.
    This holds for any size of the reference; with a small one it only takes longer to detect a change at the
    start.

    Only a histogram of the values is kept.

    Args:
        reference: Earlier values, at least one.
        grid: The grid that values are rounded to.
        tolerance: How far the values may vary.
        sides: Directions to test.
        random: Random numbers that break ties.
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
        # One bin more, since rounding may increase a difference.
        self._nearer = math.ceil(tolerance / grid.step) + 1
        self._random = random
        places = [grid.bin(value) for value in reference.tolist()]
        self._counts = _Histogram(places, grid.bins)
        self._sides = {side: _OneSide(places, side) for side in sides}

    def add(self, value: float) -> None:
        """Rank a value, settle the bets, and add the value to the histogram."""
        place = self._grid.bin(value)
        for name, side in self._sides.items():
            nearer = place - self._nearer if name == "up" else place + self._nearer
            side.settle(self._rank(nearer, name), self._counts.total)
            side.count(place)
        self._counts.add(place)

    def wealth(self, side: Side) -> float:
        """Return the evidence that values have moved to a side; see :class:`Martingale`."""
        return self._sides[side].capital.wealth

    def _rank(self, place: int, side: Side) -> float:
        """Return the share of all values that lie before a bin in the direction of a side, 0 to 1."""
        counts = self._counts
        equal = counts.at(place)
        before = counts.below(place)
        if side == "down":
            before = counts.total - before - equal
        return (before + self._random.random() * (equal + 1)) / (counts.total + 1)


class _Histogram:
    """Counts of values in each bin and in each block of bins, so that sums are short."""

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
        """Return the count of a bin; 0 if there is no such bin."""
        return self._bins[place] if 0 <= place < len(self._bins) else 0

    def below(self, place: int) -> int:
        """Return the count of all bins before ``place``, which may be outside the grid."""
        place = min(max(place, 0), len(self._bins))
        block = place // _BLOCK
        return sum(self._blocks[:block]) + sum(self._bins[block * _BLOCK : place])


class _OneSide:
    """The bets on one direction."""

    def __init__(self, reference: Sequence[int], side: Side) -> None:
        self.capital = Martingale(len(_POWERS) + len(_QUANTILES) * len(_PARTS))
        # The sign is flipped for "down", so that farther is always larger.
        self._sign = 1 if side == "up" else -1
        turned = sorted(place * self._sign for place in reference)
        self._limits = [turned[math.ceil(q * len(turned)) - 1] for q in _QUANTILES]
        self._within = [bisect_right(turned, limit) for limit in self._limits]

    def settle(self, rank: float, values: int) -> None:
        """Settle all bets on a rank among this number of values."""
        self.capital.settle(rank_payoffs(rank, [within / (values + 1) for within in self._within]))

    def count(self, place: int) -> None:
        """Count a value that fell into bin ``place``."""
        for number, limit in enumerate(self._limits):
            self._within[number] += place * self._sign <= limit


def rank_payoffs(rank: float, within: Sequence[float]) -> list[float]:
    """Return the payoffs of the bets for a rank from 0 to 1.

    The mean over uniform ranks is 1, and a higher rank never pays less.

    Args:
        rank: The share of the earlier values that lie nearer.
        within: The shares of the earlier values within each limit, all below 1; they give the odds of the
            bets that a value lies beyond the limit.
    """
    beyond = [(rank > share) / (1 - share) - 1 for share in within]
    steps = [1 + part * odds for part in _PARTS for odds in beyond]
    return [power * rank ** (power - 1) for power in _POWERS] + steps


class RateTest:
    """Tests whether an event happens more often than a given rate.

    If the probability of the event, given the past, never exceeds the rate, the probability that the wealth
    ever reaches 1 / a is at most a. The bets are likelihood ratios of higher rates.

    Args:
        rate: The highest rate that is allowed, above 0 and below 1.
    """

    def __init__(self, rate: float) -> None:
        higher = [rate + (1 - rate) * part for part in (0.05, 0.2, 0.5, 0.9)]
        self._payoffs = {
            True: [one / rate for one in higher],
            False: [(1 - one) / (1 - rate) for one in higher],
        }
        self._capital = Martingale(len(higher))

    def add(self, happened: bool) -> None:
        """Settle the bets on one more observation."""
        self._capital.settle(self._payoffs[happened])

    @property
    def wealth(self) -> float:
        """The evidence that the event happens more often."""
        return self._capital.wealth
