"""May an image be learned from? What is strange in it must be seen in other images too.

A new light, a new batch, a new finish shows in every image of it. A defect does not: the next part has
none, or one that looks different. So a patch that is too far from the bank counts as confirmed where at
least two *other* images of the lesson (or stored good examples) have a patch as near to it as good parts'
patches are to the bank; and an image is learned from if nothing in it stays unconfirmed. Two, because the
same defective part photographed twice would confirm itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import Verdict
from pcedge.thresholds.verdict import Thresholds

from .lesson_log import Outcome

WITNESSES = 2
# With so many patches farther off than almost any good part's farthest one, it is another product.
_MOST_STRANGE = 0.5


@dataclass(frozen=True, eq=False)
class StrangePatches:
    """What an inspector made of an image.

    Attributes:
        embeddings: float32 [patches, dims].
        squared_distances: float32 [patches], to the nearest bank row.
        score: Of the image.
    """

    embeddings: NDArray[np.float32]
    squared_distances: NDArray[np.float32]
    score: float


@dataclass(frozen=True)
class Opinion:
    """What is to be done with an image, why, and its score where confirmed patches count as known."""

    outcome: Outcome
    reason: str
    confirmed: float | None = None

    @property
    def may_be_forced(self) -> bool:
        """Whether a person may overrule a refusal: of another product there is nothing to insist on."""
        return self.confirmed is not None


def opinions(
    offered: Sequence[StrangePatches], examples: Sequence[StrangePatches], limit: float
) -> list[Opinion]:
    """Say of each image whether it may be learned from.

    Args:
        offered: The images of a lesson.
        examples: Stored good ones, which confirm too.
        limit: The score up to which an image passes.
    """
    return [
        _opinion(one, [*offered[:number], *offered[number + 1 :], *examples], limit)
        for number, one in enumerate(offered)
    ]


def _opinion(one: StrangePatches, others: Sequence[StrangePatches], limit: float) -> Opinion:
    passing = Thresholds(limit)
    verdict = passing.verdict(one.score)
    if verdict is Verdict.INVALID:
        return Opinion("refused", "its score is not a finite number")
    if verdict is Verdict.OK:
        return Opinion("passes", "nothing to learn: it passes")
    strange = np.flatnonzero(~passing.are(Verdict.OK, one.squared_distances))
    share = len(strange) / len(one.squared_distances)
    if share > _MOST_STRANGE:
        return Opinion(
            "refused",
            f"{share:.0%} of it is unlike anything seen: another product, or one to be fitted anew",
        )
    confirmed = _confirmed_score(one, strange, others)
    if passing.verdict(confirmed) is Verdict.OK:
        return Opinion("taught", f"what is new in it is in {WITNESSES} other images too", confirmed)
    if len(others) < WITNESSES:
        return Opinion(
            "refused",
            f"it is beyond anything seen ({one.score / limit:.1f} times what passes) and may be a defect: "
            f"{WITNESSES} other images that show the same would confirm it",
            confirmed,
        )
    return Opinion(
        "refused",
        f"it is beyond anything seen ({one.score / limit:.1f} times what passes) and may be a defect: "
        f"no {WITNESSES} other images show the same ({confirmed / limit:.1f} times with what they show)",
        confirmed,
    )


def _confirmed_score(
    one: StrangePatches, strange: NDArray[np.int64], others: Sequence[StrangePatches]
) -> float:
    """The image's score if every patch were as near to the bank as to its second best witness."""
    distances = one.squared_distances.copy()
    if len(others) >= WITNESSES and len(strange):
        rows = one.embeddings[strange]
        nearest = np.stack([_nearest(rows, other.embeddings) for other in others])
        second = np.partition(nearest, WITNESSES - 1, axis=0)[WITNESSES - 1]
        distances[strange] = np.minimum(distances[strange], second)
    # A re-weighted score (paper, equation 7) keeps the weight it had.
    weight = one.score / float(one.squared_distances.max())
    return weight * float(distances.max())


def _nearest(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    squared = (
        np.square(rows).sum(axis=1)[:, np.newaxis]
        + np.square(others).sum(axis=1)[np.newaxis]
        - 2.0 * (rows @ others.T)
    )
    return np.asarray(np.maximum(squared.min(axis=1), 0.0), np.float32)
