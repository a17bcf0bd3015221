"""Usage counts of bank rows: how often each is nearest to a good part, counted while watching.

Counts lie in this machine's state directory, under the digest of the bank: the line need not write to its
bundles. Earlier versions kept them in the bundle; those are read where there are no others.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, INDEX_FILE, TEXT, WHOLE
from pcedge.camera import Repeating
from pcedge.core.defaults import make_state_folder, state_directory
from pcedge.core.files import alone_with
from pcedge.core.npz import open_arrays, replace_arrays
from pcedge.errors import BundleError, PcedgeError

from .bundle import ROW_USAGE_FILE, Bundle

# Rare rows are the least used rows that together are nearest to this share of good parts' patches.
RARE_SHARE = 0.1
_LEARNED_FRAMES = 200
_SAVE_S = 60.0
_LATEST = 1e11  # Unix seconds, in the year 5138
_FOLDER = "row_usage"
_MOST_FILES = 500  # a bank a day for more than a year
_ENDS_WITHIN_S = 10.0


class RowUsage:
    """Counts how often every row of a bank was the nearest of a good part's patch.

    Call ``add`` from the inspecting thread, ``save`` from any.

    Args:
        directory: The bundle's directory, where an earlier version may have kept counts.
        bank_sha256: Digest of the bank's file, which counts are kept under.
        rows: Rows of the bank.
        rare: bool [rows], rows that were rarely the nearest at fit; None to learn them from the first 200
            good frames.
    """

    def __init__(
        self, directory: Path, bank_sha256: str, rows: int, rare: NDArray[np.bool_] | None = None
    ) -> None:
        self.directory = directory
        self._bank = bank_sha256
        self._rare = rare
        self._frames = 0
        self._lock = threading.Lock()
        # Protected by the lock: counts since the last save, and all counts before it, in case the file was
        # removed with its directory.
        self._new = np.zeros(rows, np.int64)
        self._last_used = np.zeros(rows)
        self._saved = np.zeros(rows, np.int64)

    def add(self, rows: NDArray[np.int64]) -> None:
        """Count a good frame: int64 [patches], the index of every patch's nearest row."""
        with self._lock:
            np.add.at(self._new, rows, 1)
            self._last_used[rows] = time.time()
            self._frames += 1
            if self._rare is None and self._frames == _LEARNED_FRAMES:
                self._rare = rare_rows(self._saved + self._new)

    def rare_share(self, rows: NDArray[np.int64]) -> float | None:
        """Share of a frame's patches whose nearest row is rare; None while rare rows are being learned."""
        return None if self._rare is None else float(self._rare[rows].mean())

    def save(self) -> None:
        """Add the counts since the last save to those in the state directory.

        Raises:
            OSError: The state directory cannot be written to; the counts are kept for the next save.
        """
        with self._lock:
            new, last_used = self._new.copy(), self._last_used.copy()
        if not new.any():
            return
        counts = self._write(new, last_used)
        with self._lock:
            self._new -= new
            self._saved = counts

    def _write(self, new: NDArray[np.int64], last_used: NDArray[np.float64]) -> NDArray[np.int64]:
        """Add counts to the file; return the totals."""
        with alone_with(make_state_folder(_FOLDER)):
            stored = read_usage(self.directory, self._bank, len(new))
            counts, used = (self._saved, np.zeros(len(new))) if stored is None else stored
            write_usage(self._bank, counts + new, np.maximum(used, last_used))
            return counts + new


class UsageKeeper:
    """Saves usage counts periodically in a background thread, and once more at the end.

    Args:
        usages: Returns the current counters.
        on_problem: Called once with the reason why counts cannot be saved.
        every_s: Seconds between two saves.
    """

    def __init__(
        self,
        usages: Callable[[], Iterable[RowUsage]],
        on_problem: Callable[[PcedgeError], None],
        *,
        every_s: float = _SAVE_S,
    ) -> None:
        self._usages = usages
        self._on_problem = on_problem
        self._told = False
        self._seen: list[RowUsage] = []
        self._saving = Repeating(self._save_all, every_s, name="row usage", ends_within_s=_ENDS_WITHIN_S)

    def __enter__(self) -> "UsageKeeper":
        self._saving.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._saving.__exit__(kind, error, trace)
        self._save_all()

    def _save_all(self) -> None:
        # Save a replaced counter once more.
        now = list(self._usages())
        for usage in [*now, *(one for one in self._seen if one not in now)]:
            try:
                usage.save()
            except OSError as error:
                self._tell(error)
        self._seen = now

    def _tell(self, error: OSError) -> None:
        if self._told:
            return
        self._told = True
        self._on_problem(
            PcedgeError(
                f"{_folder()} cannot be written: {error.strerror or error}.",
                "Inspecting goes on; let this user write there, or set PCEDGE_STATE to a folder where it "
                "may, to keep which bank rows are used.",
            )
        )


def usage_of(bundle: Bundle, rare: NDArray[np.bool_] | None) -> RowUsage:
    """A counter for the bank of a bundle; ``rare`` as in :class:`RowUsage`."""
    rows = bundle.manifest.bank.rows
    return RowUsage(bundle.directory, bundle.manifest.files[INDEX_FILE].sha256, rows, rare)


def read_usage(
    directory: Path, bank_sha256: str, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Counts, int64 [rows], and the time of last use, float64 [rows], Unix seconds; 0 for never.

    None if nothing was counted for this bank yet, or the file is damaged.

    Args:
        directory: The bundle's directory, for counts of earlier versions.
        bank_sha256: Digest of the bank's file.
        rows: Rows of the bank.
    """
    found = _read(_file(bank_sha256), bank_sha256, rows)
    return _read(directory / ROW_USAGE_FILE, bank_sha256, rows) if found is None else found


def write_usage(bank_sha256: str, counts: NDArray[np.int64], last_used: NDArray[np.float64]) -> None:
    """Keep the counts of a bank in the state directory; those of the banks used longest ago make room.

    Raises:
        OSError: It cannot be written to.
    """
    make_state_folder(_FOLDER)
    path = _file(bank_sha256)
    arrays = {"bank_sha256": np.array(bank_sha256), "counts": counts, "last_used": last_used}
    replace_arrays(path, arrays)
    kept = sorted(path.parent.glob("*.npz"), key=_changed, reverse=True)
    for old in kept[_MOST_FILES:]:
        old.unlink(missing_ok=True)


def _read(path: Path, bank_sha256: str, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    if path.is_symlink():  # it may have come with a copied bundle
        return None
    try:
        with open_arrays(path) as stored:
            bank = str(stored.array("bank_sha256", TEXT))
            counts = stored.array("counts", WHOLE, rows, low=0)
            last_used = stored.array("last_used", FLOAT, rows, low=0, high=_LATEST)
    except BundleError:
        return None
    if bank != bank_sha256:
        return None
    return counts.astype(np.int64), last_used.astype(np.float64)


def rare_rows(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [rows]: the least used rows, which together have at most a tenth of all counts."""
    order = np.argsort(counts, kind="stable")
    within = np.cumsum(counts[order]) <= RARE_SHARE * counts.sum()
    rare = np.zeros(len(counts), np.bool_)
    rare[order[within]] = True
    return rare


def _folder() -> Path:
    return state_directory() / _FOLDER


def _file(bank_sha256: str) -> Path:
    # The digest of a manifest is a text from elsewhere; its digest is a safe name.
    return _folder() / f"{sha256(bank_sha256.encode()).hexdigest()}.npz"


def _changed(path: Path) -> float:
    with suppress(OSError):  # another process made room
        return path.stat().st_mtime
    return 0.0
