"""Exact nearest-neighbour search with pruning by lower bounds.

Patch embeddings are far from isotropic: a few leading principal directions hold most of their variance. With
k the leading coordinates in an orthonormal basis and r the rest,

    |q - b|^2 >= |q_k - b_k|^2 + (|q_r| - |b_r|)^2,

which rules out most rows of the bank, whole leaves of a tree at a time. Nothing is approximated.
"""

import importlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from .cores import usable_cores
from .pruned_layout import LEAST_DIMS, BankLayout, Heads

Kernel = Callable[..., bool]

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
        encoded: For rows on disk: read as few of them as possible.

    Raises:
        ImportError: Numba cannot be used here.
    """

    def __init__(
        self, rows: NDArray[np.float32], threads: int | None = None, *, encoded: bool = False
    ) -> None:
        self._find_nearest = _kernel(aligned=rows.flags.aligned)
        self._rows = rows
        self._layout = BankLayout.of(rows, encoded=encoded)
        self._threads = threads or usable_cores()
        self._start_threads()

    def _start_threads(self) -> None:
        self._pool, self._process = ThreadPoolExecutor(self._threads, "search"), os.getpid()

    @property
    def nbytes(self) -> int:
        """Memory in bytes without the rows."""
        return self._layout.nbytes

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
        codes = self._layout.codes
        scaled = centered * codes.scales if len(codes.values) else centered
        search = partial(self._search_part, queries, heads, scaled, margins, distances, nearest)
        for part, done in zip(parts, self._over_threads(search, parts), strict=True):
            found[part] = done
        return distances, nearest, found

    def _over_threads(self, search: Callable[[slice], bool], parts: list[slice]) -> list[bool]:
        if self._process != os.getpid():  # a fork takes no threads along
            self._start_threads()
        try:
            return list(self._pool.map(search, parts))
        except RuntimeError:  # the interpreter is shutting down, and takes no new work
            return [search(part) for part in parts]

    def _search_part(
        self,
        queries: NDArray[np.float32],
        heads: Heads,
        scaled: NDArray[np.float32],
        margins: NDArray[np.float32],
        distances: NDArray[np.float32],
        nearest: NDArray[np.int64],
        part: slice,
    ) -> bool:
        layout = self._layout
        return self._find_nearest(
            queries[part],
            heads.coordinates[part],
            heads.rests[part],
            heads.squared_lengths[part],
            margins[part],
            layout.lows,
            layout.highs,
            layout.tiles,
            layout.heads,
            scaled[part],
            layout.codes.values,
            layout.codes.squared_lengths,
            layout.codes.errors,
            layout.order,
            self._rows,
            int(_WORTHWHILE * len(self._rows) * len(queries[part])),
            distances[part],
            nearest[part],
        )


@lru_cache
def _kernel(*, aligned: bool) -> Kernel:
    """The compiled kernel, tried out; where what lies on disk is damaged or cannot be written, without it.

    Args:
        aligned: Whether the rows begin at a multiple of their values' size. In a file they may not.
    """
    from . import pruned_kernel

    try:
        _try_out(pruned_kernel.find_nearest, aligned=aligned)
    except Exception:  # whatever reading a torn file or writing to a full disk raises
        os.environ[pruned_kernel.NO_CACHE] = "1"
        importlib.reload(pruned_kernel)
        _try_out(pruned_kernel.find_nearest, aligned=aligned)
    return pruned_kernel.find_nearest


def _try_out(find_nearest: Kernel, *, aligned: bool) -> None:
    """Search once, which compiles; arrays are of the kinds that a search has."""
    rows = np.eye(2, LEAST_DIMS, dtype=np.float32)
    layout = BankLayout.of(rows)
    bank = rows
    if not aligned:
        bank = np.frombuffer(bytearray(1 + rows.nbytes), np.float32, offset=1).reshape(rows.shape)
    heads = Heads.of(rows - layout.center, layout.basis)
    find_nearest(
        rows,
        heads.coordinates,
        heads.rests,
        heads.squared_lengths,
        heads.squared_lengths,
        layout.lows,
        layout.highs,
        layout.tiles,
        layout.heads,
        rows,
        layout.codes.values,
        layout.codes.squared_lengths,
        layout.codes.errors,
        layout.order,
        bank,
        100,
        np.empty(2, np.float32),
        np.empty(2, np.int64),
    )
