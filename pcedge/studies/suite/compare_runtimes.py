"""Runtimes side by side: the same images through each, and how far their scores and verdicts are apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcedge.core.progress import Progress, silent
from pcedge.datasets import Dataset, find_leaks
from pcedge.deployment.exporting.any_method import export_any
from pcedge.errors import PcedgeError, RuntimeUnavailableError
from pcedge.evaluation.evaluate import Evaluation, LeakPolicy, left_out, summarise
from pcedge.evaluation.inference import Judged, judge
from pcedge.evaluation.runs import RuntimeResult
from pcedge.inspection.runtimes import RuntimeKind
from pcedge.methods import AnyBundle, open_detector
from pcedge.thresholds.verdict import Thresholds

from .run_metrics import metrics_of


@dataclass(frozen=True, eq=False)
class RuntimeResults:
    """What the runtimes made of the test images.

    Attributes:
        images: As judged by the first runtime that could run, with their maps.
        evaluation: Of the first.
        threshold: The one that gave the verdicts.
        runtimes: All, in the order asked for.
    """

    images: tuple[Judged, ...]
    evaluation: Evaluation
    threshold: float
    runtimes: tuple[RuntimeResult, ...]


def measure(
    bundle: AnyBundle,
    dataset: Dataset,
    kinds: Sequence[RuntimeKind],
    *,
    device: str = "auto",
    threshold: float | None = None,
    policy: LeakPolicy = "report",
    unavailable: dict[RuntimeKind, str] | None = None,
    progress: Progress = silent,
) -> RuntimeResults:
    """Judge the test images with every runtime; one that cannot run is listed with the reason.

    Args:
        bundle: The bundle.
        dataset: With test images.
        kinds: Runtimes; all are compared with the first that can run.
        device: Where they run.
        threshold: Used instead of the bundle's own.
        policy: What becomes of test images that were also learned from.
        unavailable: Runtimes that are known not to run, and why.
        progress: Called with images judged, as the stage ``evaluate``, for all runtimes together.

    Raises:
        PcedgeError: No runtime can run (then the first one's error), or no image can be used.
    """
    first: tuple[tuple[Judged, ...], Evaluation, float] | None = None
    leaks = find_leaks(dataset) if policy != "ignore" else ()
    results: list[RuntimeResult] = []
    errors: list[PcedgeError] = []
    known = unavailable or {}
    for number, kind in enumerate(kinds):
        report = part_of(progress, number, len(kinds))
        try:
            if kind in known:
                raise RuntimeUnavailableError(known[kind])
            with open_detector(bundle, runtime=kind, device=device, threshold=threshold) as inspector:
                skipped = left_out(leaks, policy)
                images = tuple(judge(dataset, inspector, skipped, report))
                limit, name = inspector.threshold, inspector.runtime.name
        except PcedgeError as error:
            errors.append(error)
            results.append(RuntimeResult(runtime=kind, skipped=error.what))
            continue
        evaluation = summarise(dataset, images, skipped, leaks, threshold=limit, runtime=name)
        reference = first[0] if first else None
        first = first or (images, evaluation, limit)
        results.append(_result(kind, images, evaluation, limit, reference))
    if first is None:
        raise errors[0]
    return RuntimeResults(*first, tuple(results))


def exported_for(
    bundle: AnyBundle, kinds: Sequence[RuntimeKind], progress: Progress = silent
) -> tuple[AnyBundle, dict[RuntimeKind, str]]:
    """Export a bundle for the runtimes that need it; a failure costs those runtimes alone.

    Returns:
        The bundle, exported where that could be done, and why some runtimes cannot run.
    """
    needing = [kind for kind in kinds if kind != "torch"]
    if not needing:
        return bundle, {}
    try:
        return export_any(bundle, trt="tensorrt" in kinds, progress=progress)
    except PcedgeError as error:
        return bundle, dict.fromkeys(needing, error.what)


def _result(
    kind: RuntimeKind,
    images: Sequence[Judged],
    evaluation: Evaluation,
    threshold: float,
    reference: Sequence[Judged] | None,
) -> RuntimeResult:
    # The first image meets cold caches, and code that is compiled at its first use.
    times = np.array([image.seconds for image in images[1:] or images]) * 1000
    difference, flips = (None, 0) if reference is None else _apart(reference, images, threshold)
    return RuntimeResult(
        runtime=kind,
        description=evaluation.runtime,
        metrics=metrics_of(evaluation),
        frame_ms=float(np.median(times)),
        frame_ms_p95=float(np.quantile(times, 0.95)),
        largest_difference=difference,
        flips=flips,
    )


def _apart(first: Sequence[Judged], other: Sequence[Judged], threshold: float) -> tuple[float | None, int]:
    """Largest relative difference of a score, and how many verdicts differ, over images judged by both."""
    scores = {image.name: image.score for image in first}
    pairs = np.array([(scores[i.name], i.score) for i in other if i.name in scores])
    if not len(pairs):
        return None, 0
    expected, found = pairs[:, 0], pairs[:, 1]
    scale = np.maximum(np.maximum(np.abs(expected), abs(threshold)), np.finfo(np.float32).tiny)
    flips = int(Thresholds(threshold).flips(expected, found).sum())
    largest = float((np.abs(found - expected) / scale).max())
    return (largest if np.isfinite(largest) else None), flips


def part_of(progress: Progress, number: int, parts: int) -> Progress:
    """Progress of one of several equal parts, reported as progress of the whole."""
    return lambda stage, done, total: progress(stage, number * total + done, parts * total)
