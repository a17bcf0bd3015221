"""Bets against "nothing has changed": what they have won is the evidence that something has.

Plain numbers throughout: for a dozen of them an array costs ten times the arithmetic, and every frame pays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# Half of the capital bets from the first step, for what is wrong from the start; the rest is paid out for
# ever more slowly, so that a change after a million steps still finds something to bet with.
_AT_ONCE = 0.5
_PATIENCE = 100.0
# More than anybody asks for; what goes on winning must not overflow.
_LARGEST = 1e100


class Martingale:
    """A test martingale that is ready for a change at any time: several bets, each placed anew at every step.

    It begins with 1. If no payoff is above 1 in expectation, whatever came before, it is a non-negative
    supermartingale, so that the probability that it *ever* reaches 1 / a is at most a (Ville 1939). A change
    after s steps is found with the part of the capital that was set aside for that step: a mixture over the
    time of the change (Shiryaev 1963), with weights that fall like 1 / (s log(s)^2).

    Args:
        bets: How many there are; each has the same part of the capital.
    """

    def __init__(self, bets: int) -> None:
        self._placed = [_AT_ONCE / bets] * bets
        self._steps = 0
        self._reserve = 1 - _AT_ONCE
        self._wealth = 1.0

    def settle(self, payoffs: Sequence[float]) -> None:
        """Place what is due at this step, and multiply what is placed by the payoffs, one for each bet."""
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
        """The capital now: above 1 / a with a probability of at most a, over the whole run."""
        return self._wealth
