"""Fit: from a folder of good images to a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.backbones import Backbone, load_backbone, load_default_backbone
from pcedge.banks import PROJECTION_DIMS, CoresetSize
from pcedge.bundle import BACKBONE_FILE, Bundle, check_name, seal, set_current, write_bundle
from pcedge.camera import read_image
from pcedge.compact import COMPACT
from pcedge.datasets import Dataset, open_dataset, training_images
from pcedge.defaults import DEFAULT_CACHE_GB, DEFAULT_MODELS
from pcedge.embedder import EmbeddingKind, build_embedder, default_embedding, save_backbone
from pcedge.embedding import PatchEmbedder
from pcedge.errors import DatasetError, ImageError, WeightsUnavailableError
from pcedge.export import TorchRuntime
from pcedge.feature_cache import FeatureCache, default_cache_directory, embedder_key
from pcedge.features import BATCH, Features, embed_images
from pcedge.gating import learn_gate
from pcedge.golden import with_fault, write_golden
from pcedge.inspector import Inspector
from pcedge.learning import Embed, Learned, Task, learn_exactly, learn_in_stages
from pcedge.manifest import (
    SCHEMA_VERSION,
    BackboneInfo,
    BankInfo,
    EmbeddingInfo,
    Manifest,
    MapInfo,
    ThresholdInfo,
)
from pcedge.memory import GIGA, plan_memory
from pcedge.preprocessing import PRESETS, Preprocessing
from pcedge.progress import Progress, silent
from pcedge.scoring import SIGMA
from pcedge.stopwatch import Stopwatch
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
        backbone: A torchvision architecture or ``pcedge-s``; None for ``wide_resnet50_2`` or, where its
            weights are neither on this machine nor to be downloaded, ``pcedge-s``.
        weights: A state dict to use instead of torchvision's hub cache or the shipped weights.
        layers: Module names, finest grid first; empty for the backbone's default.
        preprocessing: How a picture becomes the network's input.
        embedding: ``reference`` (1,024 pooled values) or ``mean`` (plain 3x3 means); None for ``mean`` with
            ``pcedge-s`` and ``reference`` with others.
        coreset: How many patches the bank keeps.
        false_reject_rate: Share of good parts that may be called NG; None for 1 % or the smallest rate that
            the number of images supports, whichever is larger.
        seed: Of everything random.
        device: ``auto``, ``cpu``, ``cuda``.
        memory_gb: Memory the fit may use above the loaded libraries, in GB; None for 60 % of what is free.
            Where the embeddings do not fit, the bank is chosen in stages and the manifest states the bound.
        cache_gb: How much disk the cache of features may use, in GB; 0 for no cache.
        models: Directory of bundles.
        name: Of the bundle; None for the dataset's folder name.
    """

    backbone: str | None = None
    weights: Path | None = None
    layers: tuple[str, ...] = ()
    preprocessing: Preprocessing = PRESETS["whole"]
    embedding: EmbeddingKind | None = None
    coreset: CoresetSize = field(default_factory=lambda: CoresetSize(fraction=0.1))
    false_reject_rate: float | None = None
    seed: int = 0
    device: str = "auto"
    memory_gb: float | None = None
    cache_gb: float = DEFAULT_CACHE_GB
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
        cached: Images whose features came from the cache.
        cache_problem: Why the cache could not be used to the end; empty otherwise.
        offline_default: Why no backbone being named led to ``pcedge-s``, and how to get the larger one; None
            if it did not.
    """

    bundle: Bundle
    seconds: dict[str, float]
    outliers: dict[str, float]
    cached: int
    cache_problem: str
    offline_default: WeightsUnavailableError | None


@dataclass(frozen=True, eq=False)
class _Network:
    """The network of a fit, ready to run."""

    backbone: Backbone
    embedding: EmbeddingKind
    embedder: PatchEmbedder
    runtime: TorchRuntime
    offline_default: WeightsUnavailableError | None


def fit(dataset_path: Path, options: FitOptions | None = None, progress: Progress = silent) -> FitResult:
    """Fit PatchCore on the good images of a dataset and write the bundle, which becomes current.

    Args:
        dataset_path: A folder in MVTec layout, or a plain folder of good images.
        options: What differs from the defaults.
        progress: Told of the stages ``download``, ``embed``, ``coreset``, ``calibrate`` and ``write``.

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
    watch = Stopwatch()
    with watch.stage("load"):
        network = _load_network(options, progress)
    task = _task(dataset, paths, network, options)
    plan = plan_memory(len(paths), *task.shape, options.coreset, options.memory_gb)
    # Opened before the long work, so that a directory that cannot be written is found at once.
    with write_bundle(directory) as staging:
        cache = _open_cache(network, options)
        embed = _embed_with(network, options, cache)
        if plan.exact:
            learned = learn_exactly(task, embed, watch, progress)
        else:
            learned = learn_in_stages(task, plan, embed, watch, staging, progress)
        with watch.stage("write"):
            progress("write", 0, 1)
            manifest = _manifest(name, dataset, task, learned, network, options)
            manifest = msgspec.structs.replace(manifest, gate=learn_gate(learned.held_out_paths, staging))
            _write_files(staging, manifest, learned, network, options.seed)
            manifest = seal(staging, manifest)
    set_current(options.models, name)
    progress("write", 1, 1)
    scores = learned.held_out.scores
    found = {task.names[learned.held_out_paths[i]]: float(scores[i]) for i in outliers(scores)}
    return FitResult(
        bundle=Bundle(directory, manifest),
        seconds=watch.seconds,
        outliers=found,
        cached=learned.cached,
        cache_problem=cache.problem,
        offline_default=network.offline_default,
    )


