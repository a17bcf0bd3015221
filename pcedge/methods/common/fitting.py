"""Fit a network and its scorer: from a folder of good images to a bundle."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from pcedge.bundles.bundle import check_name, seal, set_current, write_bundle
from pcedge.bundles.gate_files import learn_gate
from pcedge.bundles.manifest import SCHEMA_VERSION, MapInfo
from pcedge.core.progress import Progress, silent
from pcedge.core.scoring import SIGMA
from pcedge.core.stage_timer import StageTimer
from pcedge.datasets import Dataset, open_dataset, training_images
from pcedge.errors import MissingExtraError, OptionError
from pcedge.fitting.build_bundle import MIN_IMAGES
from pcedge.fitting.options import FitOptions
from pcedge.fitting.replacing import product_of
from pcedge.fitting.result import FitResult
from pcedge.inspection.verification.golden import golden_frames
from pcedge.thresholds.conformal import outliers
from pcedge.thresholds.limits import find_limits

from .bundle import BaselineBundle
from .fitter import FitTask, Fitter, Learned, NetworkParts
from .golden import write_golden
from .manifest import BaselineManifest
from .opening import inspect_with
from .settings import parse_settings


def fit_network(
    method: NetworkParts,
    dataset_path: Path,
    options: FitOptions,
    settings: Mapping[str, Any],
    progress: Progress = silent,
) -> FitResult[BaselineBundle]:
    """Fit a method on the good images of a dataset and write the bundle, which becomes current.

    Args:
        method: The method.
        dataset_path: Folder of one product, in one of the layouts of ``pcedge.datasets``.
        options: Options of the fit. Without ``layers``, the method's own are used. ``coreset`` is ignored;
            ``embedding``, ``like``, ``finetune`` and ``neighbours`` belong to PatchCore and are refused.
        settings: The method's own options by name.
        progress: Progress callback.

    Raises:
        PcedgeError: The fit failed; the message says why and what to do. Nothing was written or changed.
    """
    _refuse_other_options(method.name, options)
    parsed = parse_settings(method, settings)
    dataset = open_dataset(dataset_path, options.layout)
    paths = training_images(dataset, at_least=MIN_IMAGES)
    options.rates.check(len(paths))
    name = check_name(options.name or dataset.product)
    directory = options.models / name
    product = product_of(directory, dataset, replace=options.replace)
    watch = StageTimer()
    with watch.stage("load"):
        try:
            options = _prepared(options)
            fitter = method.prepare(options, parsed, progress)
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "torch", "fit", f"Fitting {method.name}") from None
    task = FitTask(paths, {path: dataset.relative(path) for path in paths}, MIN_IMAGES, options)
    # Opened before the long work, so that a directory that is not writable is reported at once.
    with write_bundle(directory) as staging:
        learned = fitter.learn(task, staging, watch, progress)
        with watch.stage("write"):
            progress("write", 0, 1)
            stated = _manifest(name, method.name, dataset, task, fitter, learned)
            stated = msgspec.structs.replace(stated, product=product)
            manifest = _write(method, staging, stated, learned)
    set_current(options.models, name)
    progress("write", 1, 1)
    return FitResult(
        bundle=BaselineBundle(directory, manifest),
        seconds=watch.seconds,
        outliers={
            task.names[learned.held_out[i]]: float(learned.scores[i]) for i in outliers(learned.scores)
        },
        cached=learned.cached,
        cache_problem=learned.cache_problem,
        offline_default=fitter.offline_default,
        left_out=dataset.left_out,
    )


def _prepared(options: FitOptions) -> FitOptions:
    """The same with images normalised as the backbone wants them, if one was named."""
    if options.backbone is None:
        return options
    from pcedge.networks.backbones import preprocessing_for

    return replace(options, preprocessing=preprocessing_for(options.backbone, options.preprocessing))


def _refuse_other_options(method: str, options: FitOptions) -> None:
    others = {
        "--embedding": options.embedding is not None,
        "--like": options.like is not None,
        "--finetune": options.finetune is not None,
        f"--calibration {options.calibration}": options.calibration != "folds",
        "--groups": options.groups is not None,
        "--neighbours": options.neighbours != 1,
    }
    for option, given in others.items():
        if given:
            raise OptionError(
                f"{option} belongs to PatchCore, and {method} has no use for it.",
                f"Leave it out. Settings of {method}: --set NAME=VALUE",
            )


def _manifest(
    name: str, method: str, dataset: Dataset, task: FitTask, fitter: Fitter, learned: Learned
) -> BaselineManifest:
    return BaselineManifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version=version("pcedge"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=name,
        method=method,
        dataset=dataset.title,
        images=learned.images,
        skipped={task.names[path]: reason for path, reason in learned.skipped.items()},
        preprocessing=task.options.preprocessing,
        threshold=find_limits(
            [task.names[path] for path in learned.held_out],
            learned.scores,
            learned.map_peaks,
            task.options.rates,
            learned.how,
        ),
        map=MapInfo(sigma=SIGMA),
        grid_hw=learned.grid_hw,
        seed=task.options.seed,
        settings=dict(learned.settings),
        backbone=fitter.backbone,
        notes=learned.notes,
    )


def _write(
    method: NetworkParts, staging: Path, manifest: BaselineManifest, learned: Learned
) -> BaselineManifest:
    """Add the gate and the golden frames, computed by the reference restored from the files."""
    manifest = msgspec.structs.replace(manifest, gate=learn_gate(learned.held_out, staging))
    unproved = BaselineBundle(staging, seal(staging, manifest))
    frames = golden_frames(learned.held_out, learned.scores, manifest.seed)
    with method.reference(unproved, "cpu") as runtime:
        write_golden(staging, frames, inspect_with(method, unproved, runtime))
    return seal(staging, unproved.manifest)
