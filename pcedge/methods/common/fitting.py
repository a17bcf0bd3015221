"""Fit a baseline: from a folder of good images to a bundle, as ``pcedge.fit`` does it for PatchCore."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from pcedge.errors import MissingExtraError, OptionError, WeightsUnavailableError
from pcedge.fitting.build_bundle import MIN_IMAGES
from pcedge.fitting.options import FitOptions
from pcedge.inspection.verification.golden import golden_frames
from pcedge.methods.base import FitTask, Fitter, Learned
from pcedge.methods.registry import find_method
from pcedge.networks.encoders import preprocessing_for
from pcedge.thresholds.conformal import outliers
from pcedge.thresholds.limits import find_limits

from .bundle import BaselineBundle
from .golden import write_golden
from .manifest import BaselineManifest
from .opening import inspect_with, open_baseline_runtime
from .settings import parse_settings


@dataclass(frozen=True)
class BaselineFit:
    """What a fit made.

    Attributes:
        bundle: The bundle, now the current one.
        seconds: Time taken by each stage.
        outliers: Training images whose held-out score stands far out, the worst first, with that score.
        cached: Images whose features came from the cache.
        cache_problem: Why the cache could not be used to the end; empty otherwise.
        offline_default: Why no backbone being named led to ``pcedge-s``; None if it did not.
    """

    bundle: BaselineBundle
    seconds: dict[str, float]
    outliers: dict[str, float]
    cached: int
    cache_problem: str
    offline_default: WeightsUnavailableError | None


def fit_baseline(
    dataset_path: Path,
    method: str,
    options: FitOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> BaselineFit:
    """Fit a baseline on the good images of a dataset and write the bundle, which becomes current.

    Args:
        dataset_path: Folder of one product, in one of the layouts of ``pcedge.datasets``.
        method: One of ``METHODS``.
        options: What differs from the defaults. ``layers`` that are not named are the method's own;
            ``coreset`` says nothing; ``embedding``, ``like``, ``finetune`` and ``neighbours`` are
            PatchCore's and refused.
        settings: The method's own, by name.
        progress: Called with every stage.

    Raises:
        PcedgeError: With what was wrong and what to do; nothing was written or changed.
    """
    chosen, options = find_method(method), options or FitOptions()
    _refuse_other_options(method, options)
    if options.backbone is not None:
        prepared = preprocessing_for(options.backbone, options.preprocessing)
        options = replace(options, preprocessing=prepared)
    parsed = parse_settings(chosen, settings or {})
    dataset = open_dataset(dataset_path, options.layout)
    paths = training_images(dataset, at_least=MIN_IMAGES)
    options.rates.check(len(paths))
    name = check_name(options.name or dataset.name)
    watch = StageTimer()
    with watch.stage("load"):
        try:
            fitter = chosen.prepare(options, parsed, progress)
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "torch", "fit", f"Fitting {method}") from None
    task = FitTask(paths, {path: dataset.relative(path) for path in paths}, MIN_IMAGES, options)
    directory = options.models / name
    # Opened before the long work, so that a directory that cannot be written is found at once.
    with write_bundle(directory) as staging:
        learned = fitter.learn(task, staging, watch, progress)
        with watch.stage("write"):
            progress("write", 0, 1)
            manifest = _write(staging, _manifest(name, method, dataset, task, fitter, learned), learned)
    set_current(options.models, name)
    progress("write", 1, 1)
    return BaselineFit(
        bundle=BaselineBundle(directory, manifest),
        seconds=watch.seconds,
        outliers={
            task.names[learned.held_out[i]]: float(learned.scores[i]) for i in outliers(learned.scores)
        },
        cached=learned.cached,
        cache_problem=learned.cache_problem,
        offline_default=fitter.offline_default,
    )


def _refuse_other_options(method: str, options: FitOptions) -> None:
    others = {
        "--embedding": options.embedding is not None,
        "--like": options.like is not None,
        "--finetune": options.finetune is not None,
        "--calibration split": options.calibration != "folds",
        "--groups": options.groups is not None,
        "--neighbours": options.neighbours != 1,
    }
    for option, given in others.items():
        if given:
            raise OptionError(
                f"{option} belongs to PatchCore, and {method} has no use for it.",
                f"Leave it out. What {method} can be told: --set NAME=VALUE",
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


def _write(staging: Path, manifest: BaselineManifest, learned: Learned) -> BaselineManifest:
    """Add the gate and the golden frames; the reference that makes these is restored from the files."""
    manifest = msgspec.structs.replace(manifest, gate=learn_gate(learned.held_out, staging))
    unproved = BaselineBundle(staging, seal(staging, manifest))
    frames = golden_frames(learned.held_out, learned.scores, manifest.seed)
    with open_baseline_runtime(unproved, "torch", "cpu") as runtime:
        write_golden(staging, frames, inspect_with(unproved, runtime))
    return seal(staging, unproved.manifest)
