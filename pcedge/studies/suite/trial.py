"""One trial: a category fitted, evaluated on its test images and written down as a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pcedge.core.progress import Progress, silent
from pcedge.core.stage_timer import StageTimer
from pcedge.datasets import Dataset, labelled_images
from pcedge.evaluation.evaluate import LeakPolicy
from pcedge.evaluation.runs import Run, ThresholdFacts, write_run
from pcedge.inspection.runtimes import RuntimeKind
from pcedge.methods import AnyBundle, find_method

from .compare_runtimes import RuntimeResults, exported_for, measure
from .options import TrialOptions
from .record import Circumstances, Findings, write_down


def fit_and_evaluate(
    dataset: Dataset,
    options: TrialOptions,
    models: Path,
    directory: Path,
    circumstances: Circumstances,
    progress: Progress = silent,
) -> Run:
    """Fit a category, evaluate it with every runtime and write the run.

    Args:
        dataset: With test images.
        options: How.
        models: Where the bundle is written.
        directory: Of the run; replaced whole.
        circumstances: What else the run states.
        progress: Called with the stages of fit, export and evaluation.

    Raises:
        PcedgeError: It cannot be fitted or evaluated; no run is written.
    """
    labelled_images(dataset)
    watch = StageTimer()
    with write_run(directory) as staging:
        fitted, seconds = _fit(dataset, options, models, circumstances.name, progress)
        with watch.stage("export"):
            bundle, unavailable = exported_for(fitted, options.runtimes, progress)
        with watch.stage("evaluate"):
            measured = measure(
                bundle,
                dataset,
                options.runtimes,
                device=options.fit.device,
                policy=options.leaks,
                unavailable=unavailable,
                progress=progress,
            )
        findings = _findings(bundle, measured, seconds | watch.seconds)
        return write_down(staging, findings, circumstances)


def _fit(
    dataset: Dataset, options: TrialOptions, models: Path, name: str, progress: Progress
) -> tuple[AnyBundle, dict[str, float]]:
    """Fit by the method that was asked for; the bundle, and the seconds of every stage."""
    chosen = replace(options.fit, models=models, name=name, pictures_mb=0)
    fitted = find_method(options.method).fit(dataset.root, chosen, dict(options.settings), progress)
    return fitted.bundle, fitted.seconds


def evaluate_bundle(
    bundle: AnyBundle,
    dataset: Dataset,
    kinds: Sequence[RuntimeKind],
    directory: Path,
    circumstances: Circumstances,
    *,
    device: str = "auto",
    threshold: float | None = None,
    policy: LeakPolicy = "report",
    progress: Progress = silent,
) -> Run:
    """Evaluate a bundle as it is, with every runtime, and write the run; needs no PyTorch.

    Raises:
        PcedgeError: No runtime can run, or no image can be used; no run is written.
    """
    watch = StageTimer()
    with write_run(directory) as staging:
        with watch.stage("evaluate"):
            measured = measure(
                bundle, dataset, kinds, device=device, threshold=threshold, policy=policy, progress=progress
            )
        return write_down(staging, _findings(bundle, measured, watch.seconds), circumstances)


def _findings(bundle: AnyBundle, measured: RuntimeResults, seconds: dict[str, float]) -> Findings:
    limit = bundle.manifest.threshold
    return Findings(
        bundles=[bundle],
        images=measured.images,
        evaluation=measured.evaluation,
        threshold=ThresholdFacts(
            score=measured.threshold,
            map=limit.map,
            false_reject_rate=limit.false_reject_rate,
            method=limit.method,
            held_out=tuple(limit.held_out.values()),
        ),
        shown_above=(measured.threshold, limit.map),
        runtimes=measured.runtimes,
        seconds=seconds,
    )
