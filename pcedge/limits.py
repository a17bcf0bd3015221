"""From held-out scores to a bundle's thresholds, each at a stated rate and with what is guaranteed of it."""

import msgspec

from pcedge.evidence import HeldOutEvidence
from pcedge.guarantee import Guarantee
from pcedge.manifest import EXACT, ThresholdInfo
from pcedge.threshold import PValues, Rates, review_at, smallest_rate, threshold_at, weights_of


def find_limits(
    evidence: HeldOutEvidence,
    rates: Rates,
    method: str,
    *,
    whole: bool = False,
    images: str = "",
    index: str = EXACT,
) -> ThresholdInfo:
    """The thresholds that held-out scores give.

    Args:
        evidence: The scores.
        rates: At which rates.
        method: How the scores were obtained, in words.
        whole: Whether the bank keeps all patches.
        images: The dataset that the images are from, where it is not the one that was fitted on.
        index: How the bank was searched for the scores.

    Raises:
        OptionError: The images do not support a rate that was asked for.
    """
    grouped = evidence.grouped
    units = evidence.units
    rates.check(units, called="groups of good images" if grouped else "good images")
    rate = rates.of_false_rejects(units)
    weights = weights_of(evidence.groups) if grouped else None
    review, review_rate = review_at(evidence.scores, rate, rates.review, weights)
    guarantee = Guarantee(units, grouped, evidence.held_out.folds, whole)
    return ThresholdInfo(
        score=threshold_at(evidence.scores, rate, weights),
        map=threshold_at(evidence.map_peaks, rate, weights),
        false_reject_rate=rate,
        method=method,
        held_out=dict(zip(evidence.names, map(float, evidence.scores), strict=True)),
        review=review,
        review_rate=review_rate,
        groups=dict(zip(evidence.names, evidence.groups, strict=True)) if grouped else {},
        folds=evidence.held_out.folds,
        proven_rate=guarantee.proven_rate(rate),
        review_proven_rate=None if review_rate is None else guarantee.proven_rate(review_rate),
        guarantee=guarantee.in_words(rate),
        images=images,
        index=index,
    )


def limits_again(limits: ThresholdInfo, evidence: HeldOutEvidence, *, whole: bool = False) -> ThresholdInfo:
    """The same thresholds, at the same rates, for scores that have changed since.

    Where images were left out, so that the rest no longer supports a rate, it becomes the smallest that does.

    Args:
        limits: As they were.
        evidence: The scores as they are now.
        whole: Whether the bank keeps all patches.
    """
    rate = max(limits.false_reject_rate, smallest_rate(evidence.units))
    review = limits.review_rate if limits.review_rate is not None and limits.review_rate > rate else None
    found = find_limits(evidence, Rates(rate, review), limits.method, whole=whole)
    return msgspec.structs.replace(found, images=limits.images, index=limits.index)


def p_values_of(limits: ThresholdInfo) -> PValues | None:
    """How unusual scores are, by the held-out ones that thresholds came from; None where there are none."""
    if not limits.held_out:
        return None
    groups = [limits.groups.get(name, name) for name in limits.held_out]
    return PValues(list(limits.held_out.values()), weights_of(groups) if limits.groups else None)
