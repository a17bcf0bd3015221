"""Exact greedy coreset by minimax facility location (paper, Algorithm 1), with lazy evaluation.

Plain greedy repeatedly takes the row farthest from everything taken so far and pays one pass over all rows a
pick. But a row's distance to the picks only ever shrinks, so a stale distance is an upper bound: it is enough
to keep the few rows with the largest bounds up to date, and to pick among them for as long as their best
beats every bound outside. The picks are those of plain greedy (rows at equal distance aside); nothing is
approximated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

# Rows in the working set and in the set inside it. The inner one (with 128 dims, half a megabyte) stays in a
# core's second-level cache, where a pick costs microseconds.
WORKING_SETS = (16384, 1024)
# Rows and picks in one product of a refresh: its result stays in cache until its minimum is taken.
REFRESH_ROWS, REFRESH_PICKS = 512, 1024
# A picked row is never picked again; a repeat of one, at distance zero give or take rounding, may be.
_PICKED = np.float32(-np.inf)
_ANY = np.finfo(np.float32).min
# Bounds before anything is picked: the first pick is above every distance.
_FIRST = np.float32(np.inf)
_ANY_DISTANCE = np.finfo(np.float32).max

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Coreset:
    """Chosen rows and how well they cover all.

    Attributes:
        picks: int64 [count], indices of the chosen rows in the order in which they were chosen.
        radius: Largest distance (not squared) of any row from its nearest chosen one.
    """

    picks: NDArray[np.int64]
    radius: float


def greedy_coreset(
    rows: NDArray[np.float32],
    count: int,
    *,
    working_sets: tuple[int, ...] = WORKING_SETS,
    progress: Progress | None = None,
) -> Coreset:
    """Choose ``count`` rows so that every row is near a chosen one.

    The first pick is the row nearest to the mean of all, so nothing here is random. (The reference
    implementation first takes the row with the largest mean distance to ten random ones.)

    Args:
        rows: float32 [n, dims].
        count: How many rows to choose, 1 to n. Where fewer rows are distinct, repeats fill up the rest.
        working_sets: Sizes of the nested working sets, descending; they change the time, not the picks.
        progress: Called with (picks so far, count) now and then.

    Raises:
        OptionError: ``count`` is not between 1 and the number of rows, or a row is not finite.
    """
    if not 1 <= count <= len(rows):
        raise OptionError(
            f"A coreset of {count} rows was requested, but there are {len(rows)} rows in all.",
            "Request at least one row and at most all of them.",
        )
    # One pick more than asked for: how far it is from the others is the covering radius.
    picks = _Picks(count, min(count + 1, len(rows)), rows.shape[1], progress)
    with np.errstate(invalid="ignore", over="ignore"):  # reported below
        candidates = _Candidates.of(rows)
    if not np.isfinite(candidates.norms).all():
        raise OptionError(
            "The patch embeddings hold values that are not finite numbers.",
            "Check the network's weights.",
        )
    _pick_lazily(candidates, picks, _ANY, working_sets)
    picks.report()
    nearest = picks.distances[count] if count < len(rows) else 0.0
    return Coreset(picks.indices[:count], float(np.sqrt(max(nearest, 0.0))))


class _Picks:
    """The rows chosen so far, in the form a product needs: |x - p|^2 - |x|^2 = [x, 1] . [-2p, |p|^2]."""

    def __init__(self, asked: int, room: int, dims: int, progress: Progress | None) -> None:
        self.indices = np.empty(room, np.int64)
        self.distances = np.empty(room, np.float32)
        self.factors = np.empty((room, dims + 1), np.float32)
        self.done = 0
        self._asked = asked
        self._progress = progress

    @property
    def full(self) -> bool:
        return self.done == len(self.indices)

    def add(
        self, index: np.int64, row: NDArray[np.float32], squared_distance: np.float32
    ) -> NDArray[np.float32]:
        """Record a pick, ``row`` being [x, 1], and its distance to those before; return its factors."""
        factors: NDArray[np.float32] = self.factors[self.done]
        np.multiply(row, -2.0, out=factors)
        factors[-1] = row[:-1] @ row[:-1]
        self.indices[self.done] = index
        self.distances[self.done] = squared_distance
        self.done += 1
        return factors

    def report(self) -> None:
        if self._progress is not None:
            self._progress(min(self.done, self._asked), self._asked)


class _Candidates:
    """Rows that may be picked, each with an upper bound of its squared distance to the picks.

    ``seen`` counts, per row, the picks its bound accounts for.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        rows: NDArray[np.float32],
        norms: NDArray[np.float32],
        bounds: NDArray[np.float32],
        seen: NDArray[np.int64],
    ) -> None:
        self.indices, self.rows, self.norms = indices, rows, norms
        self.bounds, self.seen = bounds, seen

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> "_Candidates":
        n, dims = rows.shape
        extended = np.empty((n, dims + 1), np.float32)
        # Distances do not change with the origin, and near it their rounding errors are smallest.
        np.subtract(rows, rows.mean(axis=0, dtype=np.float64).astype(np.float32), out=extended[:, :-1])
        extended[:, -1] = 1.0
        norms = np.einsum("ij,ij->i", extended[:, :-1], extended[:, :-1])
        bounds = np.full(n, _ANY_DISTANCE)
        bounds[norms.argmin()] = _FIRST
        return cls(np.arange(n), extended, norms, bounds, np.zeros(n, np.int64))

    def take(self, chosen: NDArray[np.int64]) -> "_Candidates":
        """Copy some of the candidates."""
        return _Candidates(
            self.indices[chosen],
            self.rows[chosen],
            self.norms[chosen],
            self.bounds[chosen],
            self.seen[chosen],
        )

    def put_back(self, chosen: NDArray[np.int64], subset: "_Candidates") -> None:
        """Copy back the bounds of a subset."""
        self.bounds[chosen] = subset.bounds
        self.seen[chosen] = subset.seen

    def refresh(self, picks: _Picks) -> None:
        """Bring every bound up to date with the picks."""
        by_seen = np.argsort(self.seen, kind="stable")
        for first in range(0, len(by_seen), REFRESH_ROWS):
            block = by_seen[first : first + REFRESH_ROWS]
            for start in range(self.seen[block[0]], picks.done, REFRESH_PICKS):
                factors = picks.factors[start : min(start + REFRESH_PICKS, picks.done)]
                nearest = (factors @ self.rows[block].T).min(axis=0) + self.norms[block]
                self.bounds[block] = np.minimum(self.bounds[block], nearest)
        self.seen[:] = picks.done


