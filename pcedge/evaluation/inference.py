"""Judging: every labelled image through the inspector that watch runs, its map beside its mask."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.core.progress import Progress, silent
from pcedge.datasets import Dataset, Sample, labelled_images, read_content, read_ground_truth
from pcedge.errors import DatasetError, ImageError
from pcedge.inspection.detector import AnyDetector


@dataclass(frozen=True, eq=False)
class Judged:
    """One test image and what the inspector made of it.

    Attributes:
        sample: The image.
        name: Its name in the dataset.
        score: Its anomaly score.
        seconds: From decoded image to score and map.
        score_map: float32 [s, s].
        mask: bool [s, s], the defect at the map's pixels; empty for good images, None for a defect without.
        mask_problem: Why its mask cannot be used; empty otherwise.
    """

    sample: Sample
    name: str
    score: float
    seconds: float
    score_map: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    mask_problem: str


def judge(
    dataset: Dataset, inspector: AnyDetector, skipped: dict[str, str], progress: Progress = silent
) -> Iterator[Judged]:
    """Judge the test images of a dataset, one by one.

    Args:
        dataset: With test images.
        inspector: As ``open_inspector`` gives it.
        skipped: Names of images to leave out, and why; those that cannot be used are added.
        progress: Called with images judged, as the stage ``evaluate``.

    Raises:
        DatasetError: There are no test images, or none can be used.
    """
    samples = labelled_images(dataset)
    for done, sample in enumerate(samples, 1):
        name = dataset.relative(sample.path)
        if name not in skipped:
            try:
                yield _judge(dataset, sample, inspector)
            except ImageError as error:
                skipped[name] = error.what
        progress("evaluate", done, len(samples))
    if len(skipped) == len(samples):
        raise DatasetError(
            f"None of the {len(samples)} test images in {dataset.root} can be used.",
            f"First problem: {next(iter(skipped.values()))}",
        )


def _judge(dataset: Dataset, sample: Sample, inspector: AnyDetector) -> Judged:
    image = read_content(sample.path)
    name = dataset.relative(sample.path)
    mask, problem = None, ""
    try:
        truth = read_ground_truth(dataset, sample, image.shape)
        mask = None if truth is None else inspector.preprocessing.apply_to_mask(truth)
    except ImageError as error:
        problem = error.what
    began = time.perf_counter()
    stages = inspector.stages(image)
    score_map = inspector.score_map(stages)
    return Judged(sample, name, stages.score, time.perf_counter() - began, score_map, mask, problem)
