"""Evaluation: labelled images through the inspector that watch runs, and how well it did."""

import time
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pcedge.datasets import (
    Dataset,
    Leak,
    Sample,
    find_leaks,
    labelled_images,
    read_content,
    read_ground_truth,
)
from pcedge.errors import DatasetError, ImageError, OptionError
from pcedge.inspector import Inspector
from pcedge.metrics import ImageMetrics, Metric, PixelMetrics, PixelResult, image_metrics, rate
from pcedge.progress import Progress, silent

# What becomes of test images that were also learned from: reported, left out as well, or not looked for.
LeakPolicy = Literal["report", "exclude", "ignore"]


@dataclass(frozen=True)
class Metrics:
    """What was measured, each with its interval or the reason why it is not defined.

    Attributes:
        image_auroc: Over image scores.
        image_ap: Average precision over image scores.
        image_f1_max: The highest F1 score of any threshold on image scores, and that threshold.
        pixel_auroc: Over the pixels of all images.
        pixel_auroc_anomalous: Over the pixels of defective images only.
        pixel_ap: Average precision over the pixels of all images.
        pixel_f1_max: The highest F1 score of any threshold on pixels, and that threshold.
        aupro: Area under the per-region-overlap curve on defective images, up to the dataset's limit.
        aupro_all: The same with the false positives of all images.
        false_reject_rate: Share of good images that scored above the threshold.
        miss_rate: Share of defective images that did not.
    """

    image_auroc: Metric
    image_ap: Metric
    image_f1_max: Metric
    pixel_auroc: Metric
    pixel_auroc_anomalous: Metric
    pixel_ap: Metric
    pixel_f1_max: Metric
    aupro: Metric
    aupro_all: Metric
    false_reject_rate: Metric
    miss_rate: Metric

    @classmethod
    def of(
        cls, images: ImageMetrics, pixels: PixelResult, false_rejects: Metric, misses: Metric
    ) -> "Metrics":
        """From the metrics of images, of pixels, and of the threshold."""
        return cls(
            image_auroc=images.auroc,
            image_ap=images.average_precision,
            image_f1_max=images.f1_max,
            pixel_auroc=pixels.auroc,
            pixel_auroc_anomalous=pixels.auroc_anomalous,
            pixel_ap=pixels.average_precision,
            pixel_f1_max=pixels.f1_max,
            aupro=pixels.aupro,
            aupro_all=pixels.aupro_all,
            false_reject_rate=false_rejects,
            miss_rate=misses,
        )

    def values(self) -> dict[str, float | None]:
        """Only the numbers, by name."""
        return {field.name: getattr(self, field.name).value for field in fields(self)}


@dataclass(frozen=True)
class Evaluation:
    """How well an inspector told defects from good images.

    Attributes:
        metrics: What was measured, with intervals.
        aupro_limit: Largest false-positive rate of the AUPRO.
        threshold: The threshold used.
        good: Good images judged.
        defective: Defective images judged.
        defects_without_mask: Defective images left out of the pixel metrics because they have no mask.
        skipped: Images that were left out, and why.
        unusable_masks: Masks that could not be used, by image, and why; such a defect counts as one without.
        leaks: Test images that were also learned from: their scores say nothing about new parts.
        layout: The dataset's layout.
        runtime: What ran the network.
        frame_ms: Median time from decoded picture to score and map.
        scores: Score of every image by its name in the dataset.
    """

    metrics: Metrics
    aupro_limit: float
    threshold: float
    good: int
    defective: int
    defects_without_mask: int
    skipped: dict[str, str]
    unusable_masks: dict[str, str]
    leaks: tuple[Leak, ...]
    layout: str
    runtime: str
    frame_ms: float
    scores: dict[str, float]

    @property
    def image_auroc(self) -> float | None:
        """Of image scores; None when it is not defined."""
        return self.metrics.image_auroc.value

    @property
    def pixel_auroc(self) -> float | None:
        """Over the pixels of all images; None when it is not defined."""
        return self.metrics.pixel_auroc.value

    @property
    def pixel_auroc_anomalous(self) -> float | None:
        """Over the pixels of defective images; None when it is not defined."""
        return self.metrics.pixel_auroc_anomalous.value

    @property
    def aupro(self) -> float | None:
        """On defective images; None when it is not defined."""
        return self.metrics.aupro.value

    @property
    def false_reject_rate(self) -> float | None:
        """Share of good images above the threshold; None when there are no good images."""
        return self.metrics.false_reject_rate.value

    @property
    def miss_rate(self) -> float | None:
        """Share of defective images not above the threshold; None when there are none."""
        return self.metrics.miss_rate.value

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: each metric's number by its name, and all of it below ``metrics``."""
        return {**self.metrics.values(), **asdict(self)}