def _pick_lazily(
    candidates: _Candidates, picks: _Picks, floor: np.float32, working_sets: tuple[int, ...]
) -> None:
    """Pick from ``candidates``, whose bounds may be stale, for as long as their best reaches ``floor``."""
    smaller = [size for size in working_sets if size < len(candidates.bounds)]
    if not smaller:
        candidates.refresh(picks)
        _pick_plainly(candidates, picks, floor)
        return
    size = smaller[0]
    while not picks.full:
        order = np.argpartition(candidates.bounds, -size - 1)
        outside = candidates.bounds[order[-size - 1]]
        chosen = np.sort(order[-size:])
        if candidates.bounds[chosen].max() < floor:
            return
        subset = candidates.take(chosen)
        _pick_lazily(subset, picks, max(floor, outside), tuple(smaller[1:]))
        candidates.put_back(chosen, subset)
        picks.report()


def _pick_plainly(candidates: _Candidates, picks: _Picks, floor: np.float32) -> None:
    """Plain greedy among candidates whose bounds are up to date."""
    rows, norms, bounds = candidates.rows, candidates.norms, candidates.bounds
    distances = np.empty_like(bounds)
    best = int(bounds.argmax())
    while not picks.full and bounds[best] >= floor:
        factors = picks.add(candidates.indices[best], rows[best], bounds[best])
        np.dot(rows, factors, out=distances)
        np.add(distances, norms, out=distances)
        np.minimum(bounds, distances, out=bounds)
        bounds[best] = _PICKED
        best = int(bounds.argmax())
    candidates.seen[:] = picks.done
