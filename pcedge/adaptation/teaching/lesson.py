"""A lesson: what new good images bring, added to the bank; what may be a defect, refused."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision
from pcedge.camera import Verdict
from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError
from pcedge.thresholds.verdict import Thresholds

from .bank.bank_state import Changed, change_bank
from .bank.rewriting import Rewriting, begin_log, finish, keep_pictures, keep_usage, result_of, rewrite
from .bank.row_choice import choose_pruned, choose_rows
from .bank.row_ranges import TaughtRow, read_ranges
from .bank.taught_bank import TaughtRows, write_rows
from .candidates import judge_offers
from .lesson_log import LogEntry, Offered
from .options import TeachOptions, TeachResult, limits_of, now
from .regression_check import check_examples
from .taught_bundle import Images, LessonImage, Variant, class_of, passes_up_to, read_pictures


def teach(
    bundle: Bundle,
    images: Sequence[Path],
    options: TeachOptions | None = None,
    progress: Progress = silent,
) -> TeachResult:
    """Teach a bundle what good images that it rejects bring; needs no PyTorch.

    An image that passes already teaches nothing. One that does not is learned from if what is strange in it
    is in two other images of the lesson too (see ``pcedge.adaptation.teaching.consensus``), and refused
    otherwise: it may be a defect. Nothing is written unless something was learned.

    Args:
        bundle: Exported; replaced whole, or left as it is. All its precisions are taught.
        images: Good images, best three or more of what is new.
        options: Who teaches, and how far the bank may grow.
        progress: Called with the stages ``look`` and ``teach``.

    Raises:
        LessonRefusedError: A stored example or a golden frame would change its verdict for the worse.
        BundleError: Another process teaches, or the log, the bank or another file is damaged.
        PcedgeError: No images were given, or the bundle was not exported.
    """
    chosen = options or TeachOptions()
    if not images:
        raise OptionError("No images were given to learn from.", "Name some: pcedge teach IMAGES...")
    with class_of(bundle, chosen) as opened:
        bundle, log, variants = opened
        own = variants[bundle.manifest.precision]
        pictures = read_pictures(bundle, images)
        offered = judge_offers(own, pictures, force=chosen.force, progress=progress)
        taught = [
            (one, picture) for one, picture in zip(offered, pictures, strict=True) if one.outcome == "taught"
        ]
        if not taught:
            limits = limits_of(bundle)
            return TeachResult(bundle, None, tuple(offered), 0, 0, len(own.bank), limits, limits)
        for variant in variants.values():
            _check_room(variant, chosen)
        log = begin_log(log, variants, chosen.who)
        return _Lesson(bundle, log, variants, chosen, progress).give(offered, [one for _, one in taught])


class _Lesson:
    """A lesson whose images were accepted."""

    def __init__(
        self,
        bundle: Bundle,
        log: tuple[LogEntry, ...],
        variants: Mapping[Precision, Variant],
        options: TeachOptions,
        progress: Progress,
    ) -> None:
        self._bundle, self._log, self._variants = bundle, log, variants
        self._options, self._progress = options, progress

    def give(self, offered: Sequence[Offered], pictures: Sequence[LessonImage]) -> TeachResult:
        own = self._variants[self._bundle.manifest.precision]
        images = Images(pictures)
        names = _names(len(self._log), [one.name for one in pictures])
        with rewrite(self._bundle, self._log, self._variants) as work:
            rows: dict[Precision, TaughtRows] = {}
            for done, (precision, variant) in enumerate(self._variants.items()):
                self._progress("teach", done, len(self._variants))
                rows[precision] = self._teach(work, precision, variant, variant.embed(images), names)
            after = work.changed[own.bundle.manifest.precision]
            check_examples(self._bundle, self._variants, work.changed, force=self._options.force)
            seen = own.bundle.manifest.preprocessing.seen
            keep_pictures(
                work.staging, [(name, seen(image)) for name, image in zip(names, images, strict=True)]
            )
            told = _told(offered, names, rows[own.bundle.manifest.precision], own, after, images)
            before_rows, after_rows = (set(read_ranges(state.taught)) for state in (own.state, after.state))
            added, pruned = len(after_rows - before_rows), len(before_rows - after_rows)
            notes = (*_limits_of_growth(told, passes_up_to(after.manifest.threshold), pruned), *after.notes)
            entry = LogEntry(
                number=0,
                kind="lesson",
                who=self._options.who,
                when=now(),
                note=self._options.note,
                forced=self._options.force,
                images=tuple(told),
                added=added,
                pruned=pruned,
                states={},
                notes=notes,
            )
            result = finish(work, self._bundle, self._log, self._variants, entry)
            self._progress("teach", len(self._variants), len(self._variants))
        keep_usage(self._bundle, work.changed, self._variants)
        return result_of(self._bundle, result, work, msgspec.structs.replace(entry, number=work.entry))

    def _teach(
        self,
        work: Rewriting,
        precision: Precision,
        variant: Variant,
        embeddings: NDArray[np.float32],
        names: Sequence[str],
    ) -> TaughtRows:
        room = _room(variant, self._options)
        manifest = variant.bundle.manifest
        new = choose_rows(embeddings, names, variant.bank, manifest, variant.limit, room)
        folder = work.folder(variant)
        write_rows(folder, work.entry, new)
        old = read_ranges(variant.state.taught)
        stay = self._prune(variant, old, room - len(new))
        wanted = [*stay, *((work.entry, place) for place in range(len(new)))]
        work.changed[precision] = change_bank(folder, variant.bundle, variant.state, wanted, work.entry)
        return new

    def _prune(self, variant: Variant, old: list[TaughtRow], room: int) -> list[TaughtRow]:
        if len(old) <= room:
            return old
        when = {entry.number: datetime.fromisoformat(entry.when).timestamp() for entry in self._log}
        fitted, usage = variant.state.fitted_rows, variant.usage
        return choose_pruned(
            old,
            room,
            [when.get(lesson, 0.0) for lesson, _ in old],
            None if usage is None else usage[0][fitted:],
            None if usage is None else usage[1][fitted:],
        )


def _room(variant: Variant, options: TeachOptions) -> int:
    """How many taught rows a bank may have."""
    return int(options.max_growth * variant.state.fitted_rows)


def _check_room(variant: Variant, options: TeachOptions) -> None:
    if _room(variant, options) > 0:
        return
    rows = variant.state.fitted_rows
    raise OptionError(
        f"A bank of {rows:,} fitted rows that may grow by {options.max_growth:.2%} has no room for a row.",
        f"Nothing was taught. Give --max-growth at least {1 / rows + 5e-5:.4f}.",
    )


def _names(entry: int, files: Sequence[str]) -> list[str]:
    """What bank rows call taught images."""
    names: list[str] = []
    for file in files:
        path, number = Path(file), 1
        while (name := f"taught/{entry:04}/{file}") in names:
            number += 1
            file = f"{path.stem}-{number}{path.suffix}"  # noqa: PLW2901 (the next try)
        names.append(name)
    return names


def _told(
    offered: Sequence[Offered],
    names: Sequence[str],
    new: TaughtRows,
    own: Variant,
    after: Changed,
    images: Sequence[NDArray[np.uint8]],
) -> list[Offered]:
    """What was offered, with what it scores now and how many rows it brought."""
    scores = iter([one.score for one in own.look(own.embed(images), after.bank)])
    brought = iter([new.images.count(name) for name in names])
    return [
        msgspec.structs.replace(one, score_after=next(scores), rows=next(brought))
        if one.outcome == "taught"
        else one
        for one in offered
    ]


def _limits_of_growth(told: Sequence[Offered], limit: float, pruned: int) -> list[str]:
    """What the limit of the bank's growth cost, in words."""
    after = [one.score_after for one in told if one.score_after is not None]
    left = int((~Thresholds(limit).are(Verdict.OK, after)).sum())
    notes = []
    if left:
        notes.append(
            f"{left} taught images would still be rejected: the bank may not grow enough (--max-growth)"
        )
    if pruned:
        notes.append(f"{pruned} rows of earlier lessons made room: what they brought may be rejected again")
    return notes
