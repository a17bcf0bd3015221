"""How well picks cover the rows, computed apart from the samplers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_ROWS, _PICKS = 8192, 2048
# Rows whose distance is computed again in float64; those found farthest in float32 are among them.
_FINISHED = 64


def coverage_radius(
    rows: NDArray[np.float32], picks: NDArray[np.int64], progress: Callable[[int, int], None]
) -> float:
    """Largest distance (not squared) of any row from the nearest of the picked rows.

    Found block by block by matrix products; the farthest rows' distances are then computed in float64.
    """
    centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    chosen = rows[picks] - centre
    factors, norms = -2.0 * chosen.T, np.einsum("ij,ij->i", chosen, chosen)
    nearest = np.empty(len(rows), np.float32)
    for first in range(0, len(rows), _ROWS):
        block = rows[first : first + _ROWS] - centre
        best = np.full(len(block), np.inf, np.float32)
        for start in range(0, len(picks), _PICKS):
            some = slice(start, start + _PICKS)
            product = block @ factors[:, some]
            product += norms[some]
            np.minimum(best, product.min(axis=1), out=best)
        nearest[first : first + _ROWS] = best + np.einsum("ij,ij->i", block, block)
        progress(min(first + _ROWS, len(rows)), len(rows))
    farthest = np.argsort(nearest)[-_FINISHED:]
    return float(np.sqrt(max(squared_distance(rows, row, picks) for row in farthest)))


def squared_distance(rows: NDArray[np.float32], row: int, picks: NDArray[np.int64]) -> float:
    """Squared distance of a row to the nearest pick, in float64; to the mean of all rows without picks."""
    if not len(picks):
        return float(np.square(rows[row] - rows.mean(axis=0, dtype=np.float64)).sum())
    nearest = np.inf
    for start in range(0, len(picks), _PICKS):
        differences = rows[picks[start : start + _PICKS]].astype(np.float64) - rows[row]
        nearest = min(nearest, float(np.square(differences).sum(axis=1).min()))
    return nearest
