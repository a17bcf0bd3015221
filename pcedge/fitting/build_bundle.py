"""Builds a PatchCore bundle from good images and a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import msgspec

from pcedge.banks import PROJECTION_DIMS
from pcedge.bundles.bundle import seal
from pcedge.bundles.drift_reference import write_rare_rows
from pcedge.bundles.gate_files import learn_gate
from pcedge.bundles.manifest import SCHEMA_VERSION, BankInfo, Manifest, MapInfo, ScoreInfo
from pcedge.bundles.nominal_images import keep_pictures
from pcedge.core.defaults import default_cache_directory
from pcedge.core.progress import Progress
from pcedge.core.scoring import SIGMA
from pcedge.core.stage_timer import StageTimer
from pcedge.datasets import Dataset, training_images
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.verification.golden import golden_frames, write_golden
from pcedge.networks.embedding_network import EmbeddingNetwork
from pcedge.thresholds.calibration_data import HeldOutEvidence
from pcedge.thresholds.conformal import outliers
from pcedge.thresholds.groups import EACH, find_groups
from pcedge.thresholds.limits import without_proof

from .feature_cache import FeatureCache, content_digest, embedder_key, looks_key
from .features import BATCH, SPECTRUM, Features, embed_images
from .fit_in_memory import Embed, FittedBank, Task, learn_exactly
from .fit_in_stages import learn_in_stages
from .memory import GIGA, plan_memory
from .options import FitOptions

MIN_IMAGES = 4


@dataclass(frozen=True)
class Built:
    """The result of building a bundle.

    Attributes:
        manifest: The bundle's manifest.
        outliers: Training images whose held-out score is an extreme outlier, with that score, the worst
            first.
        cached: Number of images whose features came from the cache.
        cache_problem: Why the cache was switched off; empty if it was not.
        dependent: Images that show the same part, by groups.
    """

    manifest: Manifest
    outliers: dict[str, float]
    cached: int
    cache_problem: str
    dependent: tuple[tuple[str, ...], ...]


def build(
    staging: Path,
    name: str,
    dataset: Dataset,
    network: EmbeddingNetwork,
    options: FitOptions,
    watch: StageTimer,
    progress: Progress,
    *,
    product: str,
) -> Built:
    """Fit on a dataset's good images with a network and write the bundle's files.

    Args:
        staging: Directory for the bundle's files.
        name: The bundle's name.
        dataset: The dataset with good images to fit on.
        network: The network that embeds them.
        options: Size of the coreset, false-reject rate, seed, memory and cache.
        watch: Timer of the stages.
        progress: Progress callback; stages ``embed``, ``coreset``, ``calibrate`` and ``write``.
        product: The product's identity.

    Raises:
        PcedgeError: There are too few images, or too few for the requested rates.
    """
    task = _task(dataset, network, options)
    plan = plan_memory(len(task.paths), *task.shape, options.coreset, options.memory_gb)
    cache = open_cache(network, options)
    embed = embed_with(network, cache, None if options.groups == EACH else open_looks(options))
    if plan.exact:
        learned = learn_exactly(task, embed, watch, progress)
    else:
        learned = learn_in_stages(task, plan, embed, watch, staging, progress)
    with watch.stage("write"):
        progress("write", 0, 1)
        evidence = _evidence(task, learned)
        manifest = _manifest(name, dataset, evidence, learned, network, options)
        # A fit in stages uses only the held-out images: reading all others again would take long.
        some = {*learned.held_out_paths, *(learned.paths if plan.exact else ())}
        # In the dataset's order: drift compares consecutive images.
        looked_at = tuple(path for path in task.paths if path in some)
        manifest = msgspec.structs.replace(manifest, product=product, gate=learn_gate(looked_at, staging))
        _write_files(staging, manifest, learned, network, options.seed)
        write_rare_rows(staging, learned.rows_used, len(learned.bank))
        paths = {name: path for path, name in task.names.items()}
        keep_pictures(staging, learned.bank.sources, paths, task.preprocessing, options.pictures_mb)
        evidence.write(staging)
        manifest = seal(staging, manifest)
    scores = learned.held_out.scores
    found = {task.names[learned.held_out_paths[i]]: float(scores[i]) for i in outliers(scores)}
    return Built(manifest, found, learned.cached, cache.problem, learned.dependent)


def _task(dataset: Dataset, network: EmbeddingNetwork, options: FitOptions) -> Task:
    paths = training_images(dataset, at_least=MIN_IMAGES)
    names = {path: dataset.relative(path) for path in paths}
    groups = find_groups(tuple(names.values()), options.groups) if options.groups not in (None, EACH) else ()
    return Task(
        paths=paths,
        names=names,
        at_least=MIN_IMAGES,
        rates=options.rates,
        shape=network.shape,
        grid_hw=network.embedding.grid_hw,
        preprocessing=network.preprocessing,
        size=options.coreset,
        seed=options.seed,
        device=network.device,
        neighbours=options.neighbours,
        calibration=options.calibration,
        groups=dict(zip(paths, groups, strict=False)),
        dependent=options.groups != EACH,
    )


def open_cache(network: EmbeddingNetwork, options: FitOptions) -> FeatureCache:
    """The feature cache of a network, with the size limit of the fit's options."""
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


