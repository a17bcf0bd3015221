"""The audit log of lessons: who taught what and when, in a chain of digests that shows a change."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Precision, inside_bundle
from pcedge.errors import BundleError, OptionError

from .bank.row_ranges import read_ranges

FOLDER = "teaching"
LOG_FILE = f"{FOLDER}/lessons.jsonl"
_START = "0" * 64
_EVIDENCE = re.compile(rf"{FOLDER}/evidence-[0-9a-f]{{12}}\.npz")

Outcome = Literal["taught", "passes", "refused", "stored"]


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was offered, and what came of it.

    Attributes:
        name: Its file's name.
        sha256: Of the file.
        outcome: ``taught``; ``passes``: the inspector passes it already, nothing was learned; ``refused``;
            ``stored`` as an example.
        reason: Why, in words.
        score: Before the lesson; None where it was not judged.
        confirmed: What its score is where patches count as known that two other images show too.
        score_after: Against the bank after the lesson.
        rows: How many of its patches are bank rows since.
    """

    name: str
    sha256: str
    outcome: Outcome
    reason: str
    score: float | None = None
    confirmed: float | None = None
    score_after: float | None = None
    rows: int = 0


_Hexadecimal = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2}){0,4096}$")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
_Number = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")]
_Span = "[0-9]{1,9}(-[0-9]{1,9})?"
_Ranges = dict[_Number, Annotated[str, msgspec.Meta(pattern=f"^{_Span}(,{_Span})*$")]]


class BankState(msgspec.Struct, frozen=True, kw_only=True):
    """A bank and its thresholds as they were after an entry, enough to have them back byte for byte.

    Attributes:
        bank_sha256: Digest of the bank's file.
        head: What that file begins with, before its rows, in hexadecimal.
        fitted_rows: Rows from the fit: the first ones, in every state.
        fitted_images: Images that these came from.
        taught: Lesson number to the rows of that lesson that are in the bank, as ``0-4,7``, in this order.
        evidence: The file with the held-out scores that thresholds were found from; empty if there is none.
        evidence_taught: Rows that were in the bank when these scores were taken, as ``taught``.
        calibration_sha256: Digest of ``calibration.npz``; empty if there is none.
        score: Scores above are NG.
        map: Map values above are coloured.
        review: Scores above are REVIEW, where there is such a threshold.
    """

    bank_sha256: str
    head: _Hexadecimal
    fitted_rows: _Count
    fitted_images: _Count
    taught: _Ranges
    evidence: str
    evidence_taught: _Ranges
    calibration_sha256: str
    score: float
    map: float
    review: float | None


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log.

    Attributes:
        number: 0 for the bundle as it was fitted, then one more each time.
        kind: ``fitted``, ``lesson``, ``rollback``, ``examples`` stored, or ``changed`` outside of teaching,
            such as by calibrating: noticed at the next entry, whose author it names.
        who: Who did it.
        when: In UTC.
        note: What they noted.
        forced: Whether the check that refuses was overridden.
        images: What was offered.
        to: Of a rollback: the entry it went back to.
        added: Rows that came into the bundle's own bank.
        pruned: Rows that went.
        states: By precision, what it was like afterwards.
        notes: What else changed.
        previous: Digest of the entry before.
        digest: Of this one.
    """

    number: int
    kind: Literal["fitted", "lesson", "rollback", "examples", "changed"]
    who: str
    when: str
    states: dict[Precision, BankState]
    note: str = ""
    forced: bool = False
    images: tuple[Offered, ...] = ()
    to: int | None = None
    added: int = 0
    pruned: int = 0
    notes: tuple[str, ...] = ()
    previous: str = _START
    digest: str = ""


def read_log(bundle: Bundle) -> tuple[LogEntry, ...]:
    """Read a bundle's log; empty if nothing was ever taught.

    Raises:
        BundleError: It is damaged, was changed by hand, or names a file outside; the text names the line.
    """
    if not bundle.has(LOG_FILE):
        return ()
    path = bundle.file(LOG_FILE)
    entries: list[LogEntry] = []
    for number, line in enumerate(path.read_bytes().splitlines()):
        try:
            entry = msgspec.json.decode(line, type=LogEntry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _broken(path, number, str(error)) from error
        previous = entries[-1].digest if entries else _START
        if (entry.number, entry.previous, entry.digest) != (number, previous, _digest(entry)):
            raise _broken(path, number, "it is not the entry that was written")
        _check_evidence(bundle, path, entry)
        _check_ranges(path, number, entry)
        entries.append(entry)
    return tuple(entries)


def chained(log: tuple[LogEntry, ...], entry: LogEntry) -> tuple[LogEntry, ...]:
    """The log with an entry more, which gets its number and its place in the chain."""
    previous = log[-1].digest if log else _START
    placed = msgspec.structs.replace(entry, number=len(log), previous=previous, digest="")
    return (*log, msgspec.structs.replace(placed, digest=_digest(placed)))


def write_log(staging: Path, log: tuple[LogEntry, ...]) -> None:
    """Write the log into a directory, in place of one that may be there."""
    path = staging / LOG_FILE
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)  # perhaps a link to a file in use, not to be written into
    path.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in log))


def find_entry(log: tuple[LogEntry, ...], number: int) -> LogEntry:
    """An entry by its number.

    Raises:
        OptionError: There is none.
    """
    if 0 <= number < len(log):
        return log[number]
    known = f"there are 0 (as fitted) to {len(log) - 1}" if log else "nothing was taught yet"
    raise OptionError(f"There is no lesson {number}; {known}.", "See them with: pcedge teach --history")


def _digest(entry: LogEntry) -> str:
    return sha256(msgspec.json.encode(msgspec.structs.replace(entry, digest=""))).hexdigest()


def _check_evidence(bundle: Bundle, path: Path, entry: LogEntry) -> None:
    """Evidence is read, and written again, under the name that the log has for it."""
    said_by = f"{path}, line {entry.number + 1}, evidence:"
    for state in entry.states.values():
        if not state.evidence:
            continue
        name = inside_bundle(bundle.directory).plain(state.evidence, said_by)
        if not _EVIDENCE.fullmatch(name):
            raise BundleError(
                f"{said_by} {name!r} is not the name of such a file: {FOLDER}/evidence-....npz.",
                "Nothing was changed. Restore the file, or the bundle from a copy.",
            )


def _check_ranges(path: Path, number: int, entry: LogEntry) -> None:
    try:
        for state in entry.states.values():
            read_ranges(state.taught)
            read_ranges(state.evidence_taught)
    except ValueError as error:
        raise _broken(path, number, str(error)) from error


def _broken(path: Path, number: int, why: str) -> BundleError:
    return BundleError(
        f"{path}, line {number + 1} is damaged: {why}.",
        "Nothing was changed, and the bank is whole. Restore the file, or the bundle from a copy.",
    )
