"""Evaluation: labelled images through the inspector that watch runs, and how well it did."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from typing import Any, Literal, cast, get_args

import numpy as np

from pcedge.camera import Verdict
from pcedge.core.progress import Progress, silent
from pcedge.datasets import Contradiction, Copies, Dataset, Leak, LeftOut, find_copies
from pcedge.errors import OptionError
from pcedge.inspection.detector import AnyDetector
from pcedge.thresholds.conformal import PValues
from pcedge.thresholds.verdict import Thresholds

from .inference import Judged, judge
from .metrics import ImageMetrics, Metric, PixelMetrics, PixelResult, image_metrics, rate

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
        threshold: The threshold used; None where scores only rank images, as an ensemble's do.
        good: Good images judged.
        defective: Defective images judged.
        defects_without_mask: Defective images left out of the pixel metrics because they have no mask.
        skipped: Images that were left out, and why.
        unusable_masks: Masks that could not be used, by image, and why; such a defect counts as one without.
        leaks: Test images that were also learned from: their scores say nothing about new parts.
        layout: The dataset's layout.
        runtime: What ran the network.
        frame_ms: Median time from decoded image to score and map.
        scores: Score of every image by its name in the dataset.
        p_values: Of every image, by its name, the share of new good parts that is expected to score as much
            or more; empty where that is not known.
        invalid: Images whose score is not a finite number: neither OK nor NG, so in no rate of the threshold.
        left_out: What else is in the dataset's folder, by reason.
        masks: How the masks were read, in words; empty where there are none.
        doubtful_masks: Masks that may mean something else, and why: the pixel metrics rest on them.
        contradictions: Images that are labelled good in one place and defective in another.
    """

    metrics: Metrics
    aupro_limit: float
    threshold: float | None
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
    p_values: dict[str, float] = field(default_factory=dict)
    invalid: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    masks: str = ""
    doubtful_masks: dict[str, str] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()

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
        """Plain values, ready for JSON: each metric's number by its name, and all of it below ``metrics``.

        A score that is not a finite number is None: JSON has no word for it.
        """
        scores = {name: score if isfinite(score) else None for name, score in self.scores.items()}
        return {**self.metrics.values(), **asdict(self), "scores": scores}


def evaluate(
    dataset: Dataset,
    inspector: AnyDetector,
    progress: Progress = silent,
    *,
    leaks: LeakPolicy = "report",
) -> Evaluation:
    """Judge every test image of a dataset.

    Args:
        dataset: With test images.
        inspector: As ``open_inspector`` gives it.
        progress: Called with images looked at, as the stage ``check``, and judged, as the stage ``evaluate``.
        leaks: What becomes of test images that show what a training image of the dataset shows: ``report``
            names them, ``exclude`` also leaves them out, ``ignore`` does not look for them.

    Raises:
        DatasetError: There are no test images, or none can be used.
        OptionError: There is no such policy.
    """
    leak_policy(leaks)
    copies = Copies() if leaks == "ignore" else find_copies(dataset, progress)
    found = copies.leaks
    skipped = left_out(found, leaks)
    judged = judge(dataset, inspector, skipped, progress)
    result = summarise(
        dataset,
        judged,
        skipped,
        found,
        threshold=inspector.threshold,
        runtime=inspector.runtime.name,
        p_values=inspector.p_values,
    )
    return replace(result, contradictions=copies.contradictions)


def leak_policy(name: str) -> LeakPolicy:
    """Check the name of a policy that a user gave.

    Raises:
        OptionError: There is no such policy.
    """
    if name in get_args(LeakPolicy):
        return cast(LeakPolicy, name)
    raise OptionError(
        f"There is no way {name!r} to treat leaks.", f"Choose one of: {', '.join(get_args(LeakPolicy))}."
    )


def left_out(leaks: Sequence[Leak], policy: LeakPolicy) -> dict[str, str]:
    """Names of the test images that a policy leaves out for leaks, and why."""
    return {leak.test: f"also learned from, as {leak.train}" for leak in leaks if policy == "exclude"}


def summarise(
    dataset: Dataset,
    judged: Iterable[Judged],
    skipped: dict[str, str],
    leaks: tuple[Leak, ...],
    *,
    threshold: float | None,
    runtime: str,
    p_values: PValues | None = None,
) -> Evaluation:
    """Measure images as they are judged; their maps are not kept.

    Args:
        dataset: Which they are of.
        judged: From :func:`pcedge.evaluation.inference.judge`.
        skipped: Images that were left out, and why; looked at when all others have been judged.
        leaks: Test images that were also learned from.
        threshold: Scores above it are NG; None where scores only rank images.
        runtime: What ran the network.
        p_values: Held-out scores of good images, where there are any.
    """
    rows: list[_Row] = []
    with PixelMetrics(dataset.aupro_limit) as pixels:
        for image in judged:
            if image.mask is not None:
                pixels.add(image.score_map, image.mask)
            rows.append(_Row.of(image))
        metrics = _measure(rows, pixels.compute(), threshold)
    defective = sum(row.is_defect for row in rows)
    return Evaluation(
        metrics=metrics,
        aupro_limit=dataset.aupro_limit,
        threshold=threshold,
        good=len(rows) - defective,
        defective=defective,
        defects_without_mask=sum(not row.has_mask for row in rows),
        skipped=skipped,
        unusable_masks={row.name: row.mask_problem for row in rows if row.mask_problem},
        leaks=leaks,
        layout=dataset.layout,
        runtime=runtime,
        frame_ms=float(np.median([row.seconds for row in rows])) * 1000,
        scores={row.name: row.score for row in rows},
        invalid=tuple(row.name for row in rows if not isfinite(row.score)),
        left_out=dataset.left_out,
        masks=dataset.masks.said if any(sample.masks for sample in dataset.test) else "",
        doubtful_masks={dataset.relative(path): why for path, why in dataset.masks.doubtful.items()},
        p_values={}
        if p_values is None
        else {row.name: p_values.of(row.score) for row in rows if isfinite(row.score)},
    )


def _p_values(rows: Sequence["_Row"], known: PValues) -> dict[str, float]:
    return {row.name: known.of(row.score) for row in rows if isfinite(row.score)}


@dataclass(frozen=True)
class _Row:
    """An image without its map."""

    name: str
    is_defect: bool
    score: float
    seconds: float
    has_mask: bool
    mask_problem: str

    @classmethod
    def of(cls, image: Judged) -> "_Row":
        return cls(
            image.name,
            image.sample.is_defect,
            image.score,
            image.seconds,
            image.mask is not None,
            image.mask_problem,
        )


def _measure(rows: Sequence[_Row], pixels: PixelResult, threshold: float | None) -> Metrics:
    good = np.array([row.score for row in rows if not row.is_defect], np.float32)
    bad = np.array([row.score for row in rows if row.is_defect], np.float32)
    if threshold is None:
        false_rejects = misses = Metric.undefined("there is no threshold: scores only rank images")
    else:
        rule = Thresholds(threshold)
        false_rejects = rate(rule.count(Verdict.NG, good), len(good), "good images")
        misses = rate(rule.count(Verdict.OK, bad), len(bad), "defective images")
    return Metrics.of(image_metrics(good, bad), pixels, false_rejects=false_rejects, misses=misses)
