"""Staged coreset of rows that do not fit into memory, with an upper bound of the covering radius.

Rows come in chunks. Of each chunk a greedy coreset is kept as candidates, and the bank is the greedy coreset
of all candidates. Every row is then within ``stage radius + last radius`` of the bank, by the triangle
inequality (composable coresets; Malkomes et al. 2015): that sum is computed, not estimated.
"""

from dataclasses import dataclass
from math import ceil
from typing import IO

import numpy as np
from numpy.typing import NDArray

from .greedy import Progress, greedy_coreset
from .projection import project

# Candidates kept for every row that the bank will have: the more, the nearer to the exact coreset.
CANDIDATES_PER_ROW = 2
_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class StagedCoreset:
    """Result of a staged selection.

    Attributes:
        rows: float32 [count, dims], the chosen rows in order of their numbers.
        numbers: int64 [count], which of all rows they are.
        radius: Upper bound, in the projection, of any row's distance from its nearest chosen one.
    """

    rows: NDArray[np.float32]
    numbers: NDArray[np.int64]
    radius: float


class StagedSelection:
    """Chooses a coreset of rows that are added chunk by chunk; candidates wait in a file.

    Args:
        file: A new binary file, open for writing and reading.
        dims: Values per row.
        share: Share of all rows that the bank will have.
        seed: Seed of the projection.
    """

    def __init__(self, file: IO[bytes], dims: int, share: float, seed: int) -> None:
        self._file = file
        self._dims = dims
        self._share = min(1.0, share * CANDIDATES_PER_ROW)
        self._seed = seed
        self._projected: list[NDArray[np.float32]] = []
        self._numbers: list[NDArray[np.int64]] = []
        self._radius = 0.0

    def add(self, rows: NDArray[np.float32], first_number: int) -> None:
        """Take the next rows, float32 [n, dims], numbered from ``first_number``; keep candidates."""
        projected = project(rows, self._seed)
        coreset = greedy_coreset(projected, ceil(len(rows) * self._share))
        picks = np.sort(coreset.picks)
        rows[picks].tofile(self._file)
        self._projected.append(projected[picks])
        self._numbers.append(picks + first_number)
        self._radius = max(self._radius, coreset.radius)

    def finish(self, count: int, progress: Progress | None = None) -> StagedCoreset:
        """Choose ``count`` of the candidates, or all of them where there are fewer."""
        projected = np.concatenate(self._projected)
        self._projected.clear()
        coreset = greedy_coreset(projected, min(count, len(projected)), progress=progress)
        del projected
        picks = np.sort(coreset.picks)
        numbers = np.concatenate(self._numbers)[picks]
        return StagedCoreset(self._read(picks), numbers, self._radius + coreset.radius)

    def _read(self, picks: NDArray[np.int64]) -> NDArray[np.float32]:
        """Candidates by their place in the file, ascending; read block by block."""
        rows = np.empty((len(picks), self._dims), np.float32)
        row_bytes = 4 * self._dims
        self._file.flush()
        for start in range(0, int(picks[-1]) + 1, _BLOCK_ROWS):
            first, last = np.searchsorted(picks, (start, start + _BLOCK_ROWS))
            if first == last:
                continue
            self._file.seek(start * row_bytes)
            block = np.frombuffer(self._file.read(_BLOCK_ROWS * row_bytes), np.float32)
            rows[first:last] = block.reshape(-1, self._dims)[picks[first:last] - start]
        return rows
