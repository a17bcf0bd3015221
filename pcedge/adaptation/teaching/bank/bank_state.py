"""A bank of a bundle brought into another state: more taught rows, fewer, or those of an earlier time.

A bundle has a bank for every precision; here is what happens to one of them, in the folder where it is
being changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from pcedge.banks import INDEX_FILE, Bank
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.files import describe_file
from pcedge.bundles.manifest import EXACT, INT8, Manifest, ThresholdInfo
from pcedge.core.files import link_or_copy
from pcedge.errors import BundleError
from pcedge.export import is_fused, is_rtx_engine
from pcedge.inspection.verification.golden import renew_golden
from pcedge.thresholds.calibration_data import CALIBRATION_FILE, HeldOutEvidence, read_evidence_file
from pcedge.thresholds.cross_validation import nameless_bank

from ..lesson_log import FOLDER, BankState, LogEntry
from .row_ranges import TaughtRow, read_ranges, write_ranges
from .taught_bank import TaughtRows, bank_head, lesson_folder, read_rows, restore_head, write_bank

_THRESHOLD_FILE = "threshold.json"
# A held-out patch that lies so near to a taught row, relative to that row's size, is the same patch.
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Changed:
    """What became of a bank.

    Attributes:
        manifest: Its manifest, not yet sealed.
        state: For the log.
        bank: The bank.
        notes: What else had to change, in words.
    """

    manifest: Manifest
    state: BankState
    bank: Bank
    notes: tuple[str, ...]


def current_state(variant: Bundle, log: tuple[LogEntry, ...]) -> BankState:
    """The state in which a bank is; one that the log does not speak of is as it was fitted."""
    manifest = variant.manifest
    known = [entry.states[manifest.precision] for entry in log if manifest.precision in entry.states]
    digest = manifest.files[INDEX_FILE].sha256
    if known and known[-1].bank_sha256 == digest:
        return _as_it_is(variant, known[-1])
    return _as_it_is(variant, _fitted_state(variant))


def keep_origin(staging: Path, variant: Bundle, state: BankState, entry: int) -> None:
    """Keep the thresholds of a state, and the evidence behind them, for going back to them.

    Args:
        staging: Folder of this bank.
        variant: As it was opened.
        state: In which it is.
        entry: The log's entry for that state.
    """
    if not (staging / lesson_folder(entry) / _THRESHOLD_FILE).exists():
        _write_threshold(staging, entry, variant.manifest.threshold)
    if state.evidence and not (staging / state.evidence).exists():
        link_or_copy(variant.file(CALIBRATION_FILE), staging / state.evidence)


def change_bank(
    staging: Path, variant: Bundle, state: BankState, wanted: Sequence[TaughtRow], entry: int
) -> Changed:
    """Give a bank these taught rows, find its thresholds anew, and drop what belonged to the old bank.

    Args:
        staging: Folder of this bank, with the files of all lessons.
        variant: As it was opened.
        state: In which it is.
        wanted: The taught rows that it is to have.
        entry: The log's entry that this makes.
    """
    taught = read_rows(staging, wanted, variant.manifest.embedding.dims)
    fitted = variant.searched_by(EXACT).open_bank()
    bank = write_bank(staging, fitted, (state.fitted_rows, state.fitted_images), taught)
    whole = variant.manifest.bank.rows >= variant.manifest.bank.patches
    limits, notes = variant.manifest.threshold, _why_limits_stay(state, wanted)
    if not notes:
        limits = _renew_evidence(staging, state, wanted, taught).limits_again(limits, whole=whole)
    _write_threshold(staging, entry, limits)
    return _finish(
        staging, variant, bank, limits, msgspec.structs.replace(state, taught=write_ranges(wanted)), notes
    )


def restore_bank(staging: Path, variant: Bundle, target: BankState, entry: int, to: int) -> Changed:
    """Bring a bank back into the state of an earlier entry, its file byte for byte, its thresholds too.

    Args:
        staging: Folder of this bank, with the files of all lessons.
        variant: As it was opened.
        target: The state.
        entry: The log's entry that this makes.
        to: The entry whose state it is.

    Raises:
        BundleError: What is needed for it is missing or damaged.
    """
    wanted = read_ranges(target.taught)
    taught = read_rows(staging, wanted, variant.manifest.embedding.dims)
    bank = write_bank(
        staging, variant.searched_by(EXACT).open_bank(), (target.fitted_rows, target.fitted_images), taught
    )
    restore_head(staging / INDEX_FILE, target)
    limits = _read_threshold(staging, to)
    _write_threshold(staging, entry, limits)
    if not _why_limits_stay(target, wanted):
        _renew_evidence(staging, target, wanted, taught)
    return _finish(staging, variant, bank, limits, target, ())


def _finish(
    staging: Path,
    variant: Bundle,
    bank: Bank,
    limits: ThresholdInfo,
    state: BankState,
    notes: tuple[str, ...],
) -> Changed:
    manifest = msgspec.structs.replace(
        variant.manifest,
        bank=msgspec.structs.replace(variant.manifest.bank, rows=len(bank)),
        threshold=limits,
        indexes={},
        index=INT8 if variant.manifest.index == INT8 else EXACT,
    )
    renew_golden(staging, manifest, bank)
    dropped = _drop_stale(staging, variant.manifest)
    path = staging / INDEX_FILE
    state = msgspec.structs.replace(
        state,
        bank_sha256=describe_file(path).sha256,
        head=bank_head(path, len(bank), bank.dims).hex(),
        calibration_sha256=_digest(staging / CALIBRATION_FILE),
        score=limits.score,
        map=limits.map,
        review=limits.review,
    )
    return Changed(manifest, state, bank, (*notes, *dropped))


def _fitted_state(variant: Bundle) -> BankState:
    manifest, path = variant.manifest, variant.file(INDEX_FILE)
    return BankState(
        bank_sha256=manifest.files[INDEX_FILE].sha256,
        head=bank_head(path, manifest.bank.rows, manifest.embedding.dims).hex(),
        fitted_rows=manifest.bank.rows,
        fitted_images=len(variant.searched_by(EXACT).open_bank().sources.images),
        taught={},
        evidence="",
        evidence_taught={},
        calibration_sha256="",
        score=manifest.threshold.score,
        map=manifest.threshold.map,
        review=manifest.threshold.review,
    )


def _as_it_is(variant: Bundle, state: BankState) -> BankState:
    """The state with the thresholds and the evidence as they are now: someone may have calibrated since."""
    limits = variant.manifest.threshold
    state = msgspec.structs.replace(state, score=limits.score, map=limits.map, review=limits.review)
    info = variant.manifest.files.get(CALIBRATION_FILE)
    if info is None or info.sha256 == state.calibration_sha256:
        return state
    return msgspec.structs.replace(
        state,
        evidence=f"{FOLDER}/evidence-{info.sha256[:12]}.npz",
        evidence_taught=state.taught,
        calibration_sha256=info.sha256,
    )


def _why_limits_stay(state: BankState, wanted: Sequence[TaughtRow]) -> tuple[str, ...]:
    """Why thresholds cannot be found anew for a bank with these taught rows; nothing where they can."""
    if not state.evidence:
        return ("the thresholds stay: the bundle does not keep what they were found from",)
    if not set(read_ranges(state.evidence_taught)) <= set(wanted):
        return ("the thresholds stay, although rows went that they were found with: pcedge calibrate",)
    return ()


def _renew_evidence(
    staging: Path, state: BankState, wanted: Sequence[TaughtRow], taught: TaughtRows
) -> HeldOutEvidence:
    """Write ``calibration.npz`` for a bank with these taught rows."""
    before = set(read_ranges(state.evidence_taught))
    extra = taught.take([number for number, row in enumerate(wanted) if row not in before])
    base, path = staging / state.evidence, staging / CALIBRATION_FILE
    if len(extra):
        evidence = _after(read_evidence_file(base), extra)
        evidence.write(staging)
        return evidence
    path.unlink(missing_ok=True)
    link_or_copy(base, path)
    return read_evidence_file(path)


def _after(evidence: HeldOutEvidence, taught: TaughtRows) -> HeldOutEvidence:
    """The evidence with these rows in the bank, without the images that the rows were taken from."""
    kept = evidence.held_out.scored.embeddings
    distances, nearest = nameless_bank(taught.rows).search(kept.reshape(-1, kept.shape[-1]))
    sizes = np.square(taught.rows).sum(axis=1)[nearest]
    own = (distances <= _SAME * sizes).reshape(kept.shape[:2]).any(axis=1)
    left = evidence.without({evidence.names[number] for number in np.flatnonzero(own)})
    return (left if left.names else evidence).after_adding(taught.rows)


def _drop_stale(staging: Path, manifest: Manifest) -> tuple[str, ...]:
    """Remove what was made for the old bank."""
    notes = []
    for name, info in manifest.indexes.items():
        for file in filter(None, (info.file, info.golden)):  # rows in a Milvus have no file here
            (staging / file).unlink(missing_ok=True)
        notes.append(f"the index {name} was made for the old bank and is gone: pcedge index --keep {name}")
    for path in staging.glob("*.engine"):
        if is_fused(path.name):
            path.unlink()
            again = "--trt-rtx" if is_rtx_engine(path.name) else "--trt"
            notes.append(f"{path.name} was built for a smaller bank and is gone: pcedge export {again}")
    return tuple(notes)


def _write_threshold(staging: Path, entry: int, limits: ThresholdInfo) -> None:
    folder = staging / lesson_folder(entry)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _THRESHOLD_FILE).unlink(missing_ok=True)
    (folder / _THRESHOLD_FILE).write_bytes(msgspec.json.encode(limits))


def _read_threshold(staging: Path, entry: int) -> ThresholdInfo:
    path = staging / lesson_folder(entry) / _THRESHOLD_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ThresholdInfo)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}).", "Restore the file, or the bundle from a copy."
        ) from error


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
