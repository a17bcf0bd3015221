"""A bundle with changed banks, written whole or not at all, its log with it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle, edit_bundle, seal
from pcedge.bundles.manifest import Precision
from pcedge.bundles.nominal_images import NOMINAL_FILE, add_nominal
from pcedge.core.defaults import DEFAULT_PICTURES_MB

from ..lesson_log import BankState, LogEntry, chained, write_log
from ..options import TeachResult, limits_of, now
from ..taught_bundle import Variant
from .bank_state import Changed, keep_origin
from .row_ranges import read_ranges
from .usage import carry_usage

_MEGA = 10**6


@dataclass(eq=False)
class Rewriting:
    """A bundle on its way to be another.

    Attributes:
        staging: Where it is being written.
        entry: The number that the log's new entry will have.
        changed: What became of its banks, filled by whoever changes them.
    """

    staging: Path
    entry: int
    changed: dict[Precision, Changed] = field(default_factory=dict)

    def folder(self, variant: Variant) -> Path:
        """Where a bank is being written."""
        return self.staging / variant.folder


def begin_log(
    log: tuple[LogEntry, ...], variants: Mapping[Precision, Variant], who: str
) -> tuple[LogEntry, ...]:
    """The log as it is to go on: with an entry for the state that the bundle is in, if that has none yet.

    That is the fitted state, or one that something else than teaching made, such as calibrating.
    """
    states = {precision: variant.state for precision, variant in variants.items()}
    if log and log[-1].states == states:
        return log
    kind: Literal["fitted", "changed"] = "changed" if log else "fitted"
    return chained(log, LogEntry(number=0, kind=kind, who=who, when=now(), states=states))


@contextmanager
def rewrite(
    bundle: Bundle, log: tuple[LogEntry, ...], variants: Mapping[Precision, Variant]
) -> Iterator[Rewriting]:
    """Yield a copy of a bundle whose banks may be changed; ``finish`` it within the block.

    The thresholds of the state that it is in are kept for going back to them, once for every state.
    """
    with edit_bundle(bundle) as staging:
        work = Rewriting(staging, len(log))
        for variant in variants.values():
            keep_origin(work.folder(variant), variant.bundle, variant.state, len(log) - 1)
        yield work


def finish(
    work: Rewriting,
    bundle: Bundle,
    log: tuple[LogEntry, ...],
    variants: Mapping[Precision, Variant],
    entry: LogEntry,
) -> Bundle:
    """Write the log with its new entry and seal everything; the bundle as it will be."""
    states: dict[Precision, BankState] = {
        precision: work.changed[precision].state if precision in work.changed else variant.state
        for precision, variant in variants.items()
    }
    write_log(work.staging, chained(log, msgspec.structs.replace(entry, states=states)))
    manifest = bundle.manifest
    for precision, changed in work.changed.items():
        if precision == manifest.precision:
            manifest = changed.manifest
        else:
            seal(work.folder(variants[precision]), changed.manifest)
    return Bundle(bundle.directory, seal(work.staging, manifest))


def result_of(before: Bundle, after: Bundle, work: Rewriting, entry: LogEntry) -> TeachResult:
    """What came of an entry."""
    return TeachResult(
        after,
        work.entry,
        entry.images,
        entry.added,
        entry.pruned,
        after.manifest.bank.rows,
        limits_of(before),
        limits_of(after),
        entry.notes,
    )


def keep_usage(
    bundle: Bundle, changed: Mapping[Precision, Changed], variants: Mapping[Precision, Variant]
) -> None:
    """Carry over what was counted of the rows that stay; done after the bundle took its place.

    Until then nobody counts rows of the new bank, and a kill in between loses counts, nothing else.
    """
    for precision, new in changed.items():
        variant = variants[precision]
        if variant.usage is None:
            continue
        fitted = variant.state.fitted_rows
        places = {row: fitted + i for i, row in enumerate(read_ranges(variant.state.taught))}
        old_rows = [*range(fitted), *(places.get(row) for row in read_ranges(new.state.taught))]
        with suppress(OSError):  # the lesson holds without; what is counted only decides which rows go first
            carry_usage(variant.usage, new.state.bank_sha256, old_rows)


def keep_pictures(staging: Path, pictures: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
    """Add what the network saw of taught images to those that explanations show."""
    path = staging / NOMINAL_FILE
    there = path.stat().st_size if path.is_file() else 0
    add_nominal(path, pictures, max(there, int(DEFAULT_PICTURES_MB * _MEGA)))
