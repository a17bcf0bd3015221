"""The inspector: from a picture to a verdict. What fit calibrates, evaluate measures and watch runs."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.camera import Inspection, Verdict, find_regions, invalid
from pcedge.errors import OptionError
from pcedge.export import Runtime, SearchingRuntime
from pcedge.manifest import Manifest
from pcedge.preprocessing import Preprocessing
from pcedge.scoring import anomaly_map, image_score


@dataclass(frozen=True, eq=False)
class Stages:
    """Everything computed on the way from one picture to its score.

    Attributes:
        network_input: float32 [3, s, s], the preprocessed picture.
        embeddings: float32 [patches, dims]; None where they stayed on the device that searched them.
        squared_distances: float32 [patches], to the nearest bank row.
        rows: int64 [patches], the number of that row.
        score: The anomaly score of the image.
    """

    network_input: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None
    squared_distances: NDArray[np.float32]
    rows: NDArray[np.int64]
    score: float


class Inspector:
    """Judges pictures of one product.

    Args:
        runtime: Runs the embedder. One that searches too is given the bank's rows here, once.
        bank: The product's memory bank.
        preprocessing: How a picture becomes the network's input.
        grid_hw: Grid of patches.
        threshold: Scores above it are NG.
        map_threshold: Map values above it are coloured.
        review_threshold: Scores above it, up to ``threshold``, are REVIEW; None for no REVIEW.

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
    ) -> None:
        if not isfinite(threshold):
            raise OptionError(
                f"A threshold of {threshold} would pass every part.", "Give a finite number to --threshold."
            )
        self.runtime = runtime
        self.bank = bank
        self.preprocessing = preprocessing
        self.grid_hw = grid_hw
        self.threshold = threshold
        self.map_threshold = map_threshold
        self.review_threshold = review_threshold
        self._on_device = None
        # An approximate index that was asked for was measured: an exact search on the device is not that one.
        if isinstance(runtime, SearchingRuntime) and bank.approximate is None:
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
    ) -> "Inspector":
        """Inspect as a manifest says, or with another threshold, and with REVIEW above ``review``."""
        limit = manifest.threshold
        return cls(
            runtime,
            bank,
            manifest.preprocessing,
            manifest.embedding.grid_hw,
            threshold=limit.score if threshold is None else threshold,
            map_threshold=limit.map,
            review_threshold=review,
        )

    def stages(self, image_rgb: NDArray[np.uint8]) -> Stages:
        """Take a picture (uint8 [height, width, 3]) through every stage up to its score."""
        return self.stages_of(self.preprocessing.apply(image_rgb))

    def stages_of(self, network_input: NDArray[np.float32]) -> Stages:
        """Take a preprocessed picture (float32 [3, s, s]) through the later stages."""
        embeddings: NDArray[np.float32] | None = None
        if self._on_device is not None:
            distances, numbers = self._on_device.infer_nearest(network_input[np.newaxis])
            squared_distances, rows = distances[0], numbers[0]
        else:
            embeddings = self.runtime.infer(network_input[np.newaxis])[0]
            squared_distances, rows = self.bank.search(embeddings)
        return Stages(network_input, embeddings, squared_distances, rows, image_score(squared_distances))

    @property
    def searches_on_device(self) -> bool:
        """Whether the runtime searches too, so that embeddings are not seen."""
        return self._on_device is not None

    def score_map(self, stages: Stages) -> NDArray[np.float32]:
        """The anomaly map, float32 [s, s] at the network's input size."""
        return anomaly_map(stages.squared_distances, self.grid_hw, self.preprocessing.input_size)

    def inspect(self, image_rgb: NDArray[np.uint8]) -> Inspection:
        """Judge a picture. A score that is not a number is INVALID, never OK."""
        return self.judge(self.stages(image_rgb).squared_distances, image_rgb)

    def judge_embeddings(
        self,
        embeddings: NDArray[np.float32],
        image_rgb: NDArray[np.uint8],
        ignored: NDArray[np.bool_] | None = None,
    ) -> Inspection:
        """Judge a picture whose embeddings, float32 [patches, dims], were computed together with others'."""
        return self.judge(self.bank.search(embeddings)[0], image_rgb, ignored)

    def judge(
        self,
        squared_distances: NDArray[np.float32],
        image_rgb: NDArray[np.uint8],
        ignored: NDArray[np.bool_] | None = None,
    ) -> Inspection:
        """Judge a picture by the distances of its patches.

        Args:
            squared_distances: float32 [patches], to the nearest bank row.
            image_rgb: The picture.
            ignored: bool [patches], those that do not count; None if all do.
        """
        if ignored is not None:
            squared_distances = np.where(ignored, np.float32(0), squared_distances)
        score = image_score(squared_distances)
        if not isfinite(score):
            return invalid("the score is not a finite number")
        height, width = image_rgb.shape[:2]
        verdict = self._verdict(score)
        score_map = anomaly_map(squared_distances, self.grid_hw, self.preprocessing.input_size)
        map_to_picture = self.preprocessing.map_to_picture(width, height)
        passes = verdict is Verdict.OK
        return Inspection(
            verdict=verdict,
            score=score,
            threshold=self.threshold,
            score_map_hw=score_map,
            map_to_picture=map_to_picture,
            map_threshold=self.map_threshold,
            review_threshold=self.review_threshold,
            regions=() if passes else find_regions(score_map, map_to_picture, self.map_threshold),
        )

    def _verdict(self, score: float) -> Verdict:
        if not score <= self.threshold:
            return Verdict.NG
        review = self.review_threshold is not None and score > self.review_threshold
        return Verdict.REVIEW if review else Verdict.OK
