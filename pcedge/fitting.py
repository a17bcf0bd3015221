"""Fit: from a folder of good images to a bundle."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.backbones import DEFAULT_BACKBONE, Backbone, load_backbone
from pcedge.banks import (
    PROJECTION_DIMS,
    Bank,
    CoresetSize,
    RowSources,
    greedy_coreset,
    project,
)
from pcedge.bundle import (
    BACKBONE_FILE,
    Bundle,
    seal,
    set_current,
    write_bundle,
)
from pcedge.calibration import HeldOut, held_out
from pcedge.camera import read_image
from pcedge.datasets import Dataset, open_dataset, training_images
from pcedge.defaults import DEFAULT_MODELS
from pcedge.embedder import EmbeddingKind, build_embedder, save_backbone
from pcedge.embedding import PatchEmbedder
from pcedge.errors import DatasetError, ImageError
from pcedge.export import TorchRuntime
from pcedge.golden import choose_golden, write_golden
from pcedge.inspector import Inspector
from pcedge.manifest import (
    SCHEMA_VERSION,
    BackboneInfo,
    BankInfo,
    EmbeddingInfo,
    Manifest,
    MapInfo,
    ThresholdInfo,
)
from pcedge.preprocessing import PRESETS, Preprocessing
from pcedge.progress import Progress, silent
from pcedge.scoring import SIGMA
from pcedge.threshold import (
    DEFAULT_FALSE_REJECT_RATE,
    check_rate,
    outliers,
    smallest_rate,
    threshold_at,
)

MIN_IMAGES = 4
_BATCH = 8


@dataclass(frozen=True)
class FitOptions:
    """What a fit can be told.

    Attributes:
        backbone: A torchvision architecture, or ``filterbank``.
        weights: A state dict to use instead of torchvision's hub cache.
        layers: Module names, finest grid first; empty for the backbone's default.
        preprocessing: How a picture becomes the network's input.
        embedding: ``reference`` (1,024 pooled values) or ``mean`` (plain 3x3 means).
        coreset: How many patches the bank keeps.
        false_reject_rate: Share of good parts that may be called NG; None for 1 % or the smallest rate that
            the number of images supports, whichever is larger.
        seed: Of everything random.
        device: ``auto``, ``cpu``, ``cuda``.
        models: Directory of bundles.
        name: Of the bundle; None for the dataset's folder name.
    """

    backbone: str = DEFAULT_BACKBONE
    weights: Path | None = None
    layers: tuple[str, ...] = ()
    preprocessing: Preprocessing = PRESETS["whole"]
    embedding: EmbeddingKind = "reference"
    coreset: CoresetSize = field(default_factory=lambda: CoresetSize(fraction=0.1))
    false_reject_rate: float | None = None
    seed: int = 0
    device: str = "auto"
    models: Path = DEFAULT_MODELS
    name: str | None = None


@dataclass(frozen=True)
class FitResult:
    """What a fit made.

    Attributes:
        bundle: The bundle, now the current one.
        seconds: Time taken by each stage.
        outliers: Training images whose held-out score stands far out, the worst first, with that score: look
            at them, one may show a defect.
    """

    bundle: Bundle
    seconds: dict[str, float]
    outliers: dict[str, float]


@dataclass
class _Stopwatch:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


@dataclass(frozen=True, eq=False)
class _Embedded:
    """Embeddings of the images that could be read, and why the others could not."""

    paths: tuple[Path, ...]
    embeddings: NDArray[np.float32]
    skipped: dict[str, str]


def fit(dataset_path: Path, options: FitOptions = FitOptions(), progress: Progress = silent) -> FitResult:
    """Fit PatchCore on the good images of a dataset and write the bundle, which becomes current.

    Args:
        dataset_path: A folder in MVTec layout, or a plain folder of good images.
        options: What differs from the defaults.
        progress: Told of the stages ``embed``, ``coreset``, ``calibrate`` and ``write``.

    Raises:
        PcedgeError: With what was wrong and what to do; nothing was written or changed.
    """
    dataset = open_dataset(dataset_path)
    paths = training_images(dataset, at_least=MIN_IMAGES)
    if options.false_reject_rate is not None:
        check_rate(options.false_reject_rate, len(paths))
    watch = _Stopwatch()
    with watch.stage("load"):
        backbone = load_backbone(options.backbone, options.layers, options.weights)
        embedder = build_embedder(backbone.module, options.preprocessing, options.embedding)
        runtime = TorchRuntime(embedder, options.device)
    with watch.stage("embed"):
        embedded = _embed(dataset, paths, runtime, options, embedder, progress)
    with watch.stage("coreset"):
        bank, projected = _choose_bank(dataset, embedded, embedder.grid_hw, options, progress)
    with watch.stage("calibrate"):
        results = held_out(
            embedded.embeddings,
            projected,
            options.coreset,
            options.preprocessing,
            embedder.grid_hw,
            seed=options.seed,
            progress=progress,
        )
        threshold = _threshold(dataset, embedded, results, options)
    with watch.stage("write"):
        progress("write", 0, 1)
        inspector = Inspector(
            runtime,
            bank,
            options.preprocessing,
            embedder.grid_hw,
            threshold=threshold.score,
            map_threshold=threshold.map,
        )
        manifest = _manifest(dataset, embedded, backbone, embedder, bank, threshold, options)
        directory = options.models / manifest.name
        with write_bundle(directory) as staging:
            bank.save(staging)
            save_backbone(backbone, staging / BACKBONE_FILE)
            write_golden(staging, _golden_frames(embedded, results.scores, options.seed), inspector)
            manifest = seal(staging, manifest)
        set_current(options.models, manifest.name)
        progress("write", 1, 1)
    found = {
        dataset.relative(embedded.paths[image]): float(results.scores[image])
        for image in outliers(results.scores)
    }
    return FitResult(Bundle(directory, manifest), watch.seconds, found)


def _embed(
    dataset: Dataset,
    paths: Sequence[Path],
    runtime: TorchRuntime,
    options: FitOptions,
    embedder: PatchEmbedder,
    progress: Progress,
) -> _Embedded:
    """Decode and embed images; decoding runs ahead of the network on other threads."""
    patches = embedder.grid_hw[0] * embedder.grid_hw[1]
    embeddings = np.empty((len(paths), patches, embedder.dims), np.float32)
    used: list[Path] = []
    skipped: dict[str, str] = {}
    inputs: list[NDArray[np.float32]] = []
    for done, (path, loaded) in enumerate(_load_ahead(paths, options.preprocessing), 1):
        if isinstance(loaded, ImageError):
            skipped[dataset.relative(path)] = loaded.what
        else:
            used.append(path)
            inputs.append(loaded)
        if inputs and (len(inputs) == _BATCH or done == len(paths)):
            embeddings[len(used) - len(inputs) : len(used)] = runtime.infer(np.stack(inputs))
            inputs.clear()
        progress("embed", done, len(paths))
    if len(used) < MIN_IMAGES:
        raise DatasetError(
            f"Only {len(used)} of {len(paths)} images in {dataset.root} could be read; "
            f"at least {MIN_IMAGES} are needed. First problem: {next(iter(skipped.values()))}",
            "Replace the unreadable files.",
        )
    return _Embedded(tuple(used), embeddings[: len(used)], skipped)


def _load_ahead(
    paths: Sequence[Path], preprocessing: Preprocessing
) -> Iterator[tuple[Path, NDArray[np.float32] | ImageError]]:
    """Preprocessed pictures in order, a few batches read ahead."""

    def load(path: Path) -> NDArray[np.float32] | ImageError:
        try:
            return preprocessing.apply(read_image(path))
        except ImageError as error:
            return error

    remaining = iter(paths)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        waiting: list[tuple[Path, Future[NDArray[np.float32] | ImageError]]] = [
            (path, pool.submit(load, path)) for path in islice(remaining, 2 * _BATCH)
        ]
        while waiting:
            path, future = waiting.pop(0)
            waiting += [(path_, pool.submit(load, path_)) for path_ in islice(remaining, 1)]
            yield path, future.result()


def _choose_bank(
    dataset: Dataset,
    embedded: _Embedded,
    grid_hw: tuple[int, int],
    options: FitOptions,
    progress: Progress,
) -> tuple[Bank, NDArray[np.float32]]:
    """Choose the coreset of all patches; also return the projection it was chosen by."""
    images, patches, dims = embedded.embeddings.shape
    rows = embedded.embeddings.reshape(-1, dims)
    projected = project(rows, options.seed)
    picks = greedy_coreset(
        projected,
        options.coreset.rows(len(rows)),
        progress=lambda done, total: progress("coreset", done, total),
    )
    names = tuple(dataset.relative(path) for path in embedded.paths)
    bank = Bank.build(rows[picks], RowSources.of_patches(names, picks, grid_hw))
    return bank, projected.reshape(images, patches, -1)


def _threshold(dataset: Dataset, embedded: _Embedded, results: HeldOut, options: FitOptions) -> ThresholdInfo:
    images = len(embedded.paths)
    if options.false_reject_rate is None:
        rate = max(DEFAULT_FALSE_REJECT_RATE, smallest_rate(images))
    else:
        rate = check_rate(options.false_reject_rate, images)
    return ThresholdInfo(
        score=threshold_at(results.scores, rate),
        map=threshold_at(results.map_peaks, rate),
        false_reject_rate=rate,
        method="conformal quantile of held-out scores of the training images",
        folds=results.folds,
        held_out={
            dataset.relative(path): float(score)
            for path, score in zip(embedded.paths, results.scores, strict=True)
        },
    )


def _manifest(
    dataset: Dataset,
    embedded: _Embedded,
    backbone: Backbone,
    embedder: PatchEmbedder,
    bank: Bank,
    threshold: ThresholdInfo,
    options: FitOptions,
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version=version("pcedge"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=options.name or dataset.name,
        dataset=dataset.title,
        images=len(embedded.paths),
        skipped=embedded.skipped,
        preprocessing=options.preprocessing,
        backbone=BackboneInfo(
            name=backbone.name,
            layers=backbone.layers,
            weights=backbone.weights,
            weights_sha256=backbone.weights_sha256,
        ),
        embedding=EmbeddingInfo(kind=options.embedding, dims=embedder.dims, grid_hw=embedder.grid_hw),
        bank=BankInfo(
            rows=len(bank),
            patches=embedded.embeddings.shape[0] * embedded.embeddings.shape[1],
            coreset=str(options.coreset),
            projection_dims=min(PROJECTION_DIMS, embedder.dims),
            seed=options.seed,
        ),
        threshold=threshold,
        map=MapInfo(sigma=SIGMA),
    )


def _golden_frames(
    embedded: _Embedded, scores: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.uint8]]:
    """The images with the highest, the lowest and the median held-out score, and one with a fault."""
    order = np.argsort(scores, kind="stable")
    chosen = [order[-1], order[0], order[len(order) // 2]]
    images = [read_image(embedded.paths[image]) for image in chosen]
    return choose_golden(images, ("highest", "lowest", "median"), seed)
