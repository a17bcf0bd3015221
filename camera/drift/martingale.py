"""Test martingale: the evidence against the hypothesis that nothing has changed.

It uses plain floats: for a dozen numbers an array costs ten times as much as the arithmetic, in every frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Half of the capital is bet from the first step, for a change at the start. The rest is released more and
# more slowly, so that some is left for a change after a million steps.
_AT_ONCE = 0.5
_PATIENCE = 100.0
# Above any limit in use; prevents an overflow while evidence keeps growing.
_LARGEST = 1e100


class Martingale:
    """A test martingale for a change at an unknown time: several bets, placed again at every step.

    It starts with 1. If the expectation of every payoff, given the past, is at most 1, it is a non-negative
    supermartingale, so the probability that it *ever* reaches 1 / a is at most a (Ville 1939). A change after
    s steps is detected with the part of the capital reserved for that step: a mixture over the time of the
    change (Shiryaev 1963), with weights that fall like 1 / (s log(s)^2).

    Args:
        bets: Number of bets; each gets the same share of the capital.
    """

    def __init__(self, bets: int) -> None:
        self._placed = [_AT_ONCE / bets] * bets
        self._steps = 0
        self._reserve = 1 - _AT_ONCE
        self._wealth = 1.0

    def settle(self, payoffs: Sequence[float]) -> None:
        """Place the capital due at this step, and multiply each bet by its payoff."""
        self._steps += 1
        reserve = (1 - _AT_ONCE) * math.log(_PATIENCE) / math.log(self._steps + _PATIENCE)
        due = (self._reserve - reserve) / len(self._placed)
        self._reserve = reserve
        self._placed = [
            min((placed + due) * payoff, _LARGEST)
            for placed, payoff in zip(self._placed, payoffs, strict=True)
        ]
        self._wealth = sum(self._placed) + reserve

    @property
    def wealth(self) -> float:
        """Current capital: it ever exceeds 1 / a with a probability of at most a over the whole run."""
        return self._wealth
