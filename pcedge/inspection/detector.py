"""The detector: from an image to a score, a map and a verdict, for every method.

PatchCore's inspector and those of the baselines differ only in how they score. ``evaluate`` and ``watch`` use
this interface.
"""

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import Explain, Inspection, Region, Verdict, find_regions, invalid, unexplained
from pcedge.core.preprocessing import Preprocessing
from pcedge.export import Runtime
from pcedge.thresholds.conformal import PValues
from pcedge.thresholds.verdict import Thresholds

# Share of the peak above which a map that stays below every threshold is shown as a region.
_TOP = 0.9


class HasScore(Protocol):
    """Intermediate results of an image, with its anomaly score."""

    @property
    def score(self) -> float:
        """The anomaly score of the image."""


Stages = TypeVar("Stages", bound=HasScore)


class Detector(ABC, Generic[Stages]):
    """Judges images of one product.

    Args:
        runtime: Runs the network.
        preprocessing: How an image becomes the network's input.
        grid_hw: Grid of the scores behind the map; a mask can ignore its cells.
        threshold: Scores above it are NG.
        map_threshold: Map values above it are coloured as NG.
        review_threshold: Scores above it, up to ``threshold``, are REVIEW; None for no REVIEW.
        review_map_threshold: Map values above it are coloured as REVIEW; None for none.
        p_values: Held-out scores of good images, to state how unusual a score is; None to state nothing.

    Raises:
        OptionError: A threshold is not a finite number.
    """

    def __init__(
        self,
        runtime: Runtime,
        preprocessing: Preprocessing,
        grid_hw: tuple[int, int],
        *,
        threshold: float,
        map_threshold: float,
        review_threshold: float | None = None,
        review_map_threshold: float | None = None,
        p_values: PValues | None = None,
    ) -> None:
        self.thresholds = Thresholds(threshold, review_threshold)
        self.runtime = runtime
        self.preprocessing = preprocessing
        self.grid_hw = grid_hw
        self.map_threshold = map_threshold
        self.review_map_threshold = review_map_threshold
        self.p_values = p_values

    @property
    def threshold(self) -> float:
        """Scores above it are NG."""
        return self.thresholds.ng

    @property
    def review_threshold(self) -> float | None:
        """Scores above it, up to ``threshold``, are REVIEW; None for no REVIEW."""
        return self.thresholds.review

    @abstractmethod
    def stages_from(self, network_input: NDArray[np.float32], outputs: NDArray[np.float32]) -> Stages:
        """Compute the score of an image from the network's outputs.

        Args:
            network_input: float32 [3, s, s], the preprocessed image.
            outputs: float32, the image's row of what the runtime's ``infer`` returned.
        """

    @abstractmethod
    def score_map(self, stages: Stages) -> NDArray[np.float32]:
        """The anomaly map, float32 [s, s] at the network's input size."""

    @abstractmethod
    def without(self, stages: Stages, ignored: NDArray[np.bool_]) -> Stages:
        """The stages with some cells (bool [cells]) ignored, as if they were normal."""

    @property
    def searches_on_device(self) -> bool:
        """Whether the runtime also searches the bank, so that the network's outputs are not available."""
        return False

    def explain(
        self, stages: Stages, regions: tuple[Region, ...], map_to_picture: NDArray[np.float64]
    ) -> Explain:
        """A function that explains regions when called; empty for a method without explanations."""
        return unexplained

    def prepare(self) -> None:
        """Prepare everything that would slow down the first frame."""

    def stages(self, image_rgb: NDArray[np.uint8]) -> Stages:
        """Compute all stages of an image (uint8 [height, width, 3]), up to its score."""
        return self.stages_of(self.preprocessing.apply(image_rgb))

    def stages_of(self, network_input: NDArray[np.float32]) -> Stages:
        """Compute the remaining stages of a preprocessed image (float32 [3, s, s])."""
        return self.stages_from(network_input, self.runtime.infer(network_input[np.newaxis])[0])

    def inspect(self, image_rgb: NDArray[np.uint8]) -> Inspection:
        """Judge an image. A score that is not finite is INVALID, never OK."""
        return self.judge(self.stages(image_rgb), image_rgb)

    def judge(
        self, stages: Stages, image_rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
    ) -> Inspection:
        """Judge an image from its stages.

        Args:
            stages: Its intermediate results.
            image_rgb: The image.
            ignored: bool [cells], cells of the grid to ignore; None for none.
        """
        if ignored is not None:
            stages = self.without(stages, ignored)
        verdict = self.thresholds.verdict(stages.score)
        if verdict is Verdict.INVALID:
            return invalid("the score is not a finite number")
        height, width = image_rgb.shape[:2]
        score_map = self.score_map(stages)
        map_to_picture = self.preprocessing.map_to_picture(width, height)
        regions = () if verdict is Verdict.OK else self._regions(score_map, map_to_picture)
        return Inspection(
            verdict=verdict,
            score=stages.score,
            threshold=self.threshold,
            score_map_hw=score_map,
            map_to_picture=map_to_picture,
            map_threshold=self.map_threshold,
            review_threshold=self.review_threshold,
            p_value=None if self.p_values is None else self.p_values.of(stages.score),
            regions=regions,
            review_map_threshold=self.review_map_threshold,
            explain=self.explain(stages, regions, map_to_picture) if regions else unexplained,
        )

    def most_unusual(
        self, stages: Stages, image_rgb: NDArray[np.uint8]
    ) -> tuple[tuple[Region, ...], Explain]:
        """The most unusual region of an image, whatever its verdict, with its explanation."""
        height, width = image_rgb.shape[:2]
        map_to_picture = self.preprocessing.map_to_picture(width, height)
        regions = _top(self.score_map(stages), map_to_picture)
        return regions, self.explain(stages, regions, map_to_picture)

    def _regions(
        self, score_map: NDArray[np.float32], map_to_picture: NDArray[np.float64]
    ) -> tuple[Region, ...]:
        """Regions of a flagged image: what is coloured, or the top of the map if nothing is.

        The score comes from one patch, but the map is smoothed: a patch can exceed its limit when the map
        does not.
        """
        lowest = self.map_threshold if self.review_map_threshold is None else self.review_map_threshold
        return find_regions(score_map, map_to_picture, lowest) or _top(score_map, map_to_picture)


def _top(score_map: NDArray[np.float32], map_to_picture: NDArray[np.float64]) -> tuple[Region, ...]:
    """The peak of a map as a region, however low it is."""
    return find_regions(score_map, map_to_picture, _TOP * float(score_map.max()), most=1)


# A detector with any type of stages, for callers that only pass them back.
AnyDetector = Detector[Any]