def _load_network(options: FitOptions, progress: Progress) -> _Network:
    backbone, missing = _load_backbone(options, progress)
    embedding = options.embedding or default_embedding(backbone.name)
    embedder = build_embedder(backbone.module, options.preprocessing, embedding)
    return _Network(backbone, embedding, embedder, TorchRuntime(embedder, options.device), missing)


def _load_backbone(
    options: FitOptions, progress: Progress
) -> tuple[Backbone, WeightsUnavailableError | None]:
    if options.backbone is None:
        return load_default_backbone(options.layers, options.weights, progress)
    try:
        return load_backbone(options.backbone, options.layers, options.weights, progress), None
    except WeightsUnavailableError as error:
        raise WeightsUnavailableError(
            error.what, f"{error.hint} Without a download: --backbone {COMPACT}"
        ) from error


def _task(dataset: Dataset, paths: tuple[Path, ...], network: _Network, options: FitOptions) -> Task:
    return Task(
        paths=paths,
        names={path: dataset.relative(path) for path in paths},
        at_least=MIN_IMAGES,
        false_reject_rate=options.false_reject_rate,
        shape=(network.embedder.patches, network.embedder.dims),
        grid_hw=network.embedder.grid_hw,
        preprocessing=options.preprocessing,
        size=options.coreset,
        seed=options.seed,
        device=network.runtime.device,
    )


def _open_cache(network: _Network, options: FitOptions) -> FeatureCache:
    backbone = network.backbone
    key = embedder_key(
        backbone=backbone.name,
        layers=backbone.layers,
        weights_sha256=backbone.weights_sha256,
        embedding=network.embedding,
        preprocessing=options.preprocessing,
        runtime=network.runtime.name,
        batch=BATCH,
    )
    return FeatureCache(
        default_cache_directory(),
        int(options.cache_gb * GIGA),
        key,
        (network.embedder.patches, network.embedder.dims),
    )


def _embed_with(network: _Network, options: FitOptions, cache: FeatureCache) -> Embed:
    shape = (network.embedder.patches, network.embedder.dims)

    def embed(paths: Sequence[Path], progress: Progress) -> Features:
        return embed_images(
            paths,
            network.runtime,
            options.preprocessing,
            shape,
            progress=progress,
            cache=cache,
        )

    return embed


def _threshold(task: Task, learned: Learned, options: FitOptions) -> ThresholdInfo:
    results = learned.held_out
    images = len(results.scores)
    if options.false_reject_rate is None:
        rate = max(DEFAULT_FALSE_REJECT_RATE, smallest_rate(images))
    else:
        rate = check_rate(options.false_reject_rate, images)
    names = [task.names[path] for path in learned.held_out_paths]
    return ThresholdInfo(
        score=threshold_at(results.scores, rate),
        map=threshold_at(results.map_peaks, rate),
        false_reject_rate=rate,
        method=learned.method,
        held_out=dict(zip(names, map(float, results.scores), strict=True)),
    )


def _manifest(
    name: str, dataset: Dataset, task: Task, learned: Learned, network: _Network, options: FitOptions
) -> Manifest:
    backbone, embedder = network.backbone, network.embedder
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version=version("pcedge"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=name,
        dataset=dataset.title,
        images=learned.images,
        skipped={task.names[path]: reason for path, reason in learned.skipped.items()},
        preprocessing=options.preprocessing,
        backbone=BackboneInfo(
            name=backbone.name,
            layers=backbone.layers,
            weights=backbone.weights,
            weights_sha256=backbone.weights_sha256,
        ),
        embedding=EmbeddingInfo(kind=network.embedding, dims=embedder.dims, grid_hw=embedder.grid_hw),
        bank=BankInfo(
            rows=len(learned.bank),
            patches=learned.images * embedder.patches,
            coreset=str(options.coreset),
            projection_dims=min(PROJECTION_DIMS, embedder.dims),
            seed=options.seed,
            radius=learned.radius,
            guarantee=learned.guarantee,
        ),
        threshold=_threshold(task, learned, options),
        map=MapInfo(sigma=SIGMA),
    )


def _write_files(staging: Path, manifest: Manifest, learned: Learned, network: _Network, seed: int) -> None:
    inspector = Inspector.of(manifest, network.runtime, learned.bank)
    learned.bank.save(staging)
    save_backbone(network.backbone, staging / BACKBONE_FILE)
    write_golden(staging, _golden_frames(learned, seed), inspector)


def _golden_frames(learned: Learned, seed: int) -> dict[str, NDArray[np.uint8]]:
    """The images with the highest, the lowest and the median held-out score, and one with a fault."""
    order = np.argsort(learned.held_out.scores, kind="stable")[::-1]
    images = {
        "highest": _first_readable(learned, order),
        "lowest": _first_readable(learned, order[::-1]),
        "median": _first_readable(learned, np.roll(order, -(len(order) // 2))),
    }
    return with_fault(images, seed)


def _first_readable(learned: Learned, order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The first of the images that is still there: a file may have gone since it was learned from."""
    for image in order:
        try:
            return read_image(learned.held_out_paths[image])
        except ImageError:
            continue
    raise DatasetError("None of the training images can be read any more.", "Fit again when they are back.")
