"""Extension of a greedy coreset by new rows that it does not cover yet."""

import numpy as np
from numpy.typing import NDArray

from .greedy import Coreset

_CHUNK_ROWS = 2048
_PICKED = np.float32(-np.inf)


def continue_coreset(
    rows: NDArray[np.float32], given: NDArray[np.float32], radius: float, most: int
) -> Coreset:
    """Continue greedy minimax facility location (paper, Algorithm 1) from rows that were chosen before.

    Repeatedly takes the row farthest from all that is given or taken, until every row lies within ``radius``
    of one or ``most`` are taken. Rows within the radius of the given ones from the start are never taken.

    Args:
        rows: float32 [n, dims], to choose from.
        given: float32 [m, dims], chosen before; at least one.
        radius: Distance (not squared) within which a row counts as covered.
        most: Maximum number of rows to take.

    Returns:
        The rows taken, in order, and the largest distance of any row left from its nearest chosen one.
    """
    limit = np.float32(radius) ** 2
    bounds = _nearest(rows, given)
    open_rows = np.flatnonzero(bounds > limit)
    candidates, distances = rows[open_rows], bounds[open_rows]
    picks: list[int] = []
    while len(picks) < min(most, len(candidates)):
        best = int(distances.argmax())
        if distances[best] <= limit:
            break
        picks.append(best)
        to_best = np.square(candidates - candidates[best]).sum(axis=1)
        np.minimum(distances, to_best, out=distances)
        distances[best] = _PICKED
    chosen = open_rows[picks].astype(np.int64)
    if len(chosen):
        np.minimum(bounds, _nearest(rows, rows[chosen]), out=bounds)
    return Coreset(chosen, float(np.sqrt(bounds.max(initial=0.0))))


def _nearest(rows: NDArray[np.float32], given: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distance of every row to the nearest given one."""
    # Distances do not change with the origin, and near it their rounding errors are smallest.
    origin = given.mean(axis=0, dtype=np.float64).astype(np.float32)
    others = given - origin
    norms = np.einsum("ij,ij->i", others, others)
    nearest = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _CHUNK_ROWS):
        block = rows[start : start + _CHUNK_ROWS] - origin
        products = norms - 2.0 * (block @ others.T)
        nearest[start : start + len(block)] = products.min(axis=1) + np.einsum("ij,ij->i", block, block)
    return np.maximum(nearest, 0.0, out=nearest)
