"""The inspector of PatchCore: stages, scores, maps and verdicts of images."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.bundles.manifest import Manifest
from pcedge.bundles.nominal_images import KeptPictures
from pcedge.camera import Explain, Region
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.scoring import anomaly_map, image_score, reweighted_score
from pcedge.export import Runtime, SearchingRuntime
from pcedge.thresholds.conformal import PValues
from pcedge.thresholds.limits import map_thresholds, p_values_of

from .detector import Detector
from .region_explanation import Explainer


@dataclass(frozen=True, eq=False)
class Stages:
    """Intermediate results from one image to its score.

    Attributes:
        network_input: float32 [3, s, s], the preprocessed image.
        embeddings: float32 [patches, dims]; None if they stayed on the device that searched.
        squared_distances: float32 [patches], to the nearest bank row.
        rows: int64 [patches], the index of that row.
        score: The anomaly score of the image.
    """

    network_input: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None
    squared_distances: NDArray[np.float32]
    rows: NDArray[np.int64]
    score: float


class Inspector(Detector[Stages]):
    """Judges images of one product by the distances of their patches to a memory bank.

    Args:
        runtime: Runs the embedder. If it also searches, it gets the bank's rows here, once.
        bank: The product's memory bank.
        preprocessing: How an image becomes the network's input.
        grid_hw: Grid of patches.
        threshold: Scores above it are NG.
        map_threshold: Map values above it are coloured as NG.
        review_threshold: Scores above it, up to ``threshold``, are REVIEW; None for no REVIEW.
        review_map_threshold: Map values above it are coloured as REVIEW; None for none.
        neighbours: Bank rows that re-weight the image score (paper, equation 7); 1 for none.
        p_values: Held-out scores of good images, to state how unusual a score is; None to state nothing.
        images: Training images for explanations; None if there are none.

    Raises:
        OptionError: The threshold is not a finite number.
    """

    def __init__(
        self,
        runtime: Runtime,
        bank: Bank,
        preprocessing: Preprocessing,
        grid_hw: tuple[int, int],
        *,
        threshold: float,
        map_threshold: float,
        review_threshold: float | None = None,
        review_map_threshold: float | None = None,
        neighbours: int = 1,
        p_values: PValues | None = None,
        pictures: KeptPictures | None = None,
    ) -> None:
        super().__init__(
            runtime,
            preprocessing,
            grid_hw,
            threshold=threshold,
            map_threshold=map_threshold,
            review_threshold=review_threshold,
            review_map_threshold=review_map_threshold,
            p_values=p_values,
        )
        self.bank = bank
        self.neighbours = neighbours
        self.explainer = Explainer(bank, preprocessing, grid_hw, pictures)
        self._on_device = None
        # A configured approximate index was measured, and an exact search on the device would differ from it.
        # Re-weighting needs the embeddings, which a search on the device does not return.
        if isinstance(runtime, SearchingRuntime) and bank.approximate is None and neighbours == 1:
            self._on_device = runtime.bind(bank.rows)

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        runtime: Runtime,
        bank: Bank,
        *,
        threshold: float | None = None,
        review: float | None = None,
        pictures: KeptPictures | None = None,
    ) -> "Inspector":
        """An inspector with a manifest's settings, or another threshold, and with REVIEW above ``review``."""
        limit = manifest.threshold
        map_threshold, review_map_threshold = map_thresholds(limit, threshold, review)
        return cls(
            runtime,
            bank,
            manifest.preprocessing,
            manifest.embedding.grid_hw,
            threshold=limit.score if threshold is None else threshold,
            map_threshold=map_threshold,
            review_threshold=review,
            review_map_threshold=review_map_threshold,
            neighbours=manifest.score.neighbours,
            p_values=p_values_of(limit),
            pictures=pictures,
        )

    def stages_of(self, network_input: NDArray[np.float32]) -> Stages:
        """Compute the remaining stages of a preprocessed image (float32 [3, s, s])."""
        if self._on_device is not None:
            distances, numbers = self._on_device.infer_nearest(network_input[np.newaxis])
            return Stages(network_input, None, distances[0], numbers[0], image_score(distances[0]))
        return super().stages_of(network_input)

    def stages_from(self, network_input: NDArray[np.float32], outputs: NDArray[np.float32]) -> Stages:
        """Compute the remaining stages from embeddings (float32 [patches, dims])."""
        squared_distances, rows = self.bank.search(outputs)
        score = reweighted_score(squared_distances, rows, outputs, self.bank, self.neighbours)
        return Stages(network_input, outputs, squared_distances, rows, score)

    @property
    def searches_on_device(self) -> bool:
        """Whether the runtime also searches, so that embeddings are not available."""
        return self._on_device is not None

    def prepare(self) -> None:
        """Prepare the bank for searching."""
        self.bank.prepare()

    def score_map(self, stages: Stages) -> NDArray[np.float32]:
        """The anomaly map, float32 [s, s] at the network's input size."""
        return anomaly_map(stages.squared_distances, self.grid_hw, self.preprocessing.input_size)

    def explain(
        self, stages: Stages, regions: tuple[Region, ...], map_to_picture: NDArray[np.float64]
    ) -> Explain:
        """A function that finds the nearest normal patch of every region when called."""
        return self.explainer.later(stages.squared_distances, stages.rows, regions, map_to_picture)

    def without(self, stages: Stages, ignored: NDArray[np.bool_]) -> Stages:
        """The stages with ignored patches at distance 0 from the bank."""
        distances = np.where(ignored, np.float32(0), stages.squared_distances)
        if stages.embeddings is None:
            return replace(stages, squared_distances=distances, score=image_score(distances))
        score = reweighted_score(distances, stages.rows, stages.embeddings, self.bank, self.neighbours)
        return replace(stages, squared_distances=distances, score=score)
