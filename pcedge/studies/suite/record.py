"""Writing a trial down: what was found becomes a run on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from pcedge.banks import INDEX_FILE
from pcedge.bundles.manifest import Manifest, ProductManifest
from pcedge.core.machine import describe_machine, library_versions
from pcedge.evaluation.evaluate import Evaluation
from pcedge.evaluation.inference import Judged
from pcedge.evaluation.runs import (
    DataFacts,
    ImageRow,
    Run,
    RuntimeResult,
    Settings,
    ThresholdFacts,
    finish_run,
)
from pcedge.methods import BaselineManifest
from pcedge.methods.any_bundle import AnyBundle
from pcedge.thresholds.verdict import Thresholds

from .curves import curves_of
from .run_images import choose, draw


@dataclass(frozen=True)
class Circumstances:
    """What a run states beside what was found.

    Attributes:
        name: Of the run.
        request: Digest of all that was asked for.
        data: Facts of the dataset.
        preset: Name of the preset; empty for none.
        command: The command line; empty for none.
        label: What a comparison of methods calls it; empty for none.
    """

    name: str
    request: str
    data: DataFacts
    preset: str = ""
    command: str = ""
    label: str = ""


@dataclass(frozen=True, eq=False)
class Findings:
    """What fit and evaluation found.

    Attributes:
        bundles: What was fitted: one bundle, or the members of an ensemble.
        images: The test images as they were judged, with their maps.
        evaluation: What was measured on them.
        threshold: None where scores only rank images.
        shown_above: Score and map value that tell on the images what was found from what was missed.
        runtimes: All that were asked for; the first that ran gives the run its metrics.
        seconds: By stage.
    """

    bundles: Sequence[AnyBundle]
    images: Sequence[Judged]
    evaluation: Evaluation
    threshold: ThresholdFacts | None
    shown_above: tuple[float, float]
    runtimes: tuple[RuntimeResult, ...]
    seconds: dict[str, float]


def write_down(staging: Path, findings: Findings, circumstances: Circumstances) -> Run:
    """Draw the images, write the run's files into ``staging`` and return the run."""
    manifests, images = [bundle.manifest for bundle in findings.bundles], findings.images
    score_limit, map_limit = findings.shown_above
    run = Run(
        name=circumstances.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        pcedge_version=version("pcedge"),
        request=circumstances.request,
        command=circumstances.command,
        data=circumstances.data,
        settings=_settings(manifests, circumstances),
        threshold=findings.threshold,
        metrics=next(result.metrics for result in findings.runtimes if not result.skipped),
        runtimes=findings.runtimes,
        seconds=findings.seconds,
        bank_bytes=sum(
            manifest.files[INDEX_FILE].size for manifest in manifests if INDEX_FILE in manifest.files
        ),
        bundle_bytes=sum(file.size for manifest in manifests for file in manifest.files.values()),
        images=_rows(findings),
        skipped=_skipped(manifests) | findings.evaluation.skipped,
        unusable_masks=findings.evaluation.unusable_masks,
        pictures=draw(staging, choose(images, score_limit), manifests[0].preprocessing, map_limit),
        machine=describe_machine(),
        libraries=library_versions(),
    )
    finish_run(staging, run, curves_of(images, circumstances.data.aupro_limit))
    return run


def _rows(findings: Findings) -> tuple[ImageRow, ...]:
    rule = Thresholds(findings.threshold.score) if findings.threshold else None
    return tuple(
        ImageRow(
            name=image.name,
            kind=image.sample.kind,
            defect=image.sample.is_defect,
            score=image.score,
            verdict=rule.verdict(image.score).value if rule else "",
        )
        for image in findings.images
    )


def _skipped(manifests: Sequence[ProductManifest]) -> dict[str, str]:
    return {name: reason for manifest in manifests for name, reason in manifest.skipped.items()}


def _settings(manifests: Sequence[Manifest | BaselineManifest], stated: Circumstances) -> Settings:
    """How it was fitted; of an ensemble, what its members have in common, and their names joined."""
    first = manifests[0]
    if isinstance(first, BaselineManifest):
        return _baseline_settings(first, stated)
    members = [manifest for manifest in manifests if isinstance(manifest, Manifest)]
    backbones = [manifest.backbone for manifest in members]
    return Settings(
        preset=stated.preset,
        backbone="+".join(backbone.name for backbone in backbones),
        layers=tuple(layer for backbone in backbones for layer in backbone.layers),
        weights=" + ".join(dict.fromkeys(backbone.weights for backbone in backbones)),
        weights_sha256="+".join(backbone.weights_sha256 for backbone in backbones),
        preprocessing=first.preprocessing,
        embedding=first.embedding.kind,
        dims=first.embedding.dims,
        coreset=first.bank.coreset,
        bank_rows=sum(manifest.bank.rows for manifest in members),
        neighbours=first.score.neighbours,
        seed=first.bank.seed,
        label=stated.label,
    )


def _baseline_settings(manifest: BaselineManifest, stated: Circumstances) -> Settings:
    backbone = manifest.backbone
    return Settings(
        preset=stated.preset,
        backbone=backbone.name if backbone else "",
        layers=backbone.layers if backbone else (),
        weights=backbone.weights if backbone else "",
        weights_sha256=backbone.weights_sha256 if backbone else "",
        preprocessing=manifest.preprocessing,
        embedding="",
        dims=0,
        coreset="",
        bank_rows=0,
        neighbours=1,
        seed=manifest.seed,
        method=manifest.method,
        label=stated.label,
        options={name: str(value) for name, value in manifest.settings.items()},
    )
