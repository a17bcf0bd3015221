"""The inspector: from a picture to a verdict. What fit calibrates, evaluate measures and watch runs."""

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank
from pcedge.camera import Explain, Inspection, Region, Verdict, find_regions, invalid, unexplained
from pcedge.errors import OptionError
from pcedge.explaining import Explainer
from pcedge.export import Runtime, SearchingRuntime
from pcedge.manifest import Manifest
from pcedge.nominal_pictures import NominalPictures
from pcedge.preprocessing import Preprocessing
from pcedge.scoring import anomaly_map, image_score, reweighted_score

# What counts as the top of a map that stays below every threshold, as a share of its peak.
_TOP = 0.9


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
        map_threshold: Map values above it are coloured as NG.
        review_threshold: Scores above it, up to ``threshold``, are REVIEW; None for no REVIEW.
        review_map_threshold: Map values above it are coloured as REVIEW; None for the same share of
            ``map_threshold`` as ``review_threshold`` is of ``threshold``.
        neighbours: Bank rows that re-weight the image score (paper, equation 7); 1 for none.
        pictures: Of the training images, for explanations.

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
        pictures: NominalPictures | None = None,
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
        self.review_map_threshold = None
        if review_threshold is not None:
            share = review_threshold / threshold if threshold > 0 else 1.0
            self.review_map_threshold = (
                map_threshold * share if review_map_threshold is None else review_map_threshold
            )
        self.neighbours = neighbours
        self.explainer = Explainer(bank, preprocessing, grid_hw, pictures)
        self._on_device = None
        # An approximate index that was asked for was measured: an exact search on the device is not that one.
        # And re-weighting needs the embeddings, which a search on the device does not show.
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
        pictures: NominalPictures | None = None,
    ) -> "Inspector":
        """Inspect as a manifest says, or with another threshold, and with REVIEW above ``review``.

        The map's thresholds come from the same images as the scores'. For another threshold, which none of
        them says anything of, the map's moves by the same factor.
        """
        limit = manifest.threshold
        moved = 1.0 if threshold is None or not limit.score > 0 else threshold / limit.score
        return cls(
            runtime,
            bank,
            manifest.preprocessing,
            manifest.embedding.grid_hw,
            threshold=limit.score if threshold is None else threshold,
            map_threshold=limit.map * moved,
            review_threshold=review,
            review_map_threshold=limit.review_map if review == limit.review else None,
            neighbours=manifest.score.neighbours,
            pictures=pictures,
        )

    def stages(self, image_rgb: NDArray[np.uint8]) -> Stages:
        """Take a picture (uint8 [height, width, 3]) through every stage up to its score."""
        return self.stages_of(self.preprocessing.apply(image_rgb))

    def stages_of(self, network_input: NDArray[np.float32]) -> Stages:
        """Take a preprocessed picture (float32 [3, s, s]) through the later stages."""
        if self._on_device is not None:
            distances, numbers = self._on_device.infer_nearest(network_input[np.newaxis])
            return Stages(network_input, None, distances[0], numbers[0], image_score(distances[0]))
        return self.stages_from(network_input, self.runtime.infer(network_input[np.newaxis])[0])

    def stages_from(self, network_input: NDArray[np.float32], embeddings: NDArray[np.float32]) -> Stages:
        """Take embeddings (float32 [patches, dims]), computed together with others' perhaps, further."""
        squared_distances, rows = self.bank.search(embeddings)
        score = reweighted_score(squared_distances, rows, embeddings, self.bank, self.neighbours)
        return Stages(network_input, embeddings, squared_distances, rows, score)

    @property
    def searches_on_device(self) -> bool:
        """Whether the runtime searches too, so that embeddings are not seen."""
        return self._on_device is not None

    def score_map(self, stages: Stages) -> NDArray[np.float32]:
        """The anomaly map, float32 [s, s] at the network's input size."""
        return anomaly_map(stages.squared_distances, self.grid_hw, self.preprocessing.input_size)

    def inspect(self, image_rgb: NDArray[np.uint8]) -> Inspection:
        """Judge a picture. A score that is not a number is INVALID, never OK."""
        return self.judge(self.stages(image_rgb), image_rgb)

    def judge(
        self, stages: Stages, image_rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
    ) -> Inspection:
        """Judge a picture that went through every stage.

        Args:
            stages: What was computed of it.
            image_rgb: The picture.
            ignored: bool [patches], those that do not count; None if all do.
        """
        if ignored is not None:
            stages = self._without(stages, ignored)
        if not isfinite(stages.score):
            return invalid("the score is not a finite number")
        height, width = image_rgb.shape[:2]
        verdict = self._verdict(stages.score)
        score_map = self.score_map(stages)
        map_to_picture = self.preprocessing.map_to_picture(width, height)
        regions = () if verdict is Verdict.OK else self._regions(score_map, map_to_picture)
        explain = self._reasons(stages, regions, map_to_picture) if regions else unexplained
        return Inspection(
            verdict=verdict,
            score=stages.score,
            threshold=self.threshold,
            score_map_hw=score_map,
            map_to_picture=map_to_picture,
            map_threshold=self.map_threshold,
            review_threshold=self.review_threshold,
            regions=regions,
            review_map_threshold=self.review_map_threshold,
            explain=explain,
        )

    def most_unusual(
        self, stages: Stages, image_rgb: NDArray[np.uint8]
    ) -> tuple[tuple[Region, ...], Explain]:
        """The place of a picture that differs most, whatever its verdict is, and what explains it."""
        height, width = image_rgb.shape[:2]
        map_to_picture = self.preprocessing.map_to_picture(width, height)
        regions = _top(self.score_map(stages), map_to_picture)
        return regions, self._reasons(stages, regions, map_to_picture)

    def _reasons(
        self, stages: Stages, regions: tuple[Region, ...], map_to_picture: NDArray[np.float64]
    ) -> Explain:
        return self.explainer.later(stages.squared_distances, stages.rows, regions, map_to_picture)

    def _regions(
        self, score_map: NDArray[np.float32], map_to_picture: NDArray[np.float64]
    ) -> tuple[Region, ...]:
        """Where a flagged picture differs: what is coloured, or the top of the map where nothing is.

        The score is of one patch, the map is smoothed: a single patch can exceed its limit and the map not.
        """
        lowest = self.map_threshold if self.review_map_threshold is None else self.review_map_threshold
        found = find_regions(score_map, map_to_picture, lowest)
        return found or _top(score_map, map_to_picture)

    def _without(self, stages: Stages, ignored: NDArray[np.bool_]) -> Stages:
        """The stages with patches that do not count as if they were those of the bank."""
        distances = np.where(ignored, np.float32(0), stages.squared_distances)
        if stages.embeddings is None:
            return replace(stages, squared_distances=distances, score=image_score(distances))
        score = reweighted_score(distances, stages.rows, stages.embeddings, self.bank, self.neighbours)
        return replace(stages, squared_distances=distances, score=score)

    def _verdict(self, score: float) -> Verdict:
        if not score <= self.threshold:
            return Verdict.NG
        review = self.review_threshold is not None and score > self.review_threshold
        return Verdict.REVIEW if review else Verdict.OK


def _top(score_map: NDArray[np.float32], map_to_picture: NDArray[np.float64]) -> tuple[Region, ...]:
    """The top of a map, however low it is."""
    return find_regions(score_map, map_to_picture, _TOP * float(score_map.max()), most=1)
