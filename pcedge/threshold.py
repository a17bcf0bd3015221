"""A threshold from good images only, at a stated false-reject rate."""

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

DEFAULT_FALSE_REJECT_RATE = 0.01
DEFAULT_REVIEW_RATE = 0.05
# (n + 1) * (1 - rate) is often a whole number that floating point misses by a hair.
_ROUNDING = 1e-9


def smallest_rate(images: int) -> float:
    """The smallest false-reject rate that so many held-out good images can support."""
    return 1.0 / (images + 1)


def images_needed(rate: float) -> int:
    """How many held-out good images it takes to support a false-reject rate."""
    return ceil(1.0 / rate - 1.0 - _ROUNDING)


def check_rate(
    rate: float, images: int, *, called: str = "good images", remedy: str = "Add good images"
) -> float:
    """Return ``rate`` if so many images support it.

    Args:
        rate: The false-reject rate.
        images: How many held-out good images there are.
        called: What the error calls these.
        remedy: How to get more of them.

    Raises:
        OptionError: It lies outside 0 to 1, or needs more images.
    """
    if not 0.0 < rate < 1.0:
        raise OptionError(
            f"A false-reject rate of {rate:g} makes no sense.",
            "Give a rate between 0 and 1, such as 0.01 for one good part in a hundred.",
        )
    if images < images_needed(rate):
        raise OptionError(
            f"{images} {called} cannot support a false-reject rate of {rate:g}: "
            f"that takes at least {images_needed(rate)}.",
            f"{remedy}, or ask for --false-reject-rate {_round_up(smallest_rate(images))}.",
        )
    return rate


def threshold_at(scores: NDArray[np.float32], rate: float) -> float:
    """The score that a new good image exceeds with a probability of at most ``rate``.

    The ceil((n + 1)(1 - rate))-th smallest of n held-out scores, a conformal quantile (Vovk et al. 2005). For
    scores against the one bank that will be used, which none of the images is in, the rate is guaranteed for
    finite n when good images are exchangeable. For scores from folds, whose banks differ a little from the
    final one, it holds approximately, and errs on the side of too high a threshold.
    """
    rank = ceil((len(scores) + 1) * (1.0 - rate) - _ROUNDING)
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def review_at(scores: NDArray[np.float32], rate: float) -> tuple[float | None, float | None]:
    """A second, lower threshold for parts that somebody is to look at, and its rate.

    The rate is 5 %, or twice that of the first threshold where this is more; none where so few scores cannot
    tell the two thresholds apart.

    Args:
        scores: Held-out scores.
        rate: The false-reject rate of the first threshold.
    """
    review_rate = max(DEFAULT_REVIEW_RATE, 2 * rate)
    if review_rate >= 1 or threshold_at(scores, review_rate) >= threshold_at(scores, rate):
        return None, None
    return threshold_at(scores, review_rate), review_rate


def outliers(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Images whose held-out score stands far out (Tukey's outer fence), the worst first."""
    lower, upper = np.quantile(scores, [0.25, 0.75])
    far = np.flatnonzero(scores > upper + 3.0 * (upper - lower))
    return far[np.argsort(-scores[far], kind="stable")]


def _round_up(rate: float) -> float:
    return -floor(-rate * 1000) / 1000
