"""Calibrate: new thresholds for a bundle from new good images of this camera and this light."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from pcedge.bundles.bundle import Bundle, edit_bundle, seal
from pcedge.bundles.manifest import Manifest, Precision, ThresholdInfo, read_manifest
from pcedge.camera import Verdict
from pcedge.core.progress import Progress, silent
from pcedge.datasets import LeftOut, read_content
from pcedge.errors import DatasetError
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import RuntimeKind, open_inspector
from pcedge.thresholds.calibration_data import HeldOutEvidence, read_evidence
from pcedge.thresholds.conformal import Rates, outer_fence, outliers
from pcedge.thresholds.cross_validation import HeldOut, ImageScores, patches_kept
from pcedge.thresholds.dependence import with_dependent
from pcedge.thresholds.groups import EACH, find_groups
from pcedge.thresholds.verdict import Thresholds

from .new_images import NewImages, check_new
from .relearn_gate import NewGate


@dataclass(frozen=True)
class CalibrationOptions:
    """Options of calibrating.

    Attributes:
        false_reject_rate: None for the bundle's own.
        review_rate: None for the bundle's own.
        groups: Which images were taken together, as ``pcedge.thresholds.groups`` reads it.
        keep_gate: Leave the frame gate as it is, and leave out what it turns away.
        keep_suspicious: Whether images that stand far out may set a threshold: they were looked at.
        dry_run: Find the thresholds and write nothing.
        runtime: What runs the network; ``torch`` has it in the bundle's own precision alone, so that others
            run as with ``auto``.
        device: Where.
    """

    false_reject_rate: float | None = None
    review_rate: float | None = None
    groups: str | None = None
    keep_gate: bool = False
    keep_suspicious: bool = False
    dry_run: bool = False
    runtime: RuntimeKind = "auto"
    device: str = "auto"


@dataclass(frozen=True)
class Recalibrated:
    """What calibrating changed of one precision.

    Attributes:
        before: The thresholds there were.
        after: The new ones.
        rejected_before: Share of the new images that the old threshold would have called NG.
        reviewed_before: Share of them above the old threshold for REVIEW; None where there was none.
    """

    before: ThresholdInfo
    after: ThresholdInfo
    rejected_before: float
    reviewed_before: float | None


@dataclass(frozen=True)
class CalibrationResult:
    """What calibrating found.

    Attributes:
        bundle: With the new thresholds; as it was after a dry run.
        images: How many new images were used.
        units: The same, those of a group counted as one.
        skipped: Name to reason, of images that could not be used.
        learned: Name to training image, of images left out because the bank was learned from them.
        suspicious: Images that stand far out, the worst first, with their score: one may show a defect.
        changes: By precision.
        gate: What the images say of light, focus and place, and whether the frame gate was learned anew.
        written: Whether the bundle was changed.
        unchecked: Whether the bundle does not say which files it was learned from.
        left_out: What else is in the folders that were named, by reason.
        dependent: Images that show the same part, by groups: each group counts as one.
    """

    bundle: Bundle
    images: int
    units: int
    skipped: dict[str, str]
    learned: dict[str, str]
    suspicious: dict[str, float]
    changes: dict[Precision, Recalibrated]
    gate: NewGate
    written: bool
    unchecked: bool = field(default=False)
    left_out: tuple[LeftOut, ...] = ()
    dependent: tuple[tuple[str, ...], ...] = ()


def calibrate(
    bundle: Bundle,
    places: Sequence[Path],
    options: CalibrationOptions | None = None,
    progress: Progress = silent,
) -> CalibrationResult:
    """Find a bundle's thresholds anew on good images that its bank has not seen (split conformal).

    They go through the inspector that watch runs, in every precision the bundle has. From then on they are
    what drift is measured against and, where they are enough, what the frame gate's limits are learned from:
    of another camera, or under another light, the old ones would turn good images away. The bundle is
    replaced whole, so that a running watch takes it over; its certificate goes, and is made anew before it is
    used.

    Args:
        bundle: The bundle.
        places: Image files, and folders of images.
        options: What differs from the defaults.
        progress: Called with images scored, as the stage ``calibrate``.

    Raises:
        DatasetError: The images cannot be used, or some stand so far out that they would set a threshold.
        OptionError: They do not support the rates.
        PcedgeError: The bundle cannot be opened or written.
    """
    options = options or CalibrationOptions()
    before = read_evidence(bundle)
    learned = before.learned if before is not None else {}
    images = check_new(bundle, places, learned, keep_gate=options.keep_gate)
    names = tuple(images.paths)
    copies = images.dependent if options.groups != EACH else ()
    groups = with_dependent(find_groups(names, options.groups), copies)
    grouped = len(set(groups)) < len(names)
    rates = _rates(bundle.manifest.threshold, options)
    rates.check(
        len(set(groups)),
        called=("groups of new good images" if grouped else "new good images") + _without(images),
    )
    changes: dict[Precision, Recalibrated] = {}
    evidence: dict[Precision, HeldOutEvidence] = {}
    suspicious: dict[str, float] = {}
    for precision in bundle.precisions:
        variant = bundle.in_precision(precision)
        runtime = options.runtime
        if runtime == "torch" and precision != bundle.manifest.precision:
            runtime = "auto"
        found = _score(variant, images, groups, learned, replace(options, runtime=runtime), progress)
        change = _change(variant.manifest, found, rates, images.title, options)
        far = {names[image]: float(found.scores[image]) for image in outliers(found.scores)}
        if not options.keep_suspicious and _is_set_by_strangers(change, found):
            raise _refusal(far, change)
        evidence[precision], changes[precision] = found, change
        suspicious = suspicious or far
    if not options.dry_run:
        bundle = _write(bundle, evidence, changes, images.gate)
    return CalibrationResult(
        bundle=bundle,
        images=len(names),
        units=len(set(groups)),
        skipped=dict(images.skipped),
        learned=dict(images.learned),
        suspicious=suspicious,
        changes=changes,
        gate=images.gate,
        written=not options.dry_run,
        unchecked=before is None,
        left_out=images.left_out,
        dependent=tuple(tuple(names[image] for image in group) for group in copies),
    )


def _rates(limits: ThresholdInfo, options: CalibrationOptions) -> Rates:
    """As asked for, and as the bundle had them where nothing was asked for."""
    rate = limits.false_reject_rate if options.false_reject_rate is None else options.false_reject_rate
    review = options.review_rate
    if review is None and limits.review_rate is not None and limits.review_rate > rate:
        review = limits.review_rate
    return Rates(rate, review)


def _score(
    bundle: Bundle,
    images: NewImages,
    groups: tuple[str, ...],
    learned: dict[str, str],
    options: CalibrationOptions,
    progress: Progress,
) -> HeldOutEvidence:
    runtime = options.runtime
    if runtime == "auto" and not bundle.is_exported:
        runtime = "torch"
    manifest = bundle.manifest
    height, width = manifest.embedding.grid_hw
    keep = patches_kept(len(images.paths), height * width, manifest.embedding.dims)
    parts = []
    with open_inspector(bundle, runtime=runtime, device=options.device) as inspector:
        for done, path in enumerate(images.paths.values(), 1):
            parts.append(_score_one(inspector, path, keep))
            progress(f"{manifest.precision}: calibrate", done, len(images.paths))
    held_out = HeldOut(ImageScores.joined(parts), 1)
    size = manifest.preprocessing.input_size
    return HeldOutEvidence(tuple(images.paths), groups, held_out, (height, width), size, learned)


def _score_one(inspector: Inspector, path: Path, keep: int) -> ImageScores:
    stages = inspector.stages(read_content(path))
    embeddings = stages.embeddings
    if embeddings is None:  # they stayed on the device that searched them
        embeddings = inspector.runtime.infer(stages.network_input[np.newaxis])[0]
    farthest = np.argsort(-stages.squared_distances, kind="stable")[:keep].astype(np.int32)
    return ImageScores(
        np.array([stages.score], np.float32),
        np.array([inspector.score_map(stages).max()], np.float32),
        stages.squared_distances[np.newaxis],
        farthest[np.newaxis],
        embeddings[farthest][np.newaxis],
    )


def _change(
    manifest: Manifest, found: HeldOutEvidence, rates: Rates, title: str, options: CalibrationOptions
) -> Recalibrated:
    before = manifest.threshold
    count = f"{len(found.names)} new good images"
    if found.grouped:
        count += f" in {found.units} groups"
    limits = found.limits(rates, f"split conformal: {count}")
    after = msgspec.structs.replace(
        limits,
        images=title,
        index=manifest.index,
        calibration=before.calibration,
        grouped_by=before.grouped_by,
    )
    reviewed = None if before.review is None else Thresholds(before.review).share(Verdict.NG, found.scores)
    return Recalibrated(before, after, Thresholds(before.score).share(Verdict.NG, found.scores), reviewed)


def _is_set_by_strangers(change: Recalibrated, found: HeldOutEvidence) -> bool:
    """Whether the new threshold comes from images far from the others, and beyond anything seen before."""
    seen = max([change.before.score, *change.before.held_out.values()])
    return change.after.score > max(seen, outer_fence(found.scores))


def _write(
    bundle: Bundle,
    evidence: dict[Precision, HeldOutEvidence],
    changes: dict[Precision, Recalibrated],
    gate: NewGate,
) -> Bundle:
    own = bundle.manifest.precision
    # Measured at thresholds that are no more.
    measured = {
        precision: msgspec.structs.replace(info, false_reject_rate=None, miss_rate=None)
        for precision, info in bundle.manifest.precisions.items()
    }
    with edit_bundle(bundle) as staging:
        for precision, found in evidence.items():
            folder = staging if precision == own else staging / precision
            found.write(folder)
            info, after = gate.write(folder, bundle.in_precision(precision)), changes[precision].after
            if precision != own:
                seal(folder, msgspec.structs.replace(read_manifest(folder), threshold=after, gate=info))
            else:
                manifest = msgspec.structs.replace(bundle.manifest, threshold=after, gate=info)
        sealed = seal(staging, msgspec.structs.replace(manifest, precisions=measured))
    return Bundle(bundle.directory, sealed)


def _without(images: NewImages) -> str:
    left_out = []
    if images.learned:
        left_out.append(f"{len(images.learned)} that are training images")
    if images.skipped:
        first = next(iter(images.skipped.values())).rstrip(".")
        left_out.append(f"{len(images.skipped)} that cannot be used; first problem: {first}")
    return f" (without {' and '.join(left_out)})" if left_out else ""


def _refusal(far: dict[str, float], change: Recalibrated) -> DatasetError:
    named = ", ".join(f"{name} ({score:.4g})" for name, score in list(far.items())[:5])
    more = f" and {len(far) - 5} more" if len(far) > 5 else ""
    return DatasetError(
        f"Some images stand far out and would set the threshold ({change.after.score:.4g}, until now "
        f"{change.before.score:.4g}): {named}{more}. One may show a defect.",
        "Look at them. Take away what is not good; if they are good, use --keep-suspicious, or a larger "
        "--false-reject-rate.",
    )
