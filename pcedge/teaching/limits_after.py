"""Thresholds after a lesson: at the same rates, from the held-out scores that the grown bank gives."""

import msgspec

from pcedge.evidence import HeldOutEvidence
from pcedge.manifest import ThresholdInfo
from pcedge.threshold import review_at, smallest_rate, threshold_at


def limits_after(limits: ThresholdInfo, evidence: HeldOutEvidence) -> ThresholdInfo:
    """The same thresholds for scores that have changed since."""
    rate = max(limits.false_reject_rate, smallest_rate(len(evidence.names)))
    review, review_rate = review_at(evidence.scores, rate)
    return msgspec.structs.replace(
        limits,
        score=threshold_at(evidence.scores, rate),
        map=threshold_at(evidence.map_peaks, rate),
        false_reject_rate=rate,
        held_out=dict(zip(evidence.names, map(float, evidence.scores), strict=True)),
        review=review,
        review_rate=review_rate,
    )
