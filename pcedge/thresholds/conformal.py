"""Thresholds from good images only, at stated false-reject rates: conformal quantiles and their p-values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

DEFAULT_FALSE_REJECT_RATE = 0.01
DEFAULT_REVIEW_RATE = 0.05
# (n + 1) * (1 - rate) is often a whole number that floating point misses by a hair.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Rates:
    """How many good parts may be called NG, and how many of them NG or REVIEW.

    Attributes:
        false_reject: None for 1 % or the smallest rate that the images support, whichever is larger.
        review: None for 5 % or twice the false-reject rate, whichever is larger.
    """

    false_reject: float | None = None
    review: float | None = None

    def check(self, units: int, *, called: str = "good images", remedy: str = "Add good images") -> None:
        """Check that so many held-out images, or groups of them, support what was asked for.

        Raises:
            OptionError: They do not, or a rate makes no sense.
        """
        if self.false_reject is not None:
            check_rate(self.false_reject, units, called=called, remedy=remedy)
        if self.review is None:
            return
        check_rate(self.review, units, called=called, remedy=remedy, option="--review-rate")
        first = self.of_false_rejects(units)
        if self.review <= first:
            raise OptionError(
                f"A review rate of {self.review:g} leaves nothing to review: {first:.3g} of good parts may "
                "be NG, and those are counted with it.",
                f"Ask for a --review-rate above {first:.3g}, or for a smaller --false-reject-rate.",
            )

    def of_false_rejects(self, units: int) -> float:
        """The false-reject rate: as asked for, or the default that so many images support."""
        if self.false_reject is not None:
            return self.false_reject
        return max(DEFAULT_FALSE_REJECT_RATE, smallest_rate(units))


def smallest_rate(images: int) -> float:
    """The smallest false-reject rate that so many held-out good images can support."""
    return 1.0 / (images + 1)


def images_needed(rate: float) -> int:
    """How many held-out good images it takes to support a false-reject rate."""
    return ceil(1.0 / rate - 1.0 - _ROUNDING)


def check_rate(
    rate: float,
    images: int,
    *,
    called: str = "good images",
    remedy: str = "Add good images",
    option: str = "--false-reject-rate",
) -> float:
    """Return ``rate`` if so many images support it.

    Args:
        rate: The false-reject rate.
        images: How many held-out good images, or groups of them, there are.
        called: What the error calls these.
        remedy: How to get more of them.
        option: By which the rate is asked for.

    Raises:
        OptionError: It lies outside 0 to 1, or needs more images.
    """
    name = option.strip("-").replace("-rate", " rate")
    if not 0.0 < rate < 1.0:
        raise OptionError(
            f"A {name} of {rate:g} makes no sense.",
            "Give a rate between 0 and 1, such as 0.01 for one good part in a hundred.",
        )
    if images < images_needed(rate):
        raise OptionError(
            f"{images} {called} cannot support a {name} of {rate:g}: "
            f"that takes at least {images_needed(rate)}.",
            f"{remedy}, or ask for {option} {_round_up(smallest_rate(images))}.",
        )
    return rate


def weights_of(groups: Sequence[str]) -> NDArray[np.float64]:
    """What each image counts, float64 [images]: those of a group count as one image together."""
    sizes = Counter(groups)
    return np.array([1.0 / sizes[group] for group in groups])


def threshold_at(
    scores: NDArray[np.float32], rate: float, weights: NDArray[np.float64] | None = None
) -> float:
    """The score that a new good image exceeds with a probability of at most ``rate``.

    The ceil((n + 1)(1 - rate))-th smallest of n held-out scores, a conformal quantile (Vovk et al. 2005). For
    scores against the one bank that will be used, which none of the images is in, the rate is guaranteed for
    finite n when good images are exchangeable. For scores from folds see ``coverage_guarantee``.

    Where images were taken in groups, n is their number, and the images of a group share the weight of one:
    the rate then holds for an image of a new group, when groups are exchangeable and the images within them
    (hierarchical conformal prediction, Lee, Barber and Willett 2023).

    Args:
        scores: Held-out scores.
        rate: The false-reject rate.
        weights: Of each score, as ``weights_of`` gives them; None where every image stands alone.
    """
    order = np.argsort(scores, kind="stable")
    below = np.arange(1.0, len(scores) + 1) if weights is None else np.cumsum(weights[order])
    rank = np.searchsorted(below, (below[-1] + 1.0) * (1.0 - rate) - _ROUNDING)
    return float(scores[order[min(int(rank), len(scores) - 1)]])


class PValues:
    """How unusual a score is among those of good images: the conformal p-value.

    For scores of one bank it is a p-value in the strict sense: of new good images, a share of at most p has
    one of p or less, whatever p. A score is above ``threshold_at`` of a rate just where its p-value is that
    rate or less.

    Args:
        scores: Held-out scores of good images.
        weights: Of each score, as ``weights_of`` gives them; None where every image stands alone.
    """

    def __init__(
        self, scores: NDArray[np.float32] | Sequence[float], weights: NDArray[np.float64] | None = None
    ) -> None:
        values = np.asarray(scores, np.float64)
        counts = np.ones(len(values)) if weights is None else weights
        order = np.argsort(values, kind="stable")
        self._sorted = values[order]
        # What the scores from each place on count together; nothing after the last.
        self._above = np.append(np.cumsum(counts[order][::-1])[::-1], 0.0)
        self._units = self._above[0]

    def of(self, score: float) -> float:
        """(1 + how many held-out images scored as much or more) / (n + 1)."""
        place = self._sorted.searchsorted(score)
        return float((1.0 + self._above[place]) / (1.0 + self._units))


def review_at(
    scores: NDArray[np.float32],
    rate: float,
    review_rate: float | None = None,
    weights: NDArray[np.float64] | None = None,
) -> tuple[float | None, float | None]:
    """A second, lower threshold for parts that somebody is to look at, and its rate.

    None where so few scores cannot tell the two thresholds apart.

    Args:
        scores: Held-out scores.
        rate: The false-reject rate of the first threshold.
        review_rate: That of the second; None for 5 %, or twice that of the first where this is more.
        weights: Of each score, as ``weights_of`` gives them; None where every image stands alone.
    """
    if review_rate is None:
        review_rate = max(DEFAULT_REVIEW_RATE, 2 * rate)
    if review_rate >= 1 or threshold_at(scores, review_rate, weights) >= threshold_at(scores, rate, weights):
        return None, None
    return threshold_at(scores, review_rate, weights), review_rate


def outliers(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Images whose held-out score stands far out (Tukey's outer fence), the worst first."""
    far = np.flatnonzero(scores > outer_fence(scores))
    return far[np.argsort(-scores[far], kind="stable")]


def outer_fence(scores: NDArray[np.float32]) -> float:
    """Tukey's outer fence: three times the quartiles' distance above the upper one."""
    lower, upper = np.quantile(scores, [0.25, 0.75])
    return float(upper + 3.0 * (upper - lower))


def _round_up(rate: float) -> float:
    return -floor(-rate * 1000) / 1000