@dataclass(frozen=True, eq=False)
class _Judged:
    sample: Sample
    score: float
    seconds: float
    has_mask: bool
    mask_problem: str


def evaluate(
    dataset: Dataset,
    inspector: Inspector,
    progress: Progress = silent,
    *,
    leaks: LeakPolicy = "report",
) -> Evaluation:
    """Judge every test image of a dataset.

    Args:
        dataset: With test images.
        inspector: As ``open_inspector`` gives it.
        progress: Told of images looked at, as the stage ``check``, and judged, as the stage ``evaluate``.
        leaks: What becomes of test images that show what a training image of the dataset shows: ``report``
            names them, ``exclude`` also leaves them out, ``ignore`` does not look for them.

    Raises:
        DatasetError: There are no test images, or none can be used.
        OptionError: There is no such policy.
    """
    if leaks not in get_args(LeakPolicy):
        raise OptionError(
            f"There is no way {leaks!r} to treat leaks.",
            f"Choose one of: {', '.join(get_args(LeakPolicy))}.",
        )
    samples = labelled_images(dataset)
    found = () if leaks == "ignore" else find_leaks(dataset, progress)
    skipped = {leak.test: f"also learned from, as {leak.train}" for leak in found if leaks == "exclude"}
    judged: list[_Judged] = []
    with PixelMetrics(dataset.aupro_limit) as pixels:
        for done, sample in enumerate(samples, 1):
            name = dataset.relative(sample.path)
            try:
                if name not in skipped:
                    judged.append(_judge(dataset, sample, inspector, pixels))
            except ImageError as error:
                skipped[name] = error.what
            progress("evaluate", done, len(samples))
        if not judged:
            raise DatasetError(
                f"None of the {len(samples)} test images in {dataset.root} can be used.",
                f"First problem: {next(iter(skipped.values()))}",
            )
        metrics = _measure(judged, pixels.compute(), inspector.threshold)
    return _summarise(dataset, inspector, judged, metrics, skipped, found)


def _judge(dataset: Dataset, sample: Sample, inspector: Inspector, pixels: PixelMetrics) -> _Judged:
    image = read_content(sample.path)
    mask, problem = None, ""
    try:
        truth = read_ground_truth(dataset, sample, image.shape)
        mask = None if truth is None else inspector.preprocessing.apply_to_mask(truth)
    except ImageError as error:
        problem = error.what
    began = time.perf_counter()
    stages = inspector.stages(image)
    score_map = inspector.score_map(stages)
    seconds = time.perf_counter() - began
    if mask is not None:
        pixels.add(score_map, mask)
    return _Judged(sample, stages.score, seconds, mask is not None, problem)


def _measure(judged: list[_Judged], pixels: PixelResult, threshold: float) -> Metrics:
    good = _scores(judged, defective=False)
    bad = _scores(judged, defective=True)
    return Metrics.of(
        image_metrics(good, bad),
        pixels,
        false_rejects=rate(int((good > threshold).sum()), len(good), "good images"),
        misses=rate(int((bad <= threshold).sum()), len(bad), "defective images"),
    )


def _scores(judged: list[_Judged], *, defective: bool) -> NDArray[np.float32]:
    return np.array([j.score for j in judged if j.sample.is_defect == defective], np.float32)


def _summarise(
    dataset: Dataset,
    inspector: Inspector,
    judged: list[_Judged],
    metrics: Metrics,
    skipped: dict[str, str],
    leaks: tuple[Leak, ...],
) -> Evaluation:
    defective = sum(j.sample.is_defect for j in judged)
    return Evaluation(
        metrics=metrics,
        aupro_limit=dataset.aupro_limit,
        threshold=inspector.threshold,
        good=len(judged) - defective,
        defective=defective,
        defects_without_mask=sum(not j.has_mask for j in judged),
        skipped=skipped,
        unusable_masks={dataset.relative(j.sample.path): j.mask_problem for j in judged if j.mask_problem},
        leaks=leaks,
        layout=dataset.layout,
        runtime=inspector.runtime.name,
        frame_ms=float(np.median([j.seconds for j in judged])) * 1000,
        scores={dataset.relative(j.sample.path): j.score for j in judged},
    )
