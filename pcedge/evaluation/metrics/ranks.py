"""Anomalous scores among normal ones: all that the ranking metrics need to know, and the metrics, exact.

Between two neighbouring anomalous scores no metric here changes with the anomalous side, so the distinct
anomalous scores and the number of normal ones below and level with each say everything. Those are few, where
the normal ones are many.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Scores looked at together, so that many of them cost little memory.
_PART = 1 << 20

Numbers = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where anomalous scores stand among normal ones.

    Attributes:
        scores: The distinct anomalous scores, ascending, [k].
        anomalous: How many anomalous scores are equal to each, [k].
        below: How many normal scores are below each, [k].
        level: How many normal scores are equal to each, [k].
        normals: Normal scores in all.
    """

    scores: NDArray[np.float32]
    anomalous: Numbers
    below: Numbers
    level: Numbers
    normals: int

    @classmethod
    def of(cls, normal: NDArray[np.float32], anomalous: NDArray[np.float32]) -> "Ranks":
        """From the scores themselves, in any order."""
        ordered = np.sort(normal)
        scores, counts = np.unique(anomalous, return_counts=True)
        below = np.searchsorted(ordered, scores, "left")
        level = np.searchsorted(ordered, scores, "right") - below
        return cls(scores, counts, below, level, len(ordered))

    def parts(self) -> "Iterator[Ranks]":
        """The same, a part at a time, the highest scores first."""
        for end in range(len(self.scores), 0, -_PART):
            part = slice(max(end - _PART, 0), end)
            yield Ranks(
                self.scores[part], self.anomalous[part], self.below[part], self.level[part], self.normals
            )


def auroc(ranks: Ranks) -> float:
    """Probability that an anomalous score exceeds a normal one, ties counting half."""
    won = sum(float(np.sum(part.anomalous * (part.below + part.level / 2))) for part in ranks.parts())
    return won / (ranks.normals * float(np.sum(ranks.anomalous)))


def average_precision(ranks: Ranks) -> float:
    """Precision at every anomalous score, averaged over these (area under the precision-recall steps)."""
    precisions = sum(float(np.sum(point.new * point.found / point.called)) for point in _points(ranks))
    return precisions / float(np.sum(ranks.anomalous))


def f1_max(ranks: Ranks) -> tuple[float, float]:
    """The highest F1 score that any threshold gives, and the highest such threshold.

    The threshold lies just below a score, so that what is above it includes that score.
    """
    total = float(np.sum(ranks.anomalous))
    best, score = -1.0, np.float32(0)
    for point in _points(ranks):
        f1 = 2 * point.found / (point.called + total)
        at = int(f1.argmax())
        if f1[at] > best:
            best, score = float(f1[at]), point.scores[at]
    return best, float(np.nextafter(score, np.float32(-np.inf)))


class _Points(NamedTuple):
    """What a threshold at each distinct anomalous score calls anomalous, the highest score first."""

    scores: NDArray[np.float32]
    new: Numbers
    found: NDArray[np.float64]
    called: NDArray[np.float64]


def _points(ranks: Ranks) -> Iterator[_Points]:
    before = 0.0
    for part in ranks.parts():
        new = part.anomalous[::-1]
        found = before + np.cumsum(new, dtype=np.float64)
        before = float(found[-1])
        yield _Points(part.scores[::-1], new, found, found + (part.normals - part.below[::-1]))


def area_beyond(below: Numbers, level: Numbers, normals: Any, limit: float) -> NDArray[np.float64]:
    """Width of the ROC curve's axis, up to ``limit``, over which each score is at or above the threshold.

    Between two neighbouring thresholds the curve is a straight line, so a score that ties with normal ones
    counts from none to all along that line.

    Args:
        below: Normal scores below each score, [..., k].
        level: Normal scores equal to it, [..., k].
        normals: Normal scores in all, broadcast against the two.
        limit: Largest false-positive rate.
    """
    at_or_above = 1.0 - below / normals
    tie = level / normals
    above = at_or_above - tie
    whole = limit - (above + at_or_above) / 2
    cut = np.square(np.maximum(limit - above, 0.0)) / (2 * np.where(tie > 0, tie, 1.0))
    return np.where(at_or_above <= limit, whole, np.where(tie > 0, cut, 0.0))


def aupro(ranks: Ranks, weights: NDArray[np.float32], regions: int, limit: float) -> float:
    """Area under the per-region-overlap curve, for false-positive rates up to ``limit``, normalised.

    Per-region overlap at a threshold is the mean over defect regions of the share of their pixels at or above
    it (Bergmann et al. 2021). Exact: a pixel of score s adds the part of the curve that lies right of the
    false-positive rate at s.

    Args:
        ranks: Of defect pixels among normal ones.
        weights: For each distinct score, the sum over the pixels that have it of one over their region's
            size, [k].
        regions: How many regions there are.
        limit: Largest false-positive rate, above 0 and at most 1.
    """
    area, end = 0.0, len(weights)
    for part in ranks.parts():
        begin = end - len(part.scores)
        widths = area_beyond(part.below, part.level, part.normals, limit)
        area += float(np.sum(weights[begin:end] * widths))
        end = begin
    return area / (regions * limit)
