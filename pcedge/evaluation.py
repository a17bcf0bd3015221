"""Evaluation: labelled images through the inspector that watch runs, and how well it did."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.datasets import Dataset
from pcedge.inspector import Inspector
from pcedge.judging import Judgements, judge
from pcedge.metrics import aupro, auroc, pixel_auroc
from pcedge.progress import Progress, silent


@dataclass(frozen=True)
class Evaluation:
    """How well an inspector told defects from good images.

    Attributes:
        image_auroc: Over image scores; None when there are no good or no defective images.
        pixel_auroc: Over the pixels of all images; None when no defect has a mask.
        pixel_auroc_anomalous: Over the pixels of defective images only.
        aupro: Area under the per-region-overlap curve, false-positive rate up to 0.3, on defective images.
        false_reject_rate: Share of good images that scored above the threshold.
        miss_rate: Share of defective images that did not.
        threshold: The threshold used; None where scores only rank images, as an ensemble's do.
        good: Good images judged.
        defective: Defective images judged.
        defects_without_mask: Defective images left out of the pixel metrics because they have no mask.
        skipped: Images that could not be read or judged, and why.
        unusable_masks: Masks that could not be used, by image, and why; such a defect counts as one without.
        runtime: What ran the network.
        frame_ms: Median time from decoded picture to score and map.
        scores: Score of every image by its name in the dataset.
    """

    image_auroc: float | None
    pixel_auroc: float | None
    pixel_auroc_anomalous: float | None
    aupro: float | None
    false_reject_rate: float | None
    miss_rate: float | None
    threshold: float | None
    good: int
    defective: int
    defects_without_mask: int
    skipped: dict[str, str]
    unusable_masks: dict[str, str]
    runtime: str
    frame_ms: float
    scores: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def evaluate(dataset: Dataset, inspector: Inspector, progress: Progress = silent) -> Evaluation:
    """Judge every test image of a dataset.

    Args:
        dataset: With test images.
        inspector: As ``open_inspector`` gives it.
        progress: Told of images judged, as the stage ``evaluate``.

    Raises:
        DatasetError: There are no test images, or none can be used.
    """
    judgements = judge(dataset, inspector, progress)
    return summarise(judgements, threshold=inspector.threshold, runtime=inspector.runtime.name)


def summarise(judgements: Judgements, *, threshold: float | None, runtime: str) -> Evaluation:
    """How well good images and defects were told apart.

    Args:
        judgements: Of the test images.
        threshold: Scores above it are NG; None where scores only rank images.
        runtime: What ran the network.
    """
    judged = judgements.images
    good = np.array([j.score for j in judged if not j.sample.is_defect], np.float32)
    bad = np.array([j.score for j in judged if j.sample.is_defect], np.float32)
    masked = [(j.score_map, j.mask) for j in judged if j.mask is not None]
    defective = [(m, mask) for m, mask in masked if mask.any()]
    all_maps, all_masks = [m for m, _ in masked], [mask for _, mask in masked]
    bad_maps, bad_masks = [m for m, _ in defective], [mask for _, mask in defective]
    return Evaluation(
        image_auroc=auroc(good, bad),
        pixel_auroc=pixel_auroc(all_maps, all_masks),
        pixel_auroc_anomalous=pixel_auroc(bad_maps, bad_masks),
        aupro=aupro(bad_maps, bad_masks),
        false_reject_rate=None if threshold is None else _share(good > threshold),
        miss_rate=None if threshold is None else _share(bad <= threshold),
        threshold=threshold,
        good=len(good),
        defective=len(bad),
        defects_without_mask=sum(j.mask is None for j in judged),
        skipped=judgements.skipped,
        unusable_masks={j.name: j.mask_problem for j in judged if j.mask_problem},
        runtime=runtime,
        frame_ms=float(np.median([j.seconds for j in judged])) * 1000,
        scores={j.name: j.score for j in judged},
    )


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if len(which) else None
