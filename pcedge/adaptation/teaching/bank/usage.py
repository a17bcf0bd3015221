"""How often bank rows were used while watching, carried over to a bank that was changed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.row_usage import write_usage

# Counts, int64 [rows], and when each row was used last, float64 [rows], as ``read_usage`` gives them.
Usage = tuple[NDArray[np.int64], NDArray[np.float64]]


def carry_usage(usage: Usage, bank_sha256: str, old_rows: Sequence[int | None]) -> None:
    """Write the counts of a bank that was changed.

    Args:
        usage: What was counted of the old bank.
        bank_sha256: Of the new one.
        old_rows: For every row of the new one its number in the old one, None for a new row.
    """
    known = np.array([-1 if row is None else row for row in old_rows])
    counts, last_used = (np.where(known < 0, 0, values[known]) for values in usage)
    write_usage(bank_sha256, counts, last_used)
