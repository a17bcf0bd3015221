"""The rule from score to verdict: every comparison of a score with a threshold is made here."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pcedge.camera import Verdict
from pcedge.errors import OptionError

_NAMED = (Verdict.OK, Verdict.REVIEW, Verdict.NG, Verdict.INVALID)


@dataclass(frozen=True)
class Thresholds:
    """The NG and REVIEW thresholds, which turn a score into a verdict.

    The rule itself is in ``_verdict_numbers``, which every other method asks. A score that is not a finite
    number is INVALID: nothing is known of the part, so it must not pass.

    Attributes:
        ng: Scores above it are NG.
        review: Scores above it, up to ``ng``, are REVIEW; None for no REVIEW.

    Raises:
        OptionError: A threshold is not a finite number.
    """

    ng: float
    review: float | None = None

    def __post_init__(self) -> None:
        for threshold, option in ((self.ng, "--threshold"), (self.review, "--review")):
            if threshold is not None and not isfinite(threshold):
                raise OptionError(
                    f"A threshold of {threshold} would pass every part.", f"Give a finite number to {option}."
                )

    def verdict(self, score: float) -> Verdict:
        """The verdict of an image with this score."""
        (verdict,) = self.verdicts(score)
        return verdict

    def verdicts(self, scores: ArrayLike) -> list[Verdict]:
        """The verdict of each score."""
        return [_NAMED[number] for number in self._verdict_numbers(scores).tolist()]

    def are(self, verdict: Verdict, scores: ArrayLike) -> NDArray[np.bool_]:
        """Which scores have a verdict, bool [scores]."""
        return np.asarray(self._verdict_numbers(scores) == _NAMED.index(verdict), np.bool_)

    def count(self, verdict: Verdict, scores: ArrayLike) -> int:
        """Number of scores with this verdict."""
        return int(self.are(verdict, scores).sum())

    def share(self, verdict: Verdict, scores: ArrayLike) -> float:
        """Share of the scores with this verdict."""
        return float(self.are(verdict, scores).mean())

    def flips(self, scores: ArrayLike, others: ArrayLike) -> NDArray[np.bool_]:
        """Which images have another verdict by other scores, bool [scores]."""
        return np.asarray(self._verdict_numbers(scores) != self._verdict_numbers(others), np.bool_)

    def _verdict_numbers(self, scores: ArrayLike) -> NDArray[np.intp]:
        """Positions in ``_NAMED``. In float64, since a threshold rounded to float32 is another one."""
        exact = np.asarray(scores, np.float64).reshape(-1)
        above_review = exact > (self.ng if self.review is None else self.review)
        cases: Sequence[tuple[NDArray[np.bool_], Verdict]] = (
            (~np.isfinite(exact), Verdict.INVALID),
            (exact > self.ng, Verdict.NG),
            (above_review, Verdict.REVIEW),
        )
        chosen = np.select([case for case, _ in cases], [_NAMED.index(named) for _, named in cases])
        return np.asarray(chosen, np.intp)
