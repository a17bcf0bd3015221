"""The official ensemble: several networks, each with a bank of its own, their scores normalised and averaged.

As in the official implementation, image scores and maps of each member are brought to the range 0 to 1 over
the whole test set. So these scores rank the images of one test set; they judge no single part, have no
threshold, and there is no bundle of an ensemble.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.core.progress import Progress, silent
from pcedge.core.stage_timer import StageTimer
from pcedge.datasets import Dataset, find_leaks, labelled_images
from pcedge.evaluation.evaluate import Evaluation, left_out, summarise
from pcedge.evaluation.inference import Judged, judge
from pcedge.evaluation.runs import Run, RuntimeResult, write_run
from pcedge.inspection.runtimes import open_inspector

from .compare_runtimes import part_of
from .options import TrialOptions
from .record import Circumstances, Findings, write_down
from .run_metrics import metrics_of


def combine(members: Sequence[Sequence[Judged]]) -> tuple[Judged, ...]:
    """Average what members made of the same test images, each brought to 0 to 1 over all of them.

    Images that a member could not judge are left out. A member whose scores are all the same adds nothing.
    """
    shared = set.intersection(*({image.name for image in member} for member in members))
    kept = [[image for image in member if image.name in shared] for member in members]
    scores = np.mean([_to_one([image.score for image in images]) for images in kept], axis=0)
    maps = np.mean([_to_one([image.score_map for image in images]) for images in kept], axis=0)
    return tuple(
        replace(
            images[0],
            score=float(score),
            score_map=np.asarray(score_map, np.float32),
            seconds=sum(image.seconds for image in images),
        )
        for images, score, score_map in zip(zip(*kept, strict=True), scores, maps, strict=True)
    )


def fit_and_evaluate_ensemble(
    dataset: Dataset,
    options: TrialOptions,
    models: Path,
    directory: Path,
    circumstances: Circumstances,
    progress: Progress = silent,
) -> Run:
    """Fit every member, combine what they make of the test images and write the run.

    Args:
        dataset: With test images.
        options: With members; each takes the place of the fit's own backbone. PyTorch runs them.
        models: Where the members' bundles are written, as ``<name>+<backbone>``.
        directory: Of the run; replaced whole.
        circumstances: What else the run states.
        progress: Called with the stages of fit and evaluation.

    Raises:
        PcedgeError: A member cannot be fitted or evaluated; no run is written.
    """
    from pcedge.fitting.fit import fit

    labelled_images(dataset)
    members, bundles, seconds = [], [], Counter[str]()
    leaks = find_leaks(dataset) if options.leaks != "ignore" else ()
    skipped = left_out(leaks, options.leaks)
    with write_run(directory) as staging:
        for number, member in enumerate(options.members):
            report = part_of(progress, number, len(options.members))
            name = f"{circumstances.name}+{member.backbone}"
            asked = replace(
                options.fit,
                backbone=member.backbone,
                layers=member.layers,
                weights=member.weights,
                models=models,
                name=name,
                pictures_mb=0,
            )
            fitted = fit(dataset.root, asked, report)
            watch = StageTimer()
            with (
                watch.stage("evaluate"),
                open_inspector(fitted.bundle, runtime="torch", device=options.fit.device) as inspector,
            ):
                members.append(tuple(judge(dataset, inspector, skipped, report)))
            seconds.update(fitted.seconds | watch.seconds)
            bundles.append(fitted.bundle)
        images = combine(members)
        evaluation = summarise(dataset, images, skipped, leaks, threshold=None, runtime="ensemble")
        findings = _findings(bundles, images, evaluation, dict(seconds))
        return write_down(staging, findings, circumstances)


def _findings(
    bundles: Sequence[Bundle], images: Sequence[Judged], evaluation: Evaluation, seconds: dict[str, float]
) -> Findings:
    result = RuntimeResult(
        runtime="torch",
        description=f"{len(bundles)} members, their scores averaged",
        metrics=metrics_of(evaluation),
        frame_ms=evaluation.frame_ms,
    )
    return Findings(
        bundles=bundles,
        images=images,
        evaluation=evaluation,
        threshold=None,
        shown_above=_shown_above(images),
        runtimes=(result,),
        seconds=seconds,
    )


def _shown_above(images: Sequence[Judged]) -> tuple[float, float]:
    """For the images alone: what 19 of 20 good images stay below, scores and map values."""
    good = [image for image in images if not image.sample.is_defect] or list(images)
    scores, peaks = [image.score for image in good], [float(image.score_map.max()) for image in good]
    return float(np.quantile(scores, 0.95)), float(np.quantile(peaks, 0.95))


def _to_one(values: Sequence[Any]) -> NDArray[np.float64]:
    """Values, one for each image or a map for each, brought to the range 0 to 1 over all of them."""
    stacked = np.array(values, np.float64)
    low, high = stacked.min(), stacked.max()
    return (stacked - low) / (high - low) if high > low else np.zeros_like(stacked)
