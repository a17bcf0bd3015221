"""The plan: every network and every bank size measured on this device, and the best within the budget."""

import os
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision
from pcedge.core.defaults import DEFAULT_CACHE_GB
from pcedge.core.progress import Progress, silent
from pcedge.datasets import Dataset, labelled_images
from pcedge.errors import OptionError, PcedgeError
from pcedge.studies.sweeps import SweepMeasurement

from .candidates import NetworkCandidate, bundle_candidates, candidates
from .points import Budget, Plan, PlanPoint, best, nearest
from .separation import LABELLED, SYNTHETIC, separation_dataset

_TIMED = 5


@dataclass(frozen=True)
class PlanOptions:
    """What a plan chooses from.

    Attributes:
        budget: What it may cost.
        backbones: Architectures; of a bundle, its own is the only one.
        image_sizes: Whole images are resized to these; of a bundle, its own is the only one.
        coresets: Sizes of the bank.
        precisions: Of the network.
        weights: Backbone to a state dict to use instead of the usual weights.
        seed: Of everything random.
        device: Where ONNX Runtime runs the networks.
        cache_gb: Disk that cached features may use, in GB.
    """

    budget: Budget
    backbones: tuple[str, ...] = ("pcedge-s",)
    image_sizes: tuple[int, ...] = (160, 224, 320)
    coresets: tuple[CoresetSize, ...] = tuple(
        CoresetSize(fraction=share) for share in (0.0025, 0.01, 0.04, 0.1)
    )
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    weights: dict[str, Path] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    cache_gb: float = DEFAULT_CACHE_GB


def plan(
    dataset: Dataset,
    options: PlanOptions,
    *,
    bundle: Bundle | None = None,
    labelled: Dataset | None = None,
    progress: Progress = silent,
) -> Plan:
    """Measure what every choice costs here and how well it separates, and choose.

    Args:
        dataset: With good images.
        options: What there is to choose from, and the budget.
        bundle: Keep to this bundle's exported networks, which needs no PyTorch.
        labelled: Separate this dataset's test images, instead of good ones from good ones with faults pasted
            into them.
        progress: Called with networks measured, as the stage ``plan``, and of the stages of each.

    Raises:
        DatasetError: There are too few images.
        OptionError: There is nothing to choose from.
        PcedgeError: Not a single network could be measured.
    """
    with TemporaryDirectory(prefix="pcedge-plan-") as place:
        folder = Path(place)
        if labelled is None:
            measured_on = separation_dataset(dataset, folder / "pictures", options.seed)
        else:
            labelled_images(labelled)
            root = Path(os.path.commonpath([dataset.root.resolve(), labelled.root.resolve()]))
            measured_on = replace(_resolved(labelled), root=root, train=_resolved(dataset).train)
        points, failed = _measure_all(measured_on, options, bundle, folder, progress)
    chosen = best(points, options.budget)
    samples = measured_on.test
    return Plan(
        dataset=dataset.title,
        measured_on=SYNTHETIC if labelled is None else LABELLED,
        good=sum(not sample.is_defect for sample in samples),
        defective=sum(sample.is_defect for sample in samples),
        points=tuple(points),
        chosen=chosen,
        nearest=nearest(points, options.budget) if chosen is None else None,
        commands=() if chosen is None else _commands(dataset, chosen, options, bundle),
        failed=failed,
    )


def _resolved(dataset: Dataset) -> Dataset:
    """A dataset whose paths are absolute, so that two can be joined below one root."""
    test = tuple(replace(sample, path=sample.path.resolve()) for sample in dataset.test)
    return replace(dataset, train=tuple(path.resolve() for path in dataset.train), test=test)


def _measure_all(
    dataset: Dataset, options: PlanOptions, bundle: Bundle | None, folder: Path, progress: Progress
) -> tuple[list[PlanPoint], dict[str, str]]:
    points: list[PlanPoint] = []
    failed: dict[str, str] = {}
    sources = _sources(dataset, options, bundle, folder)
    first: PcedgeError | None = None
    progress("plan", 0, len(sources))
    for done, (name, source) in enumerate(sources.items(), 1):
        try:
            for candidate in source():
                points += _measure(candidate, dataset, options, progress)
        except PcedgeError as error:
            failed[name] = error.what
            first = first or error
        progress("plan", done, len(sources))
    if not points:
        raise first or OptionError("There is no network to choose from.", "Name some: --backbone resnet18")
    return points, failed


def _sources(
    dataset: Dataset, options: PlanOptions, bundle: Bundle | None, folder: Path
) -> dict[str, Callable[[], Iterator[NetworkCandidate]]]:
    if bundle is not None:
        given = (options.precisions, options.device, options.cache_gb)
        return {bundle.manifest.name: lambda: bundle_candidates(bundle, *given)}

    def exporting(backbone: str, size: int) -> Callable[[], Iterator[NetworkCandidate]]:
        return lambda: candidates(
            backbone,
            size,
            options.precisions,
            options.weights.get(backbone),
            dataset,
            folder,
            options.device,
            options.cache_gb,
        )

    return {
        f"{backbone} at {size}": exporting(backbone, size)
        for backbone in options.backbones
        for size in options.image_sizes
    }


def _measure(
    candidate: NetworkCandidate, dataset: Dataset, options: PlanOptions, progress: Progress
) -> list[PlanPoint]:
    """All banks of a network; the network alone where that exceeds the budget already."""
    network = candidate.network

    def point(coreset: str, rows: int, frame_ms: float, separation: float | None) -> PlanPoint:
        return PlanPoint(
            backbone=network.backbone,
            image_size=network.preprocessing.image_size,
            precision=candidate.precision,
            coreset=coreset,
            bank_rows=rows,
            network_bytes=candidate.bytes,
            bank_bytes=rows * network.dims * 4,
            frame_ms=frame_ms,
            separation=separation,
        )

    alone = point("", 0, _network_ms(candidate), None)
    if options.budget.excess(alone) > 1:
        return [alone]
    wanted = {size: [1] for size in options.coresets}
    measured = SweepMeasurement(dataset, network, wanted, options.seed, progress).points()
    return [point(one.coreset, one.bank_rows, one.frame_ms, one.image_auroc) for one in measured]


def _network_ms(candidate: NetworkCandidate) -> float:
    size = candidate.network.preprocessing.input_size
    picture = np.zeros((1, 3, size, size), np.float32)
    times = []
    for _ in range(_TIMED + 1):
        began = time.perf_counter()
        candidate.network.runtime.infer(picture)
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:])) * 1000


def _commands(
    dataset: Dataset, chosen: PlanPoint, options: PlanOptions, bundle: Bundle | None
) -> tuple[str, ...]:
    """What makes the bundle, to be typed."""
    root = str(dataset.root)
    fit = ["pcedge", "fit", root]
    if bundle is not None:
        fit += ["--like", str(bundle.directory)]
    else:
        fit += ["--backbone", chosen.backbone, "--image-size", str(chosen.image_size)]
        if chosen.backbone in options.weights:
            fit += ["--weights", str(options.weights[chosen.backbone])]
    fit += ["--coreset", chosen.coreset]
    if chosen.precision == "fp32":
        return (shlex.join(fit), *(() if bundle is not None else ("pcedge export",)))
    export = ["pcedge", "export", f"--{chosen.precision}", "--images", root]
    return (shlex.join(fit), shlex.join(export))
