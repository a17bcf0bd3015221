"""Conformal thresholds and p-values from the scores of good images."""

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
    """The share of good parts that may be NG, and the share that may be NG or REVIEW.

    Attributes:
        false_reject: None for 1 % or the smallest rate that the images support, whichever is larger.
        review: None for 5 % or twice the false-reject rate, whichever is larger.
    """

    false_reject: float | None = None
    review: float | None = None

    def check(self, units: int, *, called: str = "good images", remedy: str = "Add good images") -> None:
        """Check that this number of held-out images, or groups, supports the requested rates.

        Raises:
            OptionError: There are too few images, or a rate is invalid.
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
        """The requested false-reject rate, or the default for this number of images."""
        if self.false_reject is not None:
            return self.false_reject
        return max(DEFAULT_FALSE_REJECT_RATE, smallest_rate(units))


def smallest_rate(images: int) -> float:
    """The smallest false-reject rate supported by this number of held-out good images."""
    return 1.0 / (images + 1)


def images_needed(rate: float) -> int:
    """The number of held-out good images needed for a false-reject rate."""
    return ceil(1.0 / rate - 1.0 - _ROUNDING)


def check_rate(
    rate: float,
    images: int,
    *,
    called: str = "good images",
    remedy: str = "Add good images",
    option: str = "--false-reject-rate",
) -> float:
    """Return ``rate`` if this number of images supports it.

    Args:
        rate: The false-reject rate.
        images: Number of held-out good images, or groups.
        called: What the error message calls them.
        remedy: How to get more of them, for the error message.
        option: The option that sets the rate.

    Raises:
        OptionError: It lies outside 0 to 1, or needs more images.
    """
    name = option.strip("-").replace("-rate", " rate")
    if not 0.0 < rate < 1.0:
        raise OptionError(
            f"A {name} of {rate:g} makes no sense.",
            f"For {rate:g} in a hundred give {option} {rate:g}%."
            if 1.0 <= rate < 100.0
            else "Give a rate between 0 and 1, such as 0.01 or 1% for one good part in a hundred.",
        )
    if images < images_needed(rate):
        raise OptionError(
            f"{images} {called} cannot support a {name} of {rate:g}: "
            f"that takes at least {images_needed(rate)}.",
            f"{remedy}, or ask for {option} {_round_up(smallest_rate(images))}.",
        )
    return rate


def weights_of(groups: Sequence[str]) -> NDArray[np.float64]:
    """Weight of each image, float64 [images]; the images of a group add up to 1."""
    sizes = Counter(groups)
    return np.array([1.0 / sizes[group] for group in groups])


def threshold_at(
    scores: NDArray[np.float32], rate: float, weights: NDArray[np.float64] | None = None
) -> float:
    """The threshold that a new good image exceeds with a probability of at most ``rate``.

    The ceil((n + 1)(1 - rate))-th smallest of n held-out scores, a conformal quantile (Vovk et al. 2005). For
    scores against the one bank in use, which was fitted on none of the images, the rate is guaranteed for
    finite n when good images are exchangeable. For scores from folds see ``coverage_guarantee``.

    Where images were taken in groups, n is their number, and the images of a group share the weight of one:
    the rate then holds for an image of a new group, when groups are exchangeable and the images within them
    (hierarchical conformal prediction, Lee, Barber and Willett 2023).

    Args:
        scores: Held-out scores.
        rate: The false-reject rate.
        weights: Weight of each score, from ``weights_of``; None for ungrouped images.
    """
    order = np.argsort(scores, kind="stable")
    below = np.arange(1.0, len(scores) + 1) if weights is None else np.cumsum(weights[order])
    rank = np.searchsorted(below, (below[-1] + 1.0) * (1.0 - rate) - _ROUNDING)
    return float(scores[order[min(int(rank), len(scores) - 1)]])


class PValues:
    """Conformal p-values: how unusual a score is among those of held-out good images.

    For scores of one bank these are valid p-values: for every p, at most a share p of new good images has a
    p-value of p or less. A score is above ``threshold_at`` of a rate exactly when its p-value is at most that
    rate.

    Args:
        scores: Held-out scores of good images.
        weights: Weight of each score, from ``weights_of``; None for ungrouped images.
    """

    def __init__(
        self, scores: NDArray[np.float32] | Sequence[float], weights: NDArray[np.float64] | None = None
    ) -> None:
        values = np.asarray(scores, np.float64)
        counts = np.ones(len(values)) if weights is None else weights
        order = np.argsort(values, kind="stable")
        self._sorted = values[order]
        # Sum of the weights from each position on; 0 after the last.
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
    """The lower threshold, for parts that need manual review, and its rate.

    None if there are too few scores to separate the two thresholds.

    Args:
        scores: Held-out scores.
        rate: The false-reject rate of the first threshold.
        review_rate: The rate of the second; None for 5 % or twice the first rate, whichever is larger.
        weights: Weight of each score, from ``weights_of``; None for ungrouped images.
    """
    if review_rate is None:
        review_rate = max(DEFAULT_REVIEW_RATE, 2 * rate)
    if review_rate >= 1 or threshold_at(scores, review_rate, weights) >= threshold_at(scores, rate, weights):
        return None, None
    return threshold_at(scores, review_rate, weights), review_rate


def outliers(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Images whose held-out score is an extreme outlier (Tukey's outer fence), the worst first."""
    far = np.flatnonzero(scores > outer_fence(scores))
    return far[np.argsort(-scores[far], kind="stable")]


def outer_fence(scores: NDArray[np.float32]) -> float:
    """Tukey's outer fence: the upper quartile plus three interquartile ranges."""
    lower, upper = np.quantile(scores, [0.25, 0.75])
    return float(upper + 3.0 * (upper - lower))


def _round_up(rate: float) -> float:
    return -floor(-rate * 1000) / 1000
