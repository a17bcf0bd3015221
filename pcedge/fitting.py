"""Fit: from a folder of good images to a bundle."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.backbones import DEFAULT_BACKBONE, Backbone, load_backbone
from pcedge.banks import PROJECTION_DIMS, Bank, CoresetSize, RowSources, greedy_coreset, project
from pcedge.bundle import BACKBONE_FILE, Bundle, check_name, seal, set_current, write_bundle
from pcedge.calibration import HeldOut, held_out
from pcedge.camera import read_image
from pcedge.datasets import Dataset, open_dataset, training_images
from pcedge.defaults import DEFAULT_MODELS
from pcedge.embedder import EmbeddingKind, build_embedder, save_backbone
from pcedge.embedding import PatchEmbedder
from pcedge.export import TorchRuntime
from pcedge.features import Features, embed_images
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


class _Stopwatch:
    """Seconds each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


@dataclass(frozen=True, eq=False)
class _Network:
    """The network of a fit, ready to run."""

    backbone: Backbone
    embedder: PatchEmbedder
    runtime: TorchRuntime


def fit(dataset_path: Path, options: FitOptions | None = None, progress: Progress = silent) -> FitResult:
    """Fit PatchCore on the good images of a dataset and write the bundle, which becomes current.

    Args:
        dataset_path: A folder in MVTec layout, or a plain folder of good images.
        options: What differs from the defaults.
        progress: Told of the stages ``embed``, ``coreset``, ``calibrate`` and ``write``.

    Raises:
        PcedgeError: With what was wrong and what to do; nothing was written or changed.
    """
    options = options or FitOptions()
    dataset = open_dataset(dataset_path)
    paths = training_images(dataset, at_least=MIN_IMAGES)
    if options.false_reject_rate is not None:
        check_rate(options.false_reject_rate, len(paths))
    name = check_name(options.name or dataset.name)
    directory = options.models / name
    watch = _Stopwatch()
    with watch.stage("load"):
        network = _load_network(options)
    # Opened before the long work, so that a directory that cannot be written is found at once.
    with write_bundle(directory) as staging:
        with watch.stage("embed"):
            shape = (network.embedder.patches, network.embedder.dims)
            features = embed_images(
                paths,
                network.runtime,
                options.preprocessing,
                shape,
                at_least=MIN_IMAGES,
                progress=progress,
            )
        with watch.stage("coreset"):
            bank, projected = _choose_bank(dataset, features, network.embedder.grid_hw, options, progress)
        with watch.stage("calibrate"):
            results = held_out(
                features.embeddings,
                projected,
                options.coreset,
                options.preprocessing,
                network.embedder.grid_hw,
                seed=options.seed,
                progress=progress,
            )
        with watch.stage("write"):
            progress("write", 0, 1)
            manifest = _manifest(name, dataset, features, network, bank, results, options)
            _write_files(staging, manifest, features, network, bank, results, options)
            manifest = seal(staging, manifest)
    set_current(options.models, name)
    progress("write", 1, 1)
    found = {
        dataset.relative(features.paths[image]): float(results.scores[image])
        for image in outliers(results.scores)
    }
    return FitResult(Bundle(directory, manifest), watch.seconds, found)


def _load_network(options: FitOptions) -> _Network:
    backbone = load_backbone(options.backbone, options.layers, options.weights)
    embedder = build_embedder(backbone.module, options.preprocessing, options.embedding)
    return _Network(backbone, embedder, TorchRuntime(embedder, options.device))


def _choose_bank(
    dataset: Dataset,
    features: Features,
    grid_hw: tuple[int, int],
    options: FitOptions,
    progress: Progress,
) -> tuple[Bank, NDArray[np.float32]]:
    """Choose the coreset of all patches; also return the projection it was chosen by."""
    images, patches, dims = features.embeddings.shape
    rows = features.embeddings.reshape(-1, dims)
    projected = project(rows, options.seed)
    picks = greedy_coreset(
        projected,
        options.coreset.rows(len(rows)),
        progress=lambda done, total: progress("coreset", done, total),
    )
    names = tuple(dataset.relative(path) for path in features.paths)
    bank = Bank.build(rows[picks], RowSources.of_patches(names, picks, grid_hw))
    return bank, projected.reshape(images, patches, -1)


def _threshold(dataset: Dataset, features: Features, results: HeldOut, options: FitOptions) -> ThresholdInfo:
    images = len(features.paths)
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
            for path, score in zip(features.paths, results.scores, strict=True)
        },
    )


def _manifest(
    name: str,
    dataset: Dataset,
    features: Features,
    network: _Network,
    bank: Bank,
    results: HeldOut,
    options: FitOptions,
) -> Manifest:
    backbone, embedder = network.backbone, network.embedder
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version=version("pcedge"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=name,
        dataset=dataset.title,
        images=len(features.paths),
        skipped={dataset.relative(path): reason for path, reason in features.skipped.items()},
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
            patches=len(features.paths) * embedder.patches,
            coreset=str(options.coreset),
            projection_dims=min(PROJECTION_DIMS, embedder.dims),
            seed=options.seed,
        ),
        threshold=_threshold(dataset, features, results, options),
        map=MapInfo(sigma=SIGMA),
    )


def _write_files(
    staging: Path,
    manifest: Manifest,
    features: Features,
    network: _Network,
    bank: Bank,
    results: HeldOut,
    options: FitOptions,
) -> None:
    inspector = Inspector.of(manifest, network.runtime, bank)
    bank.save(staging)
    save_backbone(network.backbone, staging / BACKBONE_FILE)
    write_golden(staging, _golden_frames(features, results.scores, options.seed), inspector)


def _golden_frames(
    features: Features, scores: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.uint8]]:
    """The images with the highest, the lowest and the median held-out score, and one with a fault."""
    order = np.argsort(scores, kind="stable")
    chosen = [order[-1], order[0], order[len(order) // 2]]
    images = [read_image(features.paths[image]) for image in chosen]
    return choose_golden(images, ("highest", "lowest", "median"), seed)
