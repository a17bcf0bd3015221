"""Back to an earlier state, which is an entry of the log like any other and can be rolled back too."""

import msgspec

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision

from .bank.bank_state import restore_bank
from .bank.rewriting import begin_log, finish, keep_usage, result_of, rewrite
from .bank.row_ranges import read_ranges
from .lesson_log import BankState, LogEntry, find_entry
from .options import TeachOptions, TeachResult, now
from .taught_bundle import class_of


def rollback(bundle: Bundle, to: int, options: TeachOptions | None = None) -> TeachResult:
    """Bring a bundle's banks and thresholds back to what they were after an entry of its log.

    Banks come back byte for byte. Nothing is forgotten: the lessons stay in the log and in the bundle.

    Args:
        bundle: Replaced whole, or left as it is.
        to: Number of the entry; 0 is the bundle as it was fitted.
        options: Who does it.

    Raises:
        OptionError: There is no such entry.
        BundleError: Another process teaches, or a file is damaged.
    """
    chosen = options or TeachOptions()
    with class_of(bundle, chosen) as opened:
        bundle, log, variants = opened
        target = find_entry(log, to)
        log = begin_log(log, variants, chosen.who)
        own = variants[bundle.manifest.precision]
        with rewrite(bundle, log, variants) as work:
            for precision, variant in variants.items():
                found = _state_at(log, to, precision)
                if found is not None:
                    at, state = found
                    work.changed[precision] = restore_bank(
                        work.folder(variant), variant.bundle, state, work.entry, at
                    )
            after = work.changed[bundle.manifest.precision]
            then, current = (set(read_ranges(state.taught)) for state in (after.state, own.state))
            entry = LogEntry(
                number=0,
                kind="rollback",
                who=chosen.who,
                when=now(),
                note=chosen.note,
                to=target.number,
                added=len(then - current),
                pruned=len(current - then),
                states={},
                notes=after.notes,
            )
            result = finish(work, bundle, log, variants, entry)
        keep_usage(bundle, work.changed, variants)
    return result_of(bundle, result, work, msgspec.structs.replace(entry, number=work.entry))


def _state_at(log: tuple[LogEntry, ...], to: int, precision: Precision) -> tuple[int, BankState] | None:
    """A bank's state after an entry, and the entry that it is kept under; the first one of a later bank.

    None for one that was never taught: it stays as it is.
    """
    known = [(entry.number, entry.states[precision]) for entry in log if precision in entry.states]
    if not known:
        return None
    return max((one for one in known if one[0] <= to), default=known[0])
