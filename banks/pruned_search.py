"""Exact nearest rows for a fraction of the work: bound, pass over, and finish only what is left.

Patch embeddings are far from isotropic: a few leading principal directions hold most of their variance. With
k the leading coordinates in an orthonormal basis and r the rest,

    |q - b|^2 >= |q_k - b_k|^2 + (|q_r| - |b_r|)^2,

which rules out most rows of the bank, whole leaves of a tree at a time. Nothing is approximated.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .pruned_kernel import find_nearest
from .pruned_layout import Heads, Layout

# The rounding error of a bound, relative to the square of the lengths in it; that of float32 products of a
# few thousand terms is ten times smaller.
_ROUNDING = np.float32(1e-5)
# Queries that a thread takes at a time: few enough for their vectors to stay in its cache.
_CHUNK = 98
# Where rows are not ruled out fast enough, the plain product is faster: so many comparisons by head a query,
# as a share of all rows.
_WORTHWHILE = 0.25


class PrunedSearch:
    """Searches a fixed set of rows.

    Args:
        rows: float32 [n, dims], C-contiguous, with at least ``LEAST_DIMS`` dims. Not copied: they must stay
            as they are.
        threads: How many to use; by default one for every core this process may use.
    """

    def __init__(self, rows: NDArray[np.float32], threads: int | None = None) -> None:
        self._rows = rows
        self._layout = Layout.of(rows)
        self._pool = ThreadPoolExecutor(threads or _cores(), "search")

    def search(
        self, queries: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
        """Find the nearest row of each query.

        Args:
            queries: float32 [n, dims], C-contiguous and finite.

        Returns:
            Squared distances, row numbers (of rows at equal distance the lowest), and for which queries they
            were found: where bounds rule out too little, the search gives up in favour of a plain product.
        """
        centered = queries - self._layout.center
        heads = Heads.of(centered, self._layout.basis)
        margins = _ROUNDING * (np.sqrt(heads.squared_lengths) + self._layout.largest) ** 2
        distances = np.empty(len(queries), np.float32)
        nearest = np.empty(len(queries), np.int64)
        found = np.empty(len(queries), np.bool_)
        parts = [slice(start, start + _CHUNK) for start in range(0, len(queries), _CHUNK)]
        search = partial(self._search_part, queries, heads, margins, distances, nearest)
        for part, done in zip(parts, self._pool.map(search, parts), strict=True):
            found[part] = done
        return distances, nearest, found

    def _search_part(
        self,
        queries: NDArray[np.float32],
        heads: Heads,
        margins: NDArray[np.float32],
        distances: NDArray[np.float32],
        nearest: NDArray[np.int64],
        part: slice,
    ) -> bool:
        layout = self._layout
        return find_nearest(
            queries[part],
            heads.coordinates[part],
            heads.rests[part],
            heads.squared_lengths[part],
            margins[part],
            layout.lows,
            layout.highs,
            layout.tiles,
            layout.heads,
            layout.order,
            self._rows,
            int(_WORTHWHILE * len(self._rows) * len(queries[part])),
            distances[part],
            nearest[part],
        )


def _cores() -> int:
    """Cores this process may use, which in a container or under taskset are fewer than the machine's."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