def open_looks(options: FitOptions) -> FeatureCache:
    """The cache of what images look like, beside that of their features."""
    return FeatureCache(default_cache_directory(), int(options.cache_gb * GIGA), looks_key(), (1, SPECTRUM))


def embed_with(network: EmbeddingNetwork, cache: FeatureCache, looks: FeatureCache | None = None) -> Embed:
    """A function that reads and embeds images with a network and a cache, and says what they look like."""

    def embed(paths: Sequence[Path], progress: Progress) -> Features:
        return embed_images(
            paths,
            network.runtime,
            network.preprocessing,
            network.shape,
            progress=progress,
            cache=cache,
            looks=looks,
        )

    return embed


def _manifest(
    name: str,
    dataset: Dataset,
    evidence: HeldOutEvidence,
    learned: FittedBank,
    network: EmbeddingNetwork,
    options: FitOptions,
) -> Manifest:
    patches = learned.images * network.shape[0]
    limits = evidence.limits(options.rates, learned.method, whole=len(learned.bank) >= patches)
    tuning = network.backbone.finetuning
    if tuning and tuning.kept:
        limits = without_proof(
            limits,
            f"expected: {limits.false_reject_rate:.2%} or somewhat more of new good parts are NG; nothing is "
            "proven, because the backbone was fine-tuned on good images that may be among those held out.",
        )
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version=version("pcedge"),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=name,
        dataset=dataset.title,
        images=learned.images,
        skipped={dataset.relative(path): reason for path, reason in learned.skipped.items()},
        preprocessing=network.preprocessing,
        backbone=network.backbone,
        embedding=network.embedding,
        bank=BankInfo(
            rows=len(learned.bank),
            patches=patches,
            coreset=str(options.coreset),
            projection_dims=min(PROJECTION_DIMS, network.embedding.dims),
            seed=options.seed,
            radius=learned.radius,
            guarantee=learned.guarantee,
        ),
        threshold=msgspec.structs.replace(
            limits, calibration=options.calibration, grouped_by=options.groups or ""
        ),
        map=MapInfo(sigma=SIGMA),
        score=ScoreInfo(neighbours=options.neighbours),
        precision=network.precision,
        pictures_mb=options.pictures_mb,
    )


def _evidence(task: Task, learned: FittedBank) -> HeldOutEvidence:
    names = tuple(task.names[path] for path in learned.held_out_paths)
    return HeldOutEvidence(
        names=names,
        groups=tuple(learned.groups.get(path, task.names[path]) for path in learned.held_out_paths),
        held_out=learned.held_out,
        grid_hw=task.grid_hw,
        map_size=task.preprocessing.input_size,
        learned={task.names[path]: digest for path in learned.paths if (digest := _digest(path))},
    )


def _digest(path: Path) -> str:
    """Digest of a file's bytes; empty if the file was removed since the fit."""
    try:
        return content_digest(path)
    except OSError:
        return ""


def _write_files(
    staging: Path, manifest: Manifest, learned: FittedBank, network: EmbeddingNetwork, seed: int
) -> None:
    inspector = Inspector.of(manifest, network.runtime, learned.bank)
    learned.bank.save(staging)
    network.write_files(staging)
    frames = golden_frames(learned.held_out_paths, learned.held_out.scores, seed)
    write_golden(staging, frames, inspector)
