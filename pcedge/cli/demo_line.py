"""The demo: a synthetic production line from fit to watch, offline."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import Bundle
from pcedge.camera import DEFECT_KINDS, Summary, SyntheticCamera, read_image, write_dataset
from pcedge.core.defaults import COMPACT
from pcedge.core.progress import Progress, silent
from pcedge.datasets import GOOD, Dataset, open_dataset
from pcedge.deployment.exporting.export_bundle import ExportResult, export_bundle
from pcedge.errors import OptionError
from pcedge.evaluation.contact_sheet import Tile, write_sheet
from pcedge.evaluation.evaluate import Evaluation, evaluate
from pcedge.fitting.fit import fit
from pcedge.fitting.options import FitOptions
from pcedge.fitting.result import FitResult
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import open_inspector
from pcedge.line.watch import WatchOptions, watch

LINE, MODELS, INSPECTIONS = "line", "models", "inspections"
# Marks a directory as an earlier demo, whose contents may be replaced.
_MARKER = ".pcedge-demo"
TRAIN, TEST_GOOD, PER_DEFECT, FRAMES = 100, 20, 6, 40
SHOWN_PER_KIND = 2

_INTRODUCTION = (
    "Left: the image. Right: the anomaly map on it, coloured only above the threshold that was found on "
    "good parts; the ring marks the highest value. The parts are rendered. The backbone is the small network "
    "that comes with pcedge, so that all of this works offline."
)


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo.

    Attributes:
        fitted: Result of the fit.
        exported: Result of the export.
        evaluation: Evaluation of the exported network.
        watched: Summary of watching the synthetic camera.
        page: The contact sheet as a page.
        sheet: The contact sheet as one image.
        inspections: Directory with the watch's events and heatmaps.
    """

    fitted: FitResult[Bundle]
    exported: ExportResult
    evaluation: Evaluation
    watched: Summary
    page: Path
    sheet: Path
    inspections: Path


def run_demo(directory: Path, progress: Progress = silent) -> DemoResult:
    """Render a line, fit, export, evaluate, watch it, and leave a contact sheet.

    Args:
        directory: A new or empty directory, or an earlier demo, which is replaced.
        progress: Progress callback, called with the stages of each step.

    Raises:
        OptionError: The directory holds something else.
    """
    _clear(directory)
    dataset = _render_line(directory / LINE, progress)
    fitted = fit(
        dataset.root,
        FitOptions(backbone=COMPACT, coreset=CoresetSize(fraction=0.1), models=directory / MODELS),
        progress,
    )
    exported = export_bundle(fitted.bundle, progress=progress)
    with open_inspector(exported.bundle) as inspector:
        evaluation = evaluate(dataset, inspector, progress)
        watched = _watch(exported.bundle, directory / INSPECTIONS, progress)
        page, sheet = _write_sheet(directory, dataset, exported.bundle, inspector, evaluation)
    return DemoResult(fitted, exported, evaluation, watched, page, sheet, directory / INSPECTIONS)


def _clear(directory: Path) -> None:
    marker = directory / _MARKER
    if directory.is_dir() and any(directory.iterdir()) and not marker.is_file():
        raise OptionError(
            f"{directory} holds something other than an earlier demo.",
            "Name another directory with --output.",
        )
    for name in (LINE, MODELS, INSPECTIONS, "sheet"):
        shutil.rmtree(directory / name, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _render_line(directory: Path, progress: Progress) -> Dataset:
    total = TRAIN + TEST_GOOD + PER_DEFECT * len(DEFECT_KINDS)
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress("render", done, total)

    write_dataset(directory, train=TRAIN, test_good=TEST_GOOD, per_defect=PER_DEFECT, on_image=count)
    return open_dataset(directory)


def _watch(bundle: Bundle, output: Path, progress: Progress) -> Summary:
    done = 0

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        progress("watch", done, FRAMES)

    camera = SyntheticCamera(frames=FRAMES)
    return watch(bundle, camera, WatchOptions(output), on_event=count)


def _write_sheet(
    directory: Path, dataset: Dataset, bundle: Bundle, inspector: Inspector, evaluation: Evaluation
) -> tuple[Path, Path]:
    shown = [
        sample
        for kind in (*DEFECT_KINDS, GOOD)
        for sample in [sample for sample in dataset.test if sample.kind == kind][:SHOWN_PER_KIND]
    ]
    images = [read_image(sample.path) for sample in shown]
    tiles = [
        Tile(sample.kind.replace("_", " "), image, inspector.inspect(image))
        for sample, image in zip(shown, images, strict=True)
    ]
    manifest = bundle.manifest
    return write_sheet(
        directory,
        tiles,
        title="pcedge demo: flanges on a line",
        introduction=_INTRODUCTION,
        facts={
            "good images to learn from": str(manifest.images),
            "backbone": f"{manifest.backbone.name} ({manifest.backbone.weights})",
            "memory bank": f"{manifest.bank.rows:,} of {manifest.bank.patches:,} patches",
            "image AUROC": _number(evaluation.image_auroc),
            "pixel AUROC": _number(evaluation.pixel_auroc),
            "AUPRO": _number(evaluation.aupro),
            "good parts rejected": _number(evaluation.false_reject_rate),
            "defects missed": _number(evaluation.miss_rate),
            "runtime": f"{evaluation.runtime}, {evaluation.frame_ms:.1f} ms a frame",
        },
    )


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
