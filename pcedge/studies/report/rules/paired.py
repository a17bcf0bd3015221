"""Whether two methods differ on the same test images: a paired bootstrap of their image AUROC."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.evaluation.runs import ImageRow

_RESAMPLES = 2000


@dataclass(frozen=True)
class Gap:
    """Image AUROC of one method less that of another, from 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        """Whether more than chance lies between them: the interval excludes 0."""
        return not self.low <= 0 <= self.high


def gap(one: Sequence[ImageRow], other: Sequence[ImageRow]) -> Gap | None:
    """Compare two methods on the images that both judged.

    Good and defective images are drawn with replacement, 2,000 times with a fixed seed, the same for both.

    Returns:
        None where no good, or no defective, image was judged by both.
    """
    shared = {row.name for row in one} & {row.name for row in other}
    wins = _wins([row for row in one if row.name in shared])
    difference = wins - _wins([row for row in other if row.name in shared])
    bad, good = difference.shape
    if not bad or not good:
        return None
    generator = np.random.default_rng(0)
    drawn_bad = generator.multinomial(bad, np.full(bad, 1 / bad), _RESAMPLES)
    drawn_good = generator.multinomial(good, np.full(good, 1 / good), _RESAMPLES)
    resampled = np.einsum("rb,bg,rg->r", drawn_bad, difference, drawn_good, optimize=True) / (bad * good)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Gap(float(difference.mean()), float(low), float(high))


def _wins(rows: Sequence[ImageRow]) -> NDArray[np.float64]:
    """Whether each defective image [b] scores above each good one [g]; a half where they are equal."""
    ordered = sorted(rows, key=lambda row: row.name)
    bad = np.array([row.score for row in ordered if row.defect])
    good = np.array([row.score for row in ordered if not row.defect])
    wins: NDArray[np.float64] = (bad[:, np.newaxis] > good) + 0.5 * (bad[:, np.newaxis] == good)
    return wins
