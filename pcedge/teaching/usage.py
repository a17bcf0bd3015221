"""How often bank rows were used while watching, where somebody counted."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pcedge.atomic import replace_file

USAGE_FILE = "row_usage.npz"


@dataclass(frozen=True, eq=False)
class Usage:
    """How often every row was the nearest of a good part's patch, and when it was last.

    Attributes:
        counts: int64 [rows].
        last_used: float64 [rows], Unix seconds; 0 for never.
    """

    counts: NDArray[np.int64]
    last_used: NDArray[np.float64]


def read_usage(directory: Path, bank_sha256: str, rows: int) -> Usage | None:
    """What was counted of a bank; None where nothing was, or the file is of another bank or damaged."""
    try:
        with (directory / USAGE_FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            bank, counts, used = (stored[name] for name in ("bank_sha256", "counts", "last_used"))
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile):
        return None
    if str(bank) != bank_sha256 or not counts.shape == used.shape == (rows,):
        return None
    return Usage(counts.astype(np.int64), used.astype(np.float64))


def carry_usage(directory: Path, usage: Usage, bank_sha256: str, old_rows: list[int | None]) -> None:
    """Write the counts of a bank that was changed.

    Args:
        directory: The bundle's.
        usage: What was counted of the old bank.
        bank_sha256: Of the new one.
        old_rows: For every row of the new one its number in the old one, None for a new row.
    """
    known = np.array([-1 if row is None else row for row in old_rows])
    counts = np.where(known < 0, 0, usage.counts[known])
    last_used = np.where(known < 0, 0.0, usage.last_used[known])
    content = BytesIO()
    np.savez(content, bank_sha256=np.array(bank_sha256), counts=counts, last_used=last_used)
    replace_file(directory / USAGE_FILE, content.getvalue())
