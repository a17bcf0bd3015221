"""Judging: every labelled image through the inspector that watch runs, its map beside its mask."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import read_mask
from pcedge.datasets import Dataset, Sample, labelled_images, read_content
from pcedge.errors import DatasetError, ImageError
from pcedge.inspector import Inspector
from pcedge.preprocessing import Preprocessing
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
        name = dataset.relative(sample.path)
        try:
            judged.append(_judge(sample, name, inspector))
        except ImageError as error:
            skipped[name] = error.what
        progress("evaluate", done, len(samples))
    if not judged:
        raise DatasetError(
            f"None of the {len(samples)} test images in {dataset.root} can be used.",
            f"First problem: {next(iter(skipped.values()))}",
        )
    return Judgements(tuple(judged), skipped)


def _judge(sample: Sample, name: str, inspector: Inspector) -> Judged:
    image = read_content(sample.path)
    mask, problem = None, ""
    try:
        mask = true_mask(sample, image.shape[:2], inspector.preprocessing)
    except ImageError as error:
        problem = error.what
    began = time.perf_counter()
    stages = inspector.stages(image)
    score_map = inspector.score_map(stages)
    return Judged(sample, name, stages.score, time.perf_counter() - began, score_map, mask, problem)


def true_mask(
    sample: Sample, shape_hw: tuple[int, ...], preprocessing: Preprocessing
) -> NDArray[np.bool_] | None:
    """A defect's mask at the map's pixels, None for a defect without one, an empty one for good images.

    Raises:
        ImageError: The mask cannot be read, or does not match its image's ``shape_hw``.
    """
    size = preprocessing.input_size
    if not sample.is_defect:
        return np.zeros((size, size), bool)
    if sample.mask is None:
        return None
    mask = read_mask(sample.mask)
    if mask.shape != shape_hw[:2]:
        raise ImageError(
            f"{sample.mask} is {mask.shape[1]}x{mask.shape[0]}, but its image {sample.path.name} is "
            f"{shape_hw[1]}x{shape_hw[0]}.",
        )
    return preprocessing.apply_to_mask(mask)
