"""The face of every method: from an image to a score, a map and a verdict.

PatchCore's inspector and those of the baselines differ in how they score, and in nothing else: what evaluate
measures and watch runs is this.
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

# What counts as the top of a map that stays below every threshold, as a share of its peak.
_TOP = 0.9


class HasScore(Protocol):
    """What was computed of an image, with the anomaly score of the image in it."""

    @property
    def score(self) -> float:
        """The anomaly score of the image."""


Stages = TypeVar("Stages", bound=HasScore)


class Detector(ABC, Generic[Stages]):
    """Judges images of one product.

    Args:
        runtime: Runs the network.
        preprocessing: How an image becomes the network's input.
        grid_hw: Grid of the scores that the map is made of, and that a mask can exempt.
        threshold: Scores above it are NG.
        map_threshold: Map values above it are coloured as NG.
        review_threshold: Scores above it, up to ``threshold``, are REVIEW; None for no REVIEW.
        review_map_threshold: Map values above it are coloured as REVIEW; None for none.
        p_values: Held-out scores of good images, by which a score is told to be unusual; None to say nothing.

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
        """Take what the network gave for an image, together with others' perhaps, to its score.

        Args:
            network_input: float32 [3, s, s], the preprocessed image.
            outputs: float32, one row of what the runtime's ``infer`` returned.
        """

    @abstractmethod
    def score_map(self, stages: Stages) -> NDArray[np.float32]:
        """The anomaly map, float32 [s, s] at the network's input size."""

    @abstractmethod
    def without(self, stages: Stages, ignored: NDArray[np.bool_]) -> Stages:
        """The stages as they would be if some cells (bool [cells]) showed what is normal there."""

    @property
    def searches_on_device(self) -> bool:
        """Whether the runtime goes further than the network's outputs, so that these are not seen."""
        return False

    def explain(
        self, stages: Stages, regions: tuple[Region, ...], map_to_picture: NDArray[np.float64]
    ) -> Explain:
        """What explains regions when it is called; a method that has no reasons to show gives none."""
        return unexplained

    def prepare(self) -> None:
        """Make ready what the first frame should not wait for."""

    def stages(self, image_rgb: NDArray[np.uint8]) -> Stages:
        """Take an image (uint8 [height, width, 3]) through every stage up to its score."""
        return self.stages_of(self.preprocessing.apply(image_rgb))

    def stages_of(self, network_input: NDArray[np.float32]) -> Stages:
        """Take a preprocessed image (float32 [3, s, s]) through the later stages."""
        return self.stages_from(network_input, self.runtime.infer(network_input[np.newaxis])[0])

    def inspect(self, image_rgb: NDArray[np.uint8]) -> Inspection:
        """Judge an image. A score that is not a number is INVALID, never OK."""
        return self.judge(self.stages(image_rgb), image_rgb)

    def judge(
        self, stages: Stages, image_rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
    ) -> Inspection:
        """Judge an image that went through every stage.

        Args:
            stages: What was computed of it.
            image_rgb: The image.
            ignored: bool [cells], those of the grid that do not count; None if all do.
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
        """The place of an image that differs most, whatever its verdict is, and what explains it."""
        height, width = image_rgb.shape[:2]
        map_to_picture = self.preprocessing.map_to_picture(width, height)
        regions = _top(self.score_map(stages), map_to_picture)
        return regions, self.explain(stages, regions, map_to_picture)

    def _regions(
        self, score_map: NDArray[np.float32], map_to_picture: NDArray[np.float64]
    ) -> tuple[Region, ...]:
        """Where a flagged image differs: what is coloured, or the top of the map where nothing is.

        The score is of one patch, the map is smoothed: a single patch can exceed its limit and the map not.
        """
        lowest = self.map_threshold if self.review_map_threshold is None else self.review_map_threshold
        return find_regions(score_map, map_to_picture, lowest) or _top(score_map, map_to_picture)


def _top(score_map: NDArray[np.float32], map_to_picture: NDArray[np.float64]) -> tuple[Region, ...]:
    """The top of a map, however low it is."""
    return find_regions(score_map, map_to_picture, _TOP * float(score_map.max()), most=1)


# Whatever its stages are, for those who only hand them back to it.
AnyDetector = Detector[Any]
