"""Banks that were taught: the fitted rows, which never change, and after them rows of lessons."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import FLOAT, INDEX_FILE, ROWS_FILE, WHOLE, Bank, RowSources
from pcedge.core.npz import open_arrays
from pcedge.errors import BundleError

from ..lesson_log import FOLDER, BankState
from .row_ranges import TaughtRow, read_ranges

_LARGEST_GRID = 100_000

_ROWS_FILE = "rows.npz"


@dataclass(frozen=True, eq=False)
class TaughtRows:
    """Rows that lessons brought, and where each came from.

    Attributes:
        rows: float32 [n, dims].
        images: Name of the image of each.
        y: int32 [n], the patch's line in the grid.
        x: int32 [n], its column.
    """

    rows: NDArray[np.float32]
    images: tuple[str, ...]
    y: NDArray[np.int32]
    x: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: Sequence[int]) -> "TaughtRows":
        """Some of them."""
        picked = np.asarray(chosen, np.int64)
        return TaughtRows(
            self.rows[picked], tuple(self.images[i] for i in chosen), self.y[picked], self.x[picked]
        )

    @classmethod
    def together(cls, parts: Sequence["TaughtRows"], dims: int) -> "TaughtRows":
        """All of them, one after the other."""
        nothing = np.empty(0, np.int32)
        return cls(
            np.concatenate([np.empty((0, dims), np.float32), *(part.rows for part in parts)]),
            tuple(name for part in parts for name in part.images),
            np.concatenate([nothing, *(part.y for part in parts)]),
            np.concatenate([nothing, *(part.x for part in parts)]),
        )


def lesson_folder(number: int) -> str:
    """Where a lesson's files lie in a bundle."""
    return f"{FOLDER}/{number:04}"


def write_rows(staging: Path, number: int, taught: TaughtRows) -> None:
    """Keep the rows that a lesson brought."""
    folder = staging / lesson_folder(number)
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"rows": taught.rows, "y": taught.y, "x": taught.x}
    np.savez(folder / _ROWS_FILE, images=np.array(taught.images, np.str_), **arrays)


def read_rows(directory: Path, wanted: Sequence[TaughtRow], dims: int) -> TaughtRows:
    """Read rows of lessons, in the order that is asked for.

    Raises:
        BundleError: A lesson's file is missing or damaged.
    """
    parts: list[TaughtRows] = []
    for lesson in dict.fromkeys(lesson for lesson, _ in wanted):
        places = [place for one, place in wanted if one == lesson]
        parts.append(_read_lesson(directory / lesson_folder(lesson) / _ROWS_FILE).take(places))
    return TaughtRows.together(parts, dims)


def write_bank(staging: Path, fitted: Bank, state_rows: tuple[int, int], taught: TaughtRows) -> Bank:
    """Write the bank's files with the fitted rows of ``fitted`` and after them the taught ones.

    Args:
        staging: Where to; files that are there are replaced, a hard link's other end stays as it was.
        fitted: A bank that begins with the fitted rows.
        state_rows: How many of its rows, and of its images, are from the fit.
        taught: The rows after them.
    """
    rows, images = state_rows
    names = list(fitted.sources.images[:images])
    numbers = {name: images + i for i, name in enumerate(dict.fromkeys(taught.images))}
    taught_images = np.array([numbers[name] for name in taught.images], np.int32)
    sources = RowSources(
        (*names, *numbers),
        np.concatenate([fitted.sources.image[:rows], taught_images]),
        np.concatenate([fitted.sources.y[:rows], taught.y]),
        np.concatenate([fitted.sources.x[:rows], taught.x]),
    )
    bank = Bank.build(np.concatenate([fitted.rows[:rows], taught.rows]), sources)
    for name in (INDEX_FILE, ROWS_FILE):
        (staging / name).unlink(missing_ok=True)
    bank.save(staging)
    return bank


def bank_head(path: Path, rows: int, dims: int) -> bytes:
    """What a bank's file begins with, before its rows, which it ends with.

    Raises:
        BundleError: The file is too short for its rows.
    """
    size = path.stat().st_size - 4 * rows * dims
    if size < 0:
        raise BundleError(f"{path} is too short for {rows} rows.", "Restore the file, or fit again.")
    with path.open("rb") as file:
        return file.read(size)


def restore_head(path: Path, state: BankState) -> None:
    """Give a bank's file the beginning that it had, so that it is what it was to the last byte.

    Another version of FAISS may write another one for the same rows.

    Raises:
        BundleError: It is still not the file that it was.
    """
    head = bytes.fromhex(state.head)
    rows = state.fitted_rows + len(read_ranges(state.taught))
    content = path.read_bytes()
    size = len(content) - 4 * rows * int(Bank.open(path.parent).dims)
    content = head + content[size:]
    if sha256(content).hexdigest() != state.bank_sha256:
        raise BundleError(
            f"The bank of that lesson cannot be made again: {path.name} would be another file.",
            "Nothing was changed. Restore the bundle from a copy.",
        )
    path.write_bytes(content)


def _read_lesson(path: Path) -> TaughtRows:
    with open_arrays(path, "Restore the file, or the bundle from a copy.") as stored:
        rows = stored.array("rows", FLOAT, "rows", "dims")
        y, x = (stored.array(name, WHOLE, "rows", low=0, high=_LARGEST_GRID) for name in ("y", "x"))
        return TaughtRows(rows, tuple(stored.texts("images", "rows")), y, x)
