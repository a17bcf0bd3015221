"""Shares of images, with the interval that so few images support."""

import math

import numpy as np
from numpy.typing import NDArray

from .metric import CONFIDENCE, Metric

_STEPS = 60


def rate(count: int, total: int, of: str) -> Metric:
    """The share ``count`` of ``total`` with its Clopper-Pearson interval.

    That interval never promises more than it holds: the true share lies within it at least 95 times in 100,
    whatever it is and however few images there are. Others (Wilson's) are shorter and hold on average only,
    and an average is no comfort where no miss was seen in a handful of defects.

    Args:
        count: Images to which it happened.
        total: Images to which it could.
        of: What they are, for the reason where there are none.
    """
    if not total:
        return Metric.undefined(f"no {of}")
    tail = (1 - CONFIDENCE) / 2
    logs = _log_binomials(total)
    low = 0.0 if count == 0 else _solve(logs[count:], count, total, tail, rising=True)
    high = 1.0 if count == total else _solve(logs[: count + 1], 0, total, tail, rising=False)
    return Metric(count / total, low, high)


def _log_binomials(n: int) -> NDArray[np.float64]:
    factorials = np.array([math.lgamma(k + 1) for k in range(n + 1)])
    return np.asarray(factorials[n] - factorials - factorials[::-1], np.float64)


def _solve(logs: NDArray[np.float64], first: int, n: int, tail: float, *, rising: bool) -> float:
    """The share at which ``first`` and the following counts together have the probability ``tail``."""
    counts = np.arange(first, first + len(logs))
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        share = (low + high) / 2
        terms = logs + counts * math.log(share) + (n - counts) * math.log1p(-share)
        if (float(np.exp(terms).sum()) < tail) == rising:
            low = share
        else:
            high = share
    return (low + high) / 2
