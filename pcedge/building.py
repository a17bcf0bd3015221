"""Building a bundle: what a network sees of good images, learned and written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.banks import PROJECTION_DIMS
from pcedge.bundle import seal
from pcedge.camera import read_image
from pcedge.datasets import Dataset, training_images
from pcedge.errors import DatasetError, ImageError
from pcedge.evidence import HeldOutEvidence
from pcedge.feature_cache import FeatureCache, content_digest, default_cache_directory, embedder_key
from pcedge.features import BATCH, Features, embed_images
from pcedge.fit_options import FitOptions
from pcedge.gating import learn_gate
from pcedge.golden import with_fault, write_golden
from pcedge.inspector import Inspector
from pcedge.learning import Embed, Learned, Task, learn_exactly, learn_in_stages
from pcedge.manifest import SCHEMA_VERSION, BankInfo, Manifest, MapInfo, ScoreInfo, ThresholdInfo
from pcedge.memory import GIGA, plan_memory
from pcedge.network import Network
from pcedge.nominal_pictures import keep_pictures
from pcedge.progress import Progress
from pcedge.scoring import SIGMA
from pcedge.stopwatch import Stopwatch
from pcedge.threshold import (
    DEFAULT_FALSE_REJECT_RATE,
    check_rate,
    outliers,
    review_at,
    smallest_rate,
    threshold_at,
)

MIN_IMAGES = 4


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        manifest: Of the bundle, with every file described.
        outliers: Training images whose held-out score stands far out, the worst first, with that score.
        cached: Images whose features came from the cache.
        cache_problem: Why the cache could not be used to the end; empty otherwise.
    """

    manifest: Manifest
    outliers: dict[str, float]
    cached: int
    cache_problem: str


def build(
    staging: Path,
    name: str,
    dataset: Dataset,
    network: Network,
    options: FitOptions,
    watch: Stopwatch,
    progress: Progress,
) -> Built:
    """Learn a dataset's good images through a network and fill a directory with the bundle.

    Args:
        staging: Where the bundle's files go.
        name: The bundle's name.
        dataset: With good images to fit on.
        network: Embeds them.
        options: Size of the coreset, false-reject rate, seed, memory and cache.
        watch: Takes the time of every stage.
        progress: Told of the stages ``embed``, ``coreset``, ``calibrate`` and ``write``.

    Raises:
        PcedgeError: The images are too few, or do not support what was asked for.
    """
    task = _task(dataset, network, options)
    plan = plan_memory(len(task.paths), *task.shape, options.coreset, options.memory_gb)
    cache = _open_cache(network, options)
    embed = _embed_with(network, cache)
    if plan.exact:
        learned = learn_exactly(task, embed, watch, progress)
    else:
        learned = learn_in_stages(task, plan, embed, watch, staging, progress)
    with watch.stage("write"):
        progress("write", 0, 1)
        manifest = _manifest(name, dataset, task, learned, network, options)
        manifest = msgspec.structs.replace(manifest, gate=learn_gate(learned.held_out_paths, staging))
        _write_files(staging, manifest, learned, network, options.seed)
        paths = {name: path for path, name in task.names.items()}
        keep_pictures(staging, learned.bank.sources, paths, task.preprocessing, options.pictures_mb)
        _evidence(task, learned).write(staging)
        manifest = seal(staging, manifest)
    scores = learned.held_out.scores
    found = {task.names[learned.held_out_paths[i]]: float(scores[i]) for i in outliers(scores)}
    return Built(manifest, found, learned.cached, cache.problem)


def _task(dataset: Dataset, network: Network, options: FitOptions) -> Task:
    paths = training_images(dataset, at_least=MIN_IMAGES)
    return Task(
        paths=paths,
        names={path: dataset.relative(path) for path in paths},
        at_least=MIN_IMAGES,
        false_reject_rate=options.false_reject_rate,
        shape=network.shape,
        grid_hw=network.embedding.grid_hw,
        preprocessing=network.preprocessing,
        size=options.coreset,
        seed=options.seed,
        device=network.device,
        neighbours=options.neighbours,
    )


def _open_cache(network: Network, options: FitOptions) -> FeatureCache:
    key = embedder_key(
        backbone=network.backbone.name,
        layers=network.backbone.layers,
        weights_sha256=network.backbone.weights_sha256,
        embedding=network.embedding.kind,
        preprocessing=network.preprocessing,
        runtime=network.identity,
        batch=BATCH,
    )
    return FeatureCache(default_cache_directory(), int(options.cache_gb * GIGA), key, network.shape)


def _embed_with(network: Network, cache: FeatureCache) -> Embed:
    def embed(paths: Sequence[Path], progress: Progress) -> Features:
        return embed_images(
            paths, network.runtime, network.preprocessing, network.shape, progress=progress, cache=cache
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
    review, review_rate = review_at(results.scores, rate)
    review_map = None if review_rate is None else threshold_at(results.map_peaks, review_rate)
    return ThresholdInfo(
        score=threshold_at(results.scores, rate),
        map=threshold_at(results.map_peaks, rate),
        false_reject_rate=rate,
        method=learned.method,
        held_out=dict(zip(names, map(float, results.scores), strict=True)),
        review=review,
        review_rate=review_rate,
        review_map=review_map,
    )


def _manifest(
    name: str, dataset: Dataset, task: Task, learned: Learned, network: Network, options: FitOptions
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version=version("pcedge"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=name,
        dataset=dataset.title,
        images=learned.images,
        skipped={task.names[path]: reason for path, reason in learned.skipped.items()},
        preprocessing=network.preprocessing,
        backbone=network.backbone,
        embedding=network.embedding,
        bank=BankInfo(
            rows=len(learned.bank),
            patches=learned.images * task.shape[0],
            coreset=str(options.coreset),
            projection_dims=min(PROJECTION_DIMS, network.embedding.dims),
            seed=options.seed,
            radius=learned.radius,
            guarantee=learned.guarantee,
        ),
        threshold=_threshold(task, learned, options),
        map=MapInfo(sigma=SIGMA),
        score=ScoreInfo(neighbours=options.neighbours),
        precision=network.precision,
        pictures_mb=options.pictures_mb,
    )


def _evidence(task: Task, learned: Learned) -> HeldOutEvidence:
    names = tuple(task.names[path] for path in learned.held_out_paths)
    return HeldOutEvidence(
        names=names,
        groups=names,
        held_out=learned.held_out,
        grid_hw=task.grid_hw,
        map_size=task.preprocessing.input_size,
        learned={task.names[path]: digest for path in learned.paths if (digest := _digest(path))},
    )


def _digest(path: Path) -> str:
    """Of a file's bytes; nothing if it has gone since it was learned from."""
    try:
        return content_digest(path)
    except OSError:
        return ""


def _write_files(staging: Path, manifest: Manifest, learned: Learned, network: Network, seed: int) -> None:
    inspector = Inspector.of(manifest, network.runtime, learned.bank)
    learned.bank.save(staging)
    network.write_files(staging)
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
