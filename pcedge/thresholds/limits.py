"""A bundle's thresholds from held-out scores, each with its rate and guarantee."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.manifest import ThresholdInfo

from .conformal import PValues, Rates, review_at, threshold_at, weights_of
from .coverage_guarantee import Guarantee


def find_limits(
    names: Sequence[str],
    scores: NDArray[np.float32],
    map_peaks: NDArray[np.float32],
    rates: Rates,
    method: str,
    *,
    groups: Sequence[str] | None = None,
    folds: int = 0,
    whole: bool = False,
) -> ThresholdInfo:
    """The thresholds from held-out scores of good images.

    Args:
        names: Names of the images.
        scores: Their image scores.
        map_peaks: The largest value of each map.
        rates: At which rates.
        method: How the images were held out, as a phrase.
        groups: The group of each image; None for ungrouped images.
        folds: Number of folds; 1 if one bank saw none of the images; 0 if nothing is guaranteed.
        whole: Whether the bank keeps all patches.

    Raises:
        OptionError: There are too few images for a requested rate.
    """
    grouped = groups is not None and len(set(groups)) < len(names)
    weights = weights_of(groups) if groups is not None and grouped else None
    units = len(set(groups)) if groups is not None else len(names)
    rates.check(units, called="groups of good images" if grouped else "good images")
    rate = rates.of_false_rejects(units)
    review, review_rate = review_at(scores, rate, rates.review, weights)
    guarantee = Guarantee(units, grouped, folds, whole) if folds else None
    proven = guarantee.proven_rate if guarantee else lambda _rate: None
    return ThresholdInfo(
        score=threshold_at(scores, rate, weights),
        map=threshold_at(map_peaks, rate, weights),
        false_reject_rate=rate,
        method=method,
        held_out=dict(zip(names, map(float, scores), strict=True)),
        review=review,
        review_rate=review_rate,
        review_map=None if review_rate is None else threshold_at(map_peaks, review_rate, weights),
        groups=dict(zip(names, groups or (), strict=True)) if grouped else {},
        folds=folds,
        proven_rate=proven(rate),
        review_proven_rate=None if review_rate is None else proven(review_rate),
        guarantee=guarantee.in_words(rate) if guarantee else "",
    )


def without_proof(limits: ThresholdInfo, why: str) -> ThresholdInfo:
    """The same thresholds, marked as having no guarantee.

    Args:
        limits: Thresholds from images that were not truly held out.
        why: The reason, as a sentence.
    """
    return msgspec.structs.replace(limits, proven_rate=None, review_proven_rate=None, guarantee=why)


def p_values_of(limits: ThresholdInfo) -> PValues | None:
    """P-values from the held-out scores behind the thresholds; None if there are no such scores."""
    if not limits.held_out:
        return None
    groups = [limits.groups.get(name, name) for name in limits.held_out]
    return PValues(list(limits.held_out.values()), weights_of(groups) if limits.groups else None)


def map_thresholds(
    limits: ThresholdInfo, threshold: float | None, review: float | None
) -> tuple[float, float | None]:
    """The map values above which the heatmap shows NG, and REVIEW.

    They come from the same images as the score thresholds. If a score threshold is overridden, they are
    scaled by the same factor.

    Args:
        limits: The bundle's thresholds.
        threshold: NG threshold that overrides the bundle's; None for the bundle's own.
        review: REVIEW threshold; None for no REVIEW.
    """
    own = limits.score
    ng = limits.map if threshold is None or own <= 0 else limits.map * threshold / own
    if review is None:
        return ng, None
    if review == limits.review and limits.review_map is not None:
        return ng, limits.review_map
    return ng, limits.map * review / own if own > 0 else ng
