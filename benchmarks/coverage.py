"""How well picks cover the rows, and where two selections part, computed apart from the samplers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROWS, _PICKS = 8192, 2048
# Rows whose distance is computed again in float64; those found farthest in float32 are among them.
_FINISHED = 64
# What |x|^2 - 2 x.p + |p|^2 may be wrong by in float32, as a multiple of (|x| + |p|)^2.
_ROUNDING = 8 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Difference:
    """Where two selections first part, all picks before being the same.

    Attributes:
        pick: Which pick, the first being 0.
        ours: The row that ours took, and its squared distance to the picks before, in float64.
        plain: The same of plain greedy.
        tie: Whether float32 cannot tell these two distances apart.
    """

    pick: int
    ours: tuple[int, float]
    plain: tuple[int, float]
    tie: bool


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
    return float(np.sqrt(max(_squared_distance(rows, row, picks) for row in farthest)))


def first_difference(
    rows: NDArray[np.float32], ours: NDArray[np.int64], plain: NDArray[np.int64]
) -> Difference | None:
    """Compare two selections pick by pick, as far as both go."""
    both = min(len(ours), len(plain))
    apart = np.flatnonzero(ours[:both] != plain[:both])
    if not apart.size:
        return None
    pick = int(apart[0])
    before = ours[:pick]
    found = [(int(row), _squared_distance(rows, int(row), before)) for row in (ours[pick], plain[pick])]
    gap = abs(found[0][1] - found[1][1])
    return Difference(pick, found[0], found[1], gap <= _rounding(rows, pick, found))


def _rounding(rows: NDArray[np.float32], pick: int, found: list[tuple[int, float]]) -> float:
    """How far apart two equal squared distances may come out in float32."""
    centre = rows.mean(axis=0, dtype=np.float64)
    lengths = [float(np.linalg.norm(rows[row] - centre)) for row, _ in found]
    # The nearest pick is no longer than the row and the distance to it together; the first has no pick.
    return _ROUNDING * max(
        (2 * length + np.sqrt(squared)) ** 2 if pick else length**2
        for length, (_, squared) in zip(lengths, found, strict=True)
    )


def _squared_distance(rows: NDArray[np.float32], row: int, picks: NDArray[np.int64]) -> float:
    """Squared distance of a row to the nearest pick, in float64; to the mean of all rows without picks."""
    if not len(picks):
        return float(np.square(rows[row] - rows.mean(axis=0, dtype=np.float64)).sum())
    nearest = np.inf
    for start in range(0, len(picks), _PICKS):
        differences = rows[picks[start : start + _PICKS]].astype(np.float64) - rows[row]
        nearest = min(nearest, float(np.square(differences).sum(axis=1).min()))
    return nearest
