"""The inspector of a baseline: the detector interface on a method's scorer."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcedge.core.scoring import anomaly_map
from pcedge.export import Runtime
from pcedge.inspection.detector import Detector
from pcedge.thresholds.limits import map_thresholds, p_values_of

from .fitter import Scorer
from .manifest import BaselineManifest


@dataclass(frozen=True, eq=False)
class Scores:
    """A baseline's results for an image.

    Attributes:
        network_input: float32 [3, s, s], the preprocessed image.
        cells: float32 [cells], the scores of the grid's cells.
        score_map: float32 [s, s], the cells' scores upsampled and smoothed.
        of_image: The image's own score; None if it is the largest value of the map.
    """

    network_input: NDArray[np.float32]
    cells: NDArray[np.float32]
    score_map: NDArray[np.float32]
    of_image: float | None

    @property
    def score(self) -> float:
        """The anomaly score of the image."""
        return float(self.score_map.max()) if self.of_image is None else self.of_image


class BaselineInspector(Detector[Scores]):
    """Judges images of one product by a baseline.

    Args:
        runtime: Runs the method's network.
        scorer: Turns the network's outputs into scores.
        manifest: Preprocessing, grid and thresholds.
        threshold: Overrides the manifest's threshold.
        review: Scores above it, up to the threshold, are REVIEW; None for no REVIEW.
    """

    def __init__(
        self,
        runtime: Runtime,
        scorer: Scorer,
        manifest: BaselineManifest,
        *,
        threshold: float | None = None,
        review: float | None = None,
    ) -> None:
        limit = manifest.threshold
        map_threshold, review_map_threshold = map_thresholds(limit, threshold, review)
        super().__init__(
            runtime,
            manifest.preprocessing,
            manifest.grid_hw,
            threshold=limit.score if threshold is None else threshold,
            map_threshold=map_threshold,
            review_threshold=review,
            review_map_threshold=review_map_threshold,
            p_values=p_values_of(limit),
        )
        self._scorer = scorer

    def stages_from(self, network_input: NDArray[np.float32], outputs: NDArray[np.float32]) -> Scores:
        """Score an image from the network's outputs."""
        cells, of_image = self._scorer.scores(outputs)
        return Scores(network_input, cells, self._map(cells), of_image)

    def score_map(self, stages: Scores) -> NDArray[np.float32]:
        """The anomaly map, float32 [s, s] at the network's input size."""
        return stages.score_map

    def without(self, stages: Scores, ignored: NDArray[np.bool_]) -> Scores:
        """The scores, with those of ignored cells set to zero. A separate image score does not change."""
        cells = np.where(ignored, np.float32(0), stages.cells)
        return replace(stages, cells=cells, score_map=self._map(cells))

    def _map(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        return anomaly_map(cells, self.grid_hw, self.preprocessing.input_size)
