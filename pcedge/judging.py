"""Judging: every labelled image through the inspector that watch runs, its map beside its mask."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.datasets import Dataset, Sample, labelled_images, read_content, read_ground_truth
from pcedge.errors import DatasetError, ImageError
from pcedge.inspector import Inspector
from pcedge.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Judged:
    """One test image and what the inspector made of it.

    Attributes:
        sample: The image.
        name: Its name in the dataset.
        score: Its anomaly score.
        seconds: From decoded picture to score and map.
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


@dataclass(frozen=True, eq=False)
class Judgements:
    """All test images that could be judged, and why the others could not, by name."""

    images: tuple[Judged, ...]
    skipped: dict[str, str]


def judge(dataset: Dataset, inspector: Inspector, progress: Progress = silent) -> Judgements:
    """Judge every test image of a dataset.

    Args:
        dataset: With test images.
        inspector: As ``open_inspector`` gives it.
        progress: Told of images judged, as the stage ``evaluate``.

    Raises:
        DatasetError: There are no test images, or none can be used.
    """
    samples = labelled_images(dataset)
    judged: list[Judged] = []
    skipped: dict[str, str] = {}
    for done, sample in enumerate(samples, 1):
        try:
            judged.append(_judge(dataset, sample, inspector))
        except ImageError as error:
            skipped[dataset.relative(sample.path)] = error.what
        progress("evaluate", done, len(samples))
    if not judged:
        raise DatasetError(
            f"None of the {len(samples)} test images in {dataset.root} can be used.",
            f"First problem: {next(iter(skipped.values()))}",
        )
    return Judgements(tuple(judged), skipped)


def _judge(dataset: Dataset, sample: Sample, inspector: Inspector) -> Judged:
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
